#!/usr/bin/env bash
# torch 2.13.0: the first optimizer of a process imports the compiler.
#
# Expected: making torch.optim.SGD on the CPU makes an object. Nothing is compiled, so `import torch`
# has brought all that is needed.
# Seen: the constructor imports torch._dynamo, torch._inductor and SymPy, about 800 modules, in 1.1 s
# of processor time; a second optimizer takes none. `import torch` and `import torch.optim` alone do
# not. So a command that may not need its optimizer, such as training for no steps, gains by not
# making it, and timings of the first step hold the import.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    --extra-index-url https://download.pytorch.org/whl/cpu "torch==2.13.0" "numpy==2.3.4"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import time

import torch
import torch.optim

COMPILER = ("torch._dynamo", "torch._inductor", "sympy")
print("torch", torch.__version__)
parameter = torch.nn.Parameter(torch.zeros(2))
before, modules = [name in sys.modules for name in COMPILER], len(sys.modules)
began = time.process_time()
torch.optim.SGD([parameter], lr=0.1)
seconds = time.process_time() - began
after, added = [name in sys.modules for name in COMPILER], len(sys.modules) - modules
began = time.process_time()
torch.optim.SGD([parameter], lr=0.1)
again = time.process_time() - began
print("before:", dict(zip(COMPILER, before)))
print("after: ", dict(zip(COMPILER, after)), f"{added} more modules")
print(f"first optimizer {seconds:.2f} s of processor time, second {again:.4f} s")
if any(before) or not all(after) or added < 300:
    sys.exit("this has changed")
PYTHON
echo "as described"
