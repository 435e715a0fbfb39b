"""LPIPS on random weights of the true format, against a plain formula and the package lpips."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dubfew.errors import AssetError
from dubfew.evaluate.perceptual import lpips as module
from dubfew.evaluate.perceptual.lpips import FeatureBackbone, load_lpips

# Channels of the five layers.
WIDTHS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with backbones as torchvision stores them, and with heads as lpips does."""
    for net, widths in WIDTHS.items():
        torch.manual_seed(1)
        state = dict(FeatureBackbone(net).state_dict())
        state["classifier.1.weight"] = torch.zeros(4, 4)  # the rest of torchvision's file
        torch.save(state, tmp_path / f"{net}-backbone.pth")
        heads = {f"lin{k}.model.1.weight": torch.rand(1, c, 1, 1) for k, c in enumerate(widths)}
        torch.save(heads, tmp_path / f"{net}.pth")
    monkeypatch.setattr(module, "find_heads_folder", lambda: tmp_path)
    return tmp_path


def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return tuple(rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(2))


@pytest.mark.slow
def test_value_equals_a_formula_that_is_written_out(files: Path):
    """AlexNet, layer by layer from the file's names, in double precision."""
    first, second = pictures()
    state = torch.load(files / "alex-backbone.pth")
    heads = torch.load(files / "alex.pth")
    mean, std = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    layers = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))  # name, stride, padding
    found = []
    for picture in (first, second):
        x = torch.from_numpy(picture).double() / 255 * 2 - 1
        x = ((x - mean) / std).permute(2, 0, 1)[None]
        features = []
        for number, (name, stride, padding) in enumerate(layers):
            if number in (1, 2):
                x = F.max_pool2d(x, 3, 2)
            weight, bias = (
                state[f"features.{name}.{part}"].double() for part in ("weight", "bias")
            )
            x = F.relu(F.conv2d(x, weight, bias, stride, padding))
            features.append(x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10))
        found.append(features)
    expected = sum(
        (heads[f"lin{k}.model.1.weight"].double() * (a - b) ** 2).sum(1).mean().item()
        for k, (a, b) in enumerate(zip(*found, strict=True))
    )
    network = load_lpips("alex", files / "alex-backbone.pth")
    assert network.measure(first, second) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("net", WIDTHS)
def test_equal_pictures_have_distance_zero(net: str, files: Path):
    first, second = pictures()
    network = load_lpips(net, files / f"{net}-backbone.pth")
    assert network.measure(first, first) == 0
    assert network.measure(first, second) > 0.01


@pytest.mark.parametrize("net", WIDTHS)
def test_package_gives_the_same(net: str, files: Path):
    try:
        import lpips
    # A build of torchvision that does not belong to torch's raises RuntimeError.
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"the package lpips cannot be imported: {error}")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = lpips.LPIPS(net=net, pnet_rand=True, pretrained=False, verbose=False)
    state = torch.load(files / f"{net}-backbone.pth")
    slices = {name: state[f"features.{name.split('.', 1)[1]}"] for name in theirs.net.state_dict()}
    theirs.net.load_state_dict(slices)
    theirs.load_state_dict(torch.load(files / f"{net}.pth"), strict=False)
    # The modules' list holds the same layers.
    first, second = pictures()
    with torch.inference_mode():
        expected = float(theirs.eval()(*(lpips.im2tensor(x) for x in (first, second))))
    value = load_lpips(net, files / f"{net}-backbone.pth").measure(first, second)
    assert value == pytest.approx(expected, abs=1e-4)


def test_another_file_is_refused(files: Path):
    with pytest.raises(AssetError, match=r"vgg-backbone.*AlexNet"):
        load_lpips("alex", files / "vgg-backbone.pth")
