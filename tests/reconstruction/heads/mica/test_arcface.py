"""The identity network against its published figures, and by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dubfew.errors import ShapeError
from dubfew.reconstruction.heads.mica.arcface import (
    IRESNET_DEPTHS,
    IResNet,
    IResNetBlock,
    embed_faces,
)
from dubfew.reconstruction.heads.mica.mapping import MappingNetwork


@pytest.mark.parametrize(("depth", "millions"), [("r50", 43.590848), ("r100", 65.156160)])
def test_as_many_parameters_as_published(depth, millions):
    with torch.device("meta"):
        network = IResNet(IRESNET_DEPTHS[depth])
    assert sum(p.numel() for p in network.parameters()) == round(millions * 1e6)


def test_names_and_shapes_of_the_published_weights():
    with torch.device("meta"):
        own = {n: tuple(v.shape) for n, v in IResNet(IRESNET_DEPTHS["r100"]).state_dict().items()}
    norm = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    expected = {"conv1.weight": (64, 3, 3, 3), "prelu.weight": (64,)}
    expected |= {"fc.weight": (512, 25088), "fc.bias": (512,)}
    norms = {"bn1": 64, "bn2": 512, "features": 512}
    before = 64
    for layer, (width, count) in enumerate([(64, 3), (128, 13), (256, 30), (512, 3)], 1):
        for block in range(count):
            at = f"layer{layer}.{block}"
            expected[f"{at}.conv1.weight"] = (width, before, 3, 3)
            expected[f"{at}.conv2.weight"] = (width, width, 3, 3)
            expected[f"{at}.prelu.weight"] = (width,)
            norms |= {f"{at}.bn1": before, f"{at}.bn2": width, f"{at}.bn3": width}
            if block == 0:
                expected[f"{at}.downsample.0.weight"] = (width, before, 1, 1)
                norms[f"{at}.downsample.1"] = width
            before = width
    for name, width in norms.items():
        expected |= {f"{name}.{part}": (width,) for part in norm}
        expected[f"{name}.num_batches_tracked"] = ()
    assert own == expected


def test_a_block_by_hand():
    torch.manual_seed(0)
    block = IResNetBlock(3, 4, 2)
    for module in block.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    block.eval()
    x = torch.randn(2, 3, 8, 8)

    def norm(y, layer):
        scale = layer.weight / torch.sqrt(layer.running_var + 1e-5)
        return (y - layer.running_mean[:, None, None]) * scale[:, None, None] + layer.bias[
            :, None, None
        ]

    y = norm(F.conv2d(norm(x, block.bn1), block.conv1.weight, padding=1), block.bn2)
    y = torch.where(y > 0, y, y * 0.25)
    y = norm(F.conv2d(y, block.conv2.weight, stride=2, padding=1), block.bn3)
    y = y + norm(F.conv2d(x, block.downsample[0].weight, stride=2), block.downsample[1])
    torch.testing.assert_close(block(x), y)


def test_embed_gives_unit_vectors_of_rgb_in_minus_one_to_one():
    seen = []

    class Spy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = torch.nn.Conv2d(3, 1, 1)

        def forward(self, pictures):
            seen.append(pictures.clone())
            return torch.ones(len(pictures), 512)

    chips = np.zeros((9, 112, 112, 3), np.uint8)
    chips[..., 0] = 255
    codes = embed_faces(Spy(), chips)
    assert codes.shape == (9, 512)
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, rtol=1e-6)
    pictures = torch.cat(seen)
    assert pictures.shape == (9, 3, 112, 112)
    assert (pictures[:, 0] == 1).all()
    assert (pictures[:, 1:] == -1).all()
    assert embed_faces(Spy(), chips[:0]).shape == (0, 512)


@pytest.mark.parametrize(
    "chips", [np.zeros((1, 112, 112, 3)), np.zeros((112, 112, 3), np.uint8)], ids=["float", "one"]
)
def test_other_pictures_are_refused(chips):
    with pytest.raises(ShapeError, match=r"expected uint8 \[N, 112, 112, 3\]"):
        embed_faces(IResNet((1, 1, 1, 1)), chips)


def test_mapping_by_hand():
    torch.manual_seed(0)
    mapping = MappingNetwork()
    assert {n: tuple(v.shape) for n, v in mapping.state_dict().items()} == {
        "network.0.weight": (300, 512),
        "network.0.bias": (300,),
        **{f"network.{i}.weight": (300, 300) for i in (1, 2, 3)},
        **{f"network.{i}.bias": (300,) for i in (1, 2, 3)},
        "output.weight": (300, 300),
        "output.bias": (300,),
    }
    codes = F.normalize(torch.randn(2, 512))
    x = codes
    for layer in mapping.network:
        x = x @ layer.weight.T + layer.bias
        x = torch.where(x > 0, x, 0.2 * x)
    torch.testing.assert_close(mapping(codes), x @ mapping.output.weight.T + mapping.output.bias)
