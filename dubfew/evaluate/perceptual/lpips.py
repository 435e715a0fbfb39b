"""LPIPS: distance of two pictures in the features of a network that recognizes objects.

The backbone is torchvision's, read from a file. The weights of its layers are those of the package
``lpips``, whose wheel holds them. They are read as a file: the package itself imports torchvision,
which cannot be imported where its build does not belong to torch's.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dubfew.errors import MissingDependencyError
from dubfew.evaluate.metrics._base import RgbImage, check_image_pair
from dubfew.utils.import_utils import OPTIONAL_PACKAGES
from dubfew.utils.torch_checkpoint import load_torch_weights, load_weights_into

# Mean and spread of RGB in [-1, 1] that are taken out, as in the original's ``ScalingLayer``: they
# are ImageNet's.
LPIPS_MEAN, LPIPS_STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# Added to the length of a feature vector before it is divided by it, as in the original.
LENGTH_EPSILON = 1e-10
# Version of the layers' weights, in which they are trained on frozen backbones; papers use it.
LPIPS_VERSION = "v0.1"


def _alexnet_layers() -> tuple[list[nn.Module], tuple[int, ...]]:
    """Make AlexNet's feature layers; the second value says after which ones features are taken."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 11, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
    ]
    for before, after in ((192, 384), (384, 256), (256, 256)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return layers, (1, 4, 7, 9, 11)


def _vgg16_layers() -> tuple[list[nn.Module], tuple[int, ...]]:
    """Make VGG-16's feature layers; the second value says after which ones features are taken."""
    layers: list[nn.Module] = []
    taken, channels = [], 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers += [nn.MaxPool2d(2)] if layers else []
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        taken.append(len(layers) - 1)
    return layers, tuple(taken)


# Layers by the names that the package ``lpips`` gives the backbones.
BACKBONES = {"alex": _alexnet_layers, "vgg": _vgg16_layers}


class FeatureBackbone(nn.Module):
    """The feature layers of a backbone under torchvision's names."""

    def __init__(self, net: str) -> None:
        super().__init__()
        layers, self.taken = BACKBONES[net]()
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute five layers of features of normalized images [B, 3, H, W], finest first."""
        found = []
        for position, layer in enumerate(self.features):
            images = layer(images)
            if position in self.taken:
                found.append(images)
        return found


class Lpips(nn.Module):
    """Learned perceptual image patch similarity.

    Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric" (arXiv 1801.03924), eq. 1, version 0.1.
    """

    def __init__(self, backbone: FeatureBackbone, heads: list[Tensor]) -> None:
        """Join a backbone and the weights of its layers' channels. [C] each"""
        super().__init__()
        self.backbone, self.heads = backbone, heads
        self.register_buffer("mean", torch.tensor(LPIPS_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(LPIPS_STD).view(3, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute the distance of images [B, 3, H, W] in [-1, 1]. [B]

        Args:
            first: RGB in [-1, 1], as the published weights expect. [B, 3, H, W]
            second: same shape; the distance is symmetric. [B, 3, H, W]
        """
        ours, theirs = (self.backbone((x - self.mean) / self.std) for x in (first, second))
        total = first.new_zeros(len(first))
        for head, a, b in zip(self.heads, ours, theirs, strict=True):
            difference = (_unit_length(a) - _unit_length(b)) ** 2
            total = total + torch.einsum("c,bchw->bhw", head, difference).mean((1, 2))
        return total

    def measure(self, reference: RgbImage, output: RgbImage) -> float:
        """Compute the distance of two images [H, W, 3] uint8 RGB.

        Args:
            reference: the original. [H, W, 3]
            output: the output, of the same size. [H, W, 3]

        Raises:
            ShapeError: The images differ in size, or are not uint8 RGB.
        """
        check_image_pair(reference, output)
        first, second = (
            torch.from_numpy(np.ascontiguousarray(x)).permute(2, 0, 1)[None].float() / 127.5 - 1
            for x in (reference, output)
        )
        with torch.inference_mode():
            return float(self(first, second))


def _unit_length(features: Tensor) -> Tensor:
    """Divide the features at each place [B, C, H, W] by their length."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + LENGTH_EPSILON)


def load_backbone(net: str, path: Path) -> FeatureBackbone:
    """Load a backbone from torchvision's file.

    Args:
        net: one of ``BACKBONES``.
        path: file of the weights.

    Raises:
        AssetError: The file is not that of the backbone.
    """
    name = {"alex": "AlexNet", "vgg": "VGG-16"}[net]
    expected = f"give torchvision's file of {name}"
    with torch.device("meta"):
        backbone = FeatureBackbone(net)
    load_weights_into(backbone, load_torch_weights(path, expected), path, name, expected)
    return backbone


def load_lpips(net: str, path: Path) -> Lpips:
    """Load LPIPS.

    Args:
        net: one of ``BACKBONES``.
        path: torchvision's file of the backbone.

    Raises:
        AssetError: The file is not that of the backbone.
        MissingDependencyError: The package ``lpips`` is not installed.
    """
    backbone = load_backbone(net, path)
    file = find_heads_folder() / f"{net}.pth"
    stored = load_torch_weights(file, "install the package lpips again")
    heads = [stored[f"lin{k}.model.1.weight"].reshape(-1).clone() for k in range(5)]
    return Lpips(backbone, heads).eval()


def find_heads_folder() -> Path:
    """Find the folder of the layers' weights in the package ``lpips``, without importing it.

    Raises:
        MissingDependencyError: The package is not installed.
    """
    package = OPTIONAL_PACKAGES["lpips"]
    spec = importlib.util.find_spec(package.module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(f"{package.distribution} is not installed: {package.install}")
    return Path(spec.submodule_search_locations[0]) / "weights" / LPIPS_VERSION
