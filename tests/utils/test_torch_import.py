"""torch's shape rules: left out of its import, and there for whatever needs them."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from dubfew.utils.torch_import import SHAPE_RULES, defer_shape_rules
defer_shape_rules()
import torch
assert "torch._decomp" not in sys.modules  # which the rules import
layer = torch.nn.Linear(3, 4)
"""
USES = {
    "optimizer": "torch.optim.Adam(layer.parameters())",
    "attribute": "assert callable(torch._meta_registrations.meta_conv)",
    "name": "from torch._meta_registrations import meta_conv",
    "part": "import torch._prims as prims, torch._refs; assert callable(prims.add)",
    "distributed": "import torch.distributed.tensor",
    "export": "torch.export.export(layer, (torch.ones(1, 3),))",
    "compile": "torch.compile(layer, backend='eager')(torch.ones(1, 3))",
}


@pytest.mark.parametrize("use", USES)
def test_the_rules_are_there_when_they_are_needed(use: str) -> None:
    check = """
from torch._subclasses.fake_tensor import FakeTensorMode
assert "torch._decomp" in sys.modules
assert torch._prims.__spec__.submodule_search_locations
with torch.device("meta"):
    image, network = torch.zeros(1, 3, 8, 8), torch.nn.Conv2d(3, 4, 3)
assert network(image).shape == (1, 4, 6, 6)
"""
    subprocess.run([sys.executable, "-c", PROGRAM + USES[use] + check], check=True, timeout=300)


def test_networks_are_made_without_weights_and_compute_without_the_rules() -> None:
    use = """
with torch.device("meta"):
    torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(3, 4), torch.nn.PReLU(3))
assert layer(torch.ones(2, 3)).shape == (2, 4)
assert "torch._decomp" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", PROGRAM + use], check=True, timeout=300)
