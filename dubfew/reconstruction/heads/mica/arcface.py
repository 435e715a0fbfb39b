"""ArcFace's network: an aligned picture of a face -> a code of whose face it is.

Modules have the names of the released weights, so that those load as they are. Source: Deng et
al. 2019, ArcFace; Duta et al. 2020, Improved Residual Networks (bn, conv, bn, prelu, conv, bn).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.errors import ShapeError
from dubfew.reconstruction.heads.mica.crop import CHIP_SIZE_PX

IDENTITY_CODE_SIZE = 512  # length of an identity code
LAYER_CHANNELS = (64, 128, 256, 512)
# Blocks in each of the four layers. MICA's own is r100.
IRESNET_DEPTHS = {
    "r18": (2, 2, 2, 2),
    "r34": (3, 4, 6, 3),
    "r50": (3, 4, 14, 3),
    "r100": (3, 13, 30, 3),
}
EMBEDDING_BATCH_SIZE = 8  # pictures at once: 8 x 64 x 112 x 112 floats are 26 MB


class IResNetBlock(nn.Module):
    """Improved residual block, without a nonlinearity after the sum.

    Args:
        in_channels: number of input channels.
        out_channels: number of output channels.
        stride: 2 halves the size of the picture.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.prelu = nn.PReLU(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Transform features [B, C, h, w]."""
        y = self.conv1(self.bn1(x))
        y = self.conv2(self.prelu(self.bn2(y)))
        return self.bn3(y) + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """ArcFace's network: from a picture of a face to a code of the person.

    Args:
        depths: blocks in each of the four layers, one of ``IRESNET_DEPTHS``.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, LAYER_CHANNELS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(LAYER_CHANNELS[0])
        self.prelu = nn.PReLU(LAYER_CHANNELS[0])
        # The first block of each layer halves the picture and widens the channels.
        before = LAYER_CHANNELS[0]
        for number, (width, depth) in enumerate(zip(LAYER_CHANNELS, depths, strict=True), 1):
            blocks = [
                IResNetBlock(before if i == 0 else width, width, 1 + (i == 0)) for i in range(depth)
            ]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
            before = width
        self.bn2 = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before * (CHIP_SIZE_PX // 16) ** 2, IDENTITY_CODE_SIZE)
        self.features = nn.BatchNorm1d(IDENTITY_CODE_SIZE)

    def forward(self, images: Tensor) -> Tensor:
        """Compute codes [N, 512], not normalized, from RGB in [-1, 1] [N, 3, 112, 112]."""
        x = self.prelu(self.bn1(self.conv1(images)))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))


def embed_faces(network: IResNet, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute a code of the person in each picture.

    The dot product of two codes is near 1 for one person.

    Args:
        network: network with its weights.
        chips: aligned pictures, RGB, as ``crop.chip`` makes them. [N, 112, 112, 3] uint8

    Returns:
        Unit vectors. [N, 512]

    Raises:
        ShapeError: other pictures than those.
    """
    if (
        chips.ndim != 4
        or chips.shape[1:] != (CHIP_SIZE_PX, CHIP_SIZE_PX, 3)
        or chips.dtype != np.uint8
    ):
        raise ShapeError(
            f"chips are {chips.dtype}{list(chips.shape)}, expected uint8 [N, {CHIP_SIZE_PX}, "
            f"{CHIP_SIZE_PX}, 3]: "
            "make them with dubfew.reconstruction.heads.mica.crop.align_face_chip"
        )
    # The network may be on another device, or of another precision.
    weight = network.conv1.weight
    codes = [np.empty((0, IDENTITY_CODE_SIZE), np.float32)]
    with torch.inference_mode():
        for i in range(0, len(chips), EMBEDDING_BATCH_SIZE):
            pictures = torch.from_numpy(chips[i : i + EMBEDDING_BATCH_SIZE]).to(
                weight.device, weight.dtype
            )
            code = network((pictures.permute(0, 3, 1, 2) - 127.5) / 127.5)
            codes.append(F.normalize(code).float().cpu().numpy())
    return np.concatenate(codes)
