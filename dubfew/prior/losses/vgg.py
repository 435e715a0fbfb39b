"""The layers of VGG-19 that losses need, and the file of their weights.

The weights are torchvision's (ImageNet, BSD-3-Clause). Their file has 575 MB and does not ship
with dubfew. It is read from a path of the user's or from dubfew's cache, where `fetch_vgg19`
(``dubfew prior fetch-vgg``) puts it.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import torch
from platformdirs import user_cache_dir
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.errors import AssetError
from dubfew.utils.files import atomic_path, check_output_path, sha256_file
from dubfew.utils.torch_checkpoint import load_torch_weights, load_weights_into

# Name, address and SHA-256 of torchvision's file of weights.
VGG19_FILE = "vgg19-dcbb9e9d.pth"
VGG19_URL = f"https://download.pytorch.org/models/{VGG19_FILE}"
VGG19_SHA256 = "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"

# Channels of the convolutions in each block; a maximum over 2 x 2 px separates blocks. The last
# block ends with its third convolution, since no loss uses deeper features.
VGG19_BLOCK_CHANNELS = (
    (64, 64),
    (128, 128),
    (256, 256, 256, 256),
    (512, 512, 512, 512),
    (512, 512, 512),
)
# Layers that perceptual losses compare, finest first.
PERCEPTUAL_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
# Mean and standard deviation of RGB that torchvision's weights expect to be taken out.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Vgg19(nn.Module):
    """Features of VGG-19 up to relu5_3; never trained.

    Source: Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image
    Recognition" (arXiv 1409.1556), configuration E.
    """

    def __init__(self) -> None:
        """Make the layers with fresh weights, under the names that torchvision gives them."""
        super().__init__()
        self.features = nn.ModuleDict()
        # Names of the convolutions of each block. In torchvision a name is the position in a list
        # that also holds a ReLU after each convolution and the maximum after each block.
        self.block_layers: list[list[str]] = []
        position, channels = 0, 3
        for widths in VGG19_BLOCK_CHANNELS:
            names = []
            for width in widths:
                self.features[str(position)] = nn.Conv2d(channels, width, 3, padding=1)
                names.append(str(position))
                position, channels = position + 2, width
            self.block_layers.append(names)
            position += 1
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.mean: Tensor
        self.spread: Tensor
        self.requires_grad_(False)

    def forward(self, images: Tensor, layers: Sequence[str] = PERCEPTUAL_LAYERS) -> list[Tensor]:
        """Compute the features of images.

        Args:
            images: RGB in [0, 1]. [B, 3, H, W]
            layers: names of the layers in their order, "relu1_1" to "relu5_3": block, then
                convolution. Layers behind the last one are not computed.

        Returns:
            A tensor of features for each of the layers. [B, C, h, w]

        Raises:
            ValueError: There is no such layer.
        """
        wanted = set(layers)
        x = (images - self.mean) / self.spread
        features = {}
        for number, names in enumerate(self.block_layers, 1):
            if number > 1:  # between blocks
                x = F.max_pool2d(x, 2)
            for place, name in enumerate(names, 1):
                x = F.relu(self.features[name](x))
                layer = f"relu{number}_{place}"
                if layer in wanted:
                    features[layer] = x
                    if len(features) == len(wanted):
                        return [features[each] for each in layers]
        raise ValueError(f"no layers {sorted(wanted - set(features))}: the last one is relu5_3")


def load_vgg19(path: Path | None = None) -> Vgg19:
    """Load the network with torchvision's weights.

    Args:
        path: torchvision's file; the one in dubfew's cache by default.

    Raises:
        AssetError: The file does not exist, is damaged, or holds other weights.
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
    """Return the path of the weights in dubfew's cache."""
    return Path(user_cache_dir("dubfew", appauthor=False)) / VGG19_FILE


def fetch_vgg19(
    path: Path | None = None,
    url: str = VGG19_URL,
    sha256: str = VGG19_SHA256,
    *,
    overwrite: bool = False,
) -> Path:
    """Download the weights, unless they are there.

    Args:
        path: file to write; the one in dubfew's cache by default.
        url: address to download from.
        sha256: expected SHA-256 of the file.
        overwrite: replace another file at ``path``. One in the cache is always replaced.

    Returns:
        Path of the file.

    Raises:
        OutputExistsError: ``path`` is another file and ``overwrite`` is False.
        AssetError: The download failed, or the file has another SHA-256.
    """
    # The cache holds nothing but these weights: a file that differs is a damaged one.
    overwrite = overwrite or path is None
    path = Path(path) if path else default_vgg19_path()
    if path.is_file() and sha256_file(path) == sha256:
        return path
    check_output_path(path, overwrite=overwrite)
    # Under its name only when it is complete and has the right hash.
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
