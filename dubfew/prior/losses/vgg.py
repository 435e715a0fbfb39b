"""VGG-19 as far as losses need it, and the file of its weights.

The weights are torchvision's (ImageNet, BSD-3-Clause). They are not shipped: 575 MB. They are
read from a path, or from dubfew's cache, where `fetch_vgg19` puts them when asked to.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import torch
from platformdirs import user_cache_dir
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.errors import AssetError
from dubfew.utils.files import atomic_path, sha256_file
from dubfew.utils.torch_checkpoint import load_torch_weights, load_weights_into

VGG19_FILE = "vgg19-dcbb9e9d.pth"
VGG19_URL = f"https://download.pytorch.org/models/{VGG19_FILE}"
VGG19_SHA256 = "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"

# Channels of the convolutions of each block, a maximum over 2 x 2 px between blocks; nothing
# after the first convolution of the last block is looked at.
VGG19_BLOCK_CHANNELS = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512,))
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Vgg19(nn.Module):
    """Features relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1; never trained.

    Parameters have torchvision's names.

    Source: Simonyan and Zisserman 2015, configuration E.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict()
        # First convolution of each block, and all of them in order.
        self.block_layers: list[list[str]] = []
        place, before = 0, 3
        for widths in VGG19_BLOCK_CHANNELS:
            names = []
            for width in widths:
                self.features[str(place)] = nn.Conv2d(before, width, 3, padding=1)
                names.append(str(place))
                place, before = place + 2, width  # each is followed by a ReLU
            self.block_layers.append(names)
            place += 1  # the maximum
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.mean: Tensor
        self.spread: Tensor
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of RGB in [0, 1] [B, 3, S, S], finest first. [B, C, s, s] each"""
        x = (images - self.mean) / self.spread
        found = []
        for number, names in enumerate(self.block_layers):
            if number:
                x = F.max_pool2d(x, 2)
            for name in names:
                x = F.relu(self.features[name](x))
                if name == names[0]:
                    found.append(x)
        return found


def load_vgg19(path: Path | None = None) -> Vgg19:
    """The network with its weights.

    Args:
        path: torchvision's file of the weights; the one in dubfew's cache by default.

    Raises:
        AssetError: no such file, or not those weights.
    """
    path = Path(path) if path else default_vgg19_path()
    expected = f"expected {VGG19_FILE} from {VGG19_URL}"
    missing = (
        f"no VGG-19 weights at {path}: fetch them with `dubfew prior fetch-vgg`, or put "
        f"{VGG19_URL} there by hand"
    )
    model = Vgg19()
    load_weights_into(
        model, load_torch_weights(path, expected, missing_message=missing), path, "VGG-19", expected
    )
    return model


def default_vgg19_path() -> Path:
    """Where the weights are looked for unless told otherwise."""
    return Path(user_cache_dir("dubfew", appauthor=False)) / VGG19_FILE


def fetch_vgg19(path: Path | None = None, url: str = VGG19_URL, sha256: str = VGG19_SHA256) -> Path:
    """Download the weights, unless they are there.

    Args:
        path: where to put them; dubfew's cache by default.
        url: where from.
        sha256: what the file has to hash to.

    Raises:
        AssetError: they cannot be had, or are not what they should be.
    """
    path = Path(path) if path else default_vgg19_path()
    if path.exists() and sha256_file(path) == sha256:
        return path
    with atomic_path(path) as temporary:
        try:
            with urllib.request.urlopen(url, timeout=30) as source, temporary.open("wb") as file:
                while block := source.read(1 << 20):
                    file.write(block)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise AssetError(
                f"{url} cannot be fetched ({getattr(error, 'reason', error)}): download it "
                f"elsewhere and put it at {path}"
            ) from error
        found = sha256_file(temporary)
        if found != sha256:
            raise AssetError(
                f"{url} gave a file with SHA-256 {found[:12]}, expected {sha256[:12]}: try again"
            )
    return path
