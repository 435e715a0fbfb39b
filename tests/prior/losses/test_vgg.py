"""VGG-19: its features, its losses, and the file of its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from dubfew.errors import AssetError, OutputExistsError
from dubfew.prior.losses import (
    Vgg19,
    default_vgg19_path,
    fetch_vgg19,
    load_vgg19,
    perceptual_and_style_losses,
    two_scale_perceptual_loss,
)
from dubfew.utils.files import sha256_file

# As torchvision stores them: name, output and input channels.
CONVOLUTIONS = [
    (0, 64, 3),
    (2, 64, 64),
    (5, 128, 64),
    (7, 128, 128),
    (10, 256, 128),
    *((i, 256, 256) for i in (12, 14, 16)),
    (19, 512, 256),
    *((i, 512, 512) for i in (21, 23, 25, 28, 30, 32, 34)),
]


def random_weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    weights = {}
    for place, out, given in CONVOLUTIONS:
        spread = (2 / given / 9) ** 0.5
        weights[f"features.{place}.weight"] = torch.randn(out, given, 3, 3) * spread
        weights[f"features.{place}.bias"] = torch.zeros(out)
    weights["classifier.6.bias"] = torch.zeros(1000)
    return weights


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("vgg") / "vgg19-dcbb9e9d.pth"
    # The published file is from before torch stored zip files.
    torch.save(random_weights(), path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def vgg(stored) -> Vgg19:
    return load_vgg19(stored)


@pytest.mark.slow
def test_features_are_those_of_the_plain_network(vgg):
    layers: list[torch.nn.Module] = []
    for place, out, given in CONVOLUTIONS[:13]:
        if place in (5, 10, 19, 28):
            layers.append(torch.nn.MaxPool2d(2))
        layers += [torch.nn.Conv2d(given, out, 3, padding=1), torch.nn.ReLU()]
        layers[-2].load_state_dict(
            {n: random_weights_of(vgg, place, n) for n in ("weight", "bias")}
        )
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    x = (images - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    found = []
    for place, layer in enumerate(layers):
        x = layer(x)
        # torchvision's numbers of relu1_1, relu2_1, relu3_1, relu4_1, relu5_1
        if place in (1, 6, 11, 20, 29):
            found.append(x)
    assert [f.shape[1] for f in found] == [64, 128, 256, 512, 512]
    for mine, plain in zip(vgg(images), found, strict=True):
        torch.testing.assert_close(mine, plain)


def test_deeper_layers_and_unknown_ones(vgg):
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    last, first = vgg(images, ("relu5_3", "relu5_1"))
    x = first
    for place in (30, 32):
        state = vgg.state_dict()
        x = F.conv2d(x, state[f"features.{place}.weight"], state[f"features.{place}.bias"], 1, 1)
        x = x.relu()
    torch.testing.assert_close(last, x)
    with pytest.raises(ValueError, match="relu5_4"):
        vgg(images, ("relu5_4",))


def random_weights_of(vgg: Vgg19, place: int, name: str) -> torch.Tensor:
    return vgg.state_dict()[f"features.{place}.{name}"]


def test_nothing_in_it_is_trainable(vgg):
    assert not any(p.requires_grad for p in vgg.parameters())


@pytest.mark.slow
def test_perceptual_and_style(vgg):
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 3, 32, 32, generator=generator)
    weights = torch.ones(2, 1, 32, 32)
    same = perceptual_and_style_losses(vgg, truth, truth, weights)
    assert {n: float(v) for n, v in same.items()} == {"perceptual": 0.0, "style": 0.0}
    other = (truth + 0.2 * torch.rand(truth.shape, generator=generator)).requires_grad_()
    terms = perceptual_and_style_losses(vgg, other, truth, weights)
    assert min(float(v.detach()) for v in terms.values()) > 1e-4
    sum(terms.values()).backward()
    assert torch.isfinite(other.grad).all()
    assert other.grad.any()


def test_style_hardly_depends_on_positions(vgg):
    truth = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    weights = torch.ones(1, 1, 32, 32)
    moved = perceptual_and_style_losses(vgg, truth.roll(16, 3), truth, weights)
    soft = perceptual_and_style_losses(vgg, truth * 0 + truth.mean(), truth, weights)
    style, content = (float(moved[n] / soft[n]) for n in ("style", "perceptual"))
    assert style < 0.25
    assert style < 0.6 * content


@pytest.mark.slow
def test_two_scales_are_the_mean_over_layers_and_scales(vgg):
    generator = torch.Generator().manual_seed(2)
    truth, other = torch.rand(2, 1, 3, 64, 32, generator=generator)
    assert float(two_scale_perceptual_loss(vgg, truth, truth)) == 0
    halves = [F.interpolate(x, scale_factor=0.5, mode="bilinear") for x in (other, truth)]
    expected = [
        (a - b).abs().mean()
        for images in ((other, truth), halves)
        for a, b in zip(*(vgg(x) for x in images), strict=True)
    ]
    loss = two_scale_perceptual_loss(vgg, other.requires_grad_(), truth)
    torch.testing.assert_close(loss, torch.stack(expected).mean())
    loss.backward()
    assert torch.isfinite(other.grad).all()
    assert other.grad.abs().sum() > 0


def test_missing_weights(tmp_path, monkeypatch):
    missing = tmp_path / "none.pth"
    with pytest.raises(AssetError, match=r"none\.pth.*fetch-vgg.*https://"):
        load_vgg19(missing)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_vgg19_path().name == "vgg19-dcbb9e9d.pth"


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04broken"])
def test_damaged_weights(tmp_path, content):
    path = tmp_path / "vgg.pth"
    path.write_bytes(content)
    with pytest.raises(AssetError, match="not a file of weights"):
        load_vgg19(path)


def test_code_in_the_file_is_not_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    torch.save({"features.0.weight": Harm()}, tmp_path / "vgg.pth")
    with pytest.raises(AssetError, match="not a file of weights"):
        load_vgg19(tmp_path / "vgg.pth")
    assert not (tmp_path / "harmed").exists()


def test_weights_of_another_network(tmp_path):
    torch.save({"features.0.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(AssetError, match="is not VGG-19"):
        load_vgg19(tmp_path / "other.pth")


def test_fetching(tmp_path):
    source, target = tmp_path / "there.pth", tmp_path / "cache" / "here.pth"
    source.write_bytes(b"weights")
    url = source.as_uri()
    with pytest.raises(AssetError, match="expected 000000"):
        fetch_vgg19(target, url, "0" * 64)
    assert list(target.parent.iterdir()) == []
    assert fetch_vgg19(target, url, sha256_file(source)) == target
    assert target.read_bytes() == b"weights"
    source.unlink()
    # It is there already.
    fetch_vgg19(target, url, sha256_file(target))


def test_fetching_does_not_replace_another_file(tmp_path):
    source, target = tmp_path / "there.pth", tmp_path / "mine.pth"
    source.write_bytes(b"weights")
    target.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        fetch_vgg19(target, source.as_uri(), sha256_file(source))
    assert target.read_bytes() == b"mine"
    fetch_vgg19(target, source.as_uri(), sha256_file(source), overwrite=True)
    assert target.read_bytes() == b"weights"


def test_the_error_of_fetching_offline_says_what_to_do(tmp_path):
    gone = (tmp_path / "gone").as_uri()
    with pytest.raises(AssetError, match=r"gone.*put it at .*here\.pth") as error:
        fetch_vgg19(tmp_path / "here.pth", gone)
    assert "\n" not in str(error.value)
