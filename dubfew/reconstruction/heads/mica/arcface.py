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
from dubfew.reconstruction.heads.mica.crop import CHIP

CODE = 512  # length of an identity code
WIDTHS = (64, 128, 256, 512)
# Blocks in each of the four layers. MICA's own is r100.
DEPTHS = {"r18": (2, 2, 2, 2), "r34": (3, 4, 6, 3), "r50": (3, 4, 14, 3), "r100": (3, 13, 30, 3)}
BATCH = 8  # pictures at once: 8 x 64 x 112 x 112 floats are 26 MB


class Block(nn.Module):
    """An improved residual block: nothing is cut off after the sum.

    Args:
        before: channels that come in.
        after: channels that go out.
        stride: 2 halves the picture.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.prelu = nn.PReLU(after)
        self.conv2 = nn.Conv2d(after, after, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(self.bn1(x))
        y = self.conv2(self.prelu(self.bn2(y)))
        return self.bn3(y) + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """The network.

    Args:
        depths: blocks in each of the four layers, one of ``DEPTHS``.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.prelu = nn.PReLU(WIDTHS[0])
        before = WIDTHS[0]
        for number, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True), 1):
            blocks = [Block(before if i == 0 else width, width, 1 + (i == 0)) for i in range(depth)]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
            before = width
        self.bn2 = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before * (CHIP // 16) ** 2, CODE)
        self.features = nn.BatchNorm1d(CODE)

    def forward(self, pictures: Tensor) -> Tensor:
        """Codes of any length [N, 512] of RGB in [-1, 1] [N, 3, 112, 112]."""
        x = self.prelu(self.bn1(self.conv1(pictures)))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))


def embed(network: IResNet, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Whose face each picture shows: the dot product of two codes is near 1 for one person.

    Args:
        network: with its weights.
        chips: aligned pictures, RGB, as ``crop.chip`` makes them. [N, 112, 112, 3] uint8

    Returns:
        Unit vectors. [N, 512]

    Raises:
        ShapeError: other pictures than those.
    """
    if chips.ndim != 4 or chips.shape[1:] != (CHIP, CHIP, 3) or chips.dtype != np.uint8:
        raise ShapeError(
            f"chips are {chips.dtype}{list(chips.shape)}, expected uint8 [N, {CHIP}, {CHIP}, 3]: "
            "make them with dubfew.reconstruction.heads.mica.crop.chip"
        )
    weight = network.conv1.weight
    codes = [np.empty((0, CODE), np.float32)]
    with torch.inference_mode():
        for i in range(0, len(chips), BATCH):
            pictures = torch.from_numpy(chips[i : i + BATCH]).to(weight.device, weight.dtype)
            code = network((pictures.permute(0, 3, 1, 2) - 127.5) / 127.5)
            codes.append(F.normalize(code).float().cpu().numpy())
    return np.concatenate(codes)
