#!/usr/bin/env bash
# PEFT 0.21.2 with torch 2.13.0: LoRA on layers with spectral or weight normalization.
#
# Expected: merging an adapter into a layer leaves the output as it was with the adapter beside it,
# or the layer is refused.
# Seen: on Linear and Conv2d with torch.nn.utils.parametrizations.spectral_norm or weight_norm, LoRA
# is injected, trained and used in the forward pass without a word. Merging writes into `weight`,
# which such layers compute anew from other tensors at every use. So the merged layer gives the base
# layer's output: the adapter is gone, without a warning, also with safe_merge and merge_and_unload.
# The older hooks torch.nn.utils.spectral_norm and weight_norm behave the same.
# So adapters of networks with normalized weights (discriminators, vocoders) have to stay unmerged,
# or the normalization is removed before they are injected.
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
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from torch.nn.utils import parametrizations

KINDS = {
    "plain": lambda layer: layer,
    "spectral_norm": parametrizations.spectral_norm,
    "weight_norm": parametrizations.weight_norm,
    "older spectral_norm": nn.utils.spectral_norm,
    "older weight_norm": nn.utils.weight_norm,
}


def measure(layer: nn.Module, x: torch.Tensor) -> tuple[float, float, float]:
    """Return the adapter's largest effect: unmerged, after merge, after merge_and_unload."""
    base = nn.Sequential()
    base.add_module("layer", layer)
    base.eval()
    with torch.no_grad():
        without = base(x)
        config = LoraConfig(r=2, target_modules=["layer"], init_lora_weights=False)
        model = get_peft_model(base, config).eval()
        assert isinstance(model, PeftModel)
        unmerged = model(x)
        model.merge_adapter(safe_merge=True)
        merged = model(x)
        model.unmerge_adapter()
        unloaded = model.merge_and_unload(safe_merge=True)(x)
    return tuple(float((each - without).abs().max()) for each in (unmerged, merged, unloaded))


print("peft", peft.__version__, "torch", torch.__version__)
torch.manual_seed(0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name, normalize in KINDS.items():
        for layer, x in (
            (nn.Linear(8, 8), torch.randn(4, 8)),
            (nn.Conv2d(4, 4, 3, padding=1), torch.randn(1, 4, 8, 8)),
        ):
            effects = measure(normalize(layer), x)
            print(
                f"{name}, {type(layer).__name__}: the adapter changes the output by "
                f"{effects[0]:.2f}, merged by {effects[1]:.2f}, unloaded by {effects[2]:.2f}"
            )
            assert effects[0] > 0.1
            if name == "plain":
                assert abs(effects[1] - effects[0]) < 1e-4, effects
                assert abs(effects[2] - effects[0]) < 1e-4, effects
            else:
                assert max(effects[1:]) < 1e-6, effects
# torch's own word on the older hooks is no word of PEFT's on merging
assert not any("merg" in str(each.message).lower() for each in caught)
print("as described")
PYTHON
