#!/usr/bin/env bash
# PEFT 0.21.2 with torch 2.13.0: LoRA on the output projection of torch.nn.MultiheadAttention.
#
# Expected: a Linear that target_modules names gets a LoRA layer that is trained and is used in the
# forward pass, or the name is refused.
# Seen: inject_adapter_in_model wraps `out_proj` without a warning. MultiheadAttention never calls
# its out_proj; it passes out_proj.weight to a functional form. So the LoRA layer takes no part in
# the forward pass, and its parameters get no gradient though they require one. Merging the
# adapter then does change the output, if its weights are not zero.
# So renderers with attention should use plain Linear layers and scaled_dot_product_attention, and
# a test should see that every parameter that requires a gradient gets one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "peft==0.21.2" "torch==2.13.0" "numpy<2.4"
"$folder/venv/bin/python" - <<'PYTHON'
import warnings

import peft
import torch
from peft import LoraConfig, inject_adapter_in_model


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = torch.nn.Linear(8, 8)

    def forward(self, x):
        return self.head(self.attention(x, x, x)[0])


torch.manual_seed(0)
model, x = Model(), torch.randn(2, 5, 8)
config = LoraConfig(r=2, target_modules=["out_proj", "head"], init_lora_weights=False)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = inject_adapter_in_model(config, model)
    model(x).sum().backward()
print("peft", peft.__version__, "torch", torch.__version__)
print("warnings that name out_proj:", sum("out_proj" in str(w.message) for w in caught))
gradients = {
    name: parameter.grad is not None
    for name, parameter in model.named_parameters()
    if "lora_" in name
}
for name, has_gradient in gradients.items():
    print(f"{name}: {'gradient' if has_gradient else 'no gradient'}")
with torch.no_grad():
    unmerged = model(x)
    model.attention.out_proj.merge()
    change = float((model(x) - unmerged).abs().max())
print(f"merging out_proj changes the output by {change:.2f}")

assert not any("out_proj" in str(w.message) for w in caught)
assert all(has == name.startswith("head") for name, has in gradients.items()), gradients
assert change > 0.1
print("as described")
PYTHON
