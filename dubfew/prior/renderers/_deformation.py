"""How the painting networks move features of references: by affine maps, by a flow, by attention.

``AdaptiveAffineTransform`` is DINet's own (AdaAT), ``FlowNetwork`` is IPTalker's; DINet's ablations
use a flow, an attention or no deformation in its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.prior.renderers._layers import MODULATION_WIDTH, AdaptiveNorm

# Largest scale of an affine map: twice a sigmoid, which is 1 where a network says nothing, as in
# the published code of AdaAT.
MAX_SCALE = 2.0
# Slope for negative inputs in the flow network, as in the published code of PIRenderer.
FLOW_RELU_SLOPE = 0.1
# Frequencies of the position features of `FeatureAttention`, in half periods per feature map.
POSITION_FREQUENCIES = (1, 2, 4, 8)


@dataclass(frozen=True)
class ChannelTransforms:
    """One affine map for each channel of feature maps: where an output pixel looks in the input.

    Attributes:
        scale: factor on the offset from the center; above 1 the picture shrinks. [B, C]
        angle: rotation of the offset, radians, from the x axis towards the y axis. [B, C]
        shift: place that the center looks at, in half widths and half heights of the map, x then y.
            [B, C, 2]
    """

    scale: Tensor
    angle: Tensor
    shift: Tensor


def transform_channels(features: Tensor, transforms: ChannelTransforms) -> Tensor:
    """Transform each channel of feature maps by an affine map of its own, bilinear, zero beside it.

    The maps act on pixel coordinates around the center, as the paper prints them, so a rotation
    does not shear maps that are not square. (The published code acts on coordinates that are
    normalized by width and height.)

    Args:
        features: maps. [B, C, h, w]
        transforms: a map for each channel.

    Returns:
        Maps of the same shape.

    Source: Zhang et al. 2023, "DINet" (arXiv 2303.03988), eq. 1; Zhang and Ding 2022, "Adaptive
    Affine Transformation: A Simple and Effective Operation for Spatial Misaligned Image
    Generation".
    """
    batch, channels, height, width = features.shape
    cosine = transforms.scale * transforms.angle.cos()
    sine = transforms.scale * transforms.angle.sin()
    x, y = transforms.shift.unbind(-1)
    # In coordinates normalized by half width and half height a rotation of pixels is unsymmetrical.
    rows = (
        torch.stack([cosine, -sine * (height / width), x], -1),
        torch.stack([sine * (width / height), cosine, y], -1),
    )
    matrices = torch.stack(rows, -2).reshape(batch * channels, 2, 3)
    single = features.reshape(batch * channels, 1, height, width)
    grid = F.affine_grid(matrices, list(single.shape), align_corners=False)
    return F.grid_sample(single, grid.to(single.dtype), align_corners=False).view_as(features)


class AdaptiveAffineTransform(nn.Module):
    """AdaAT: affine maps from a code, one for each channel.

    Source: Zhang et al. 2023, "DINet" (arXiv 2303.03988), section "Deformation Part". The bounds of
    the coefficients are those of AdaAT's published code.
    """

    def __init__(self, channels: int, code: int) -> None:
        """Make a layer.

        Args:
            channels: channels of the features.
            code: length of the code.
        """
        super().__init__()
        self.shared = nn.Linear(code, code)
        self.scale = nn.Linear(code, channels)
        self.angle = nn.Linear(code, channels)
        self.shift = nn.Linear(code, 2 * channels)

    def predict_transforms(self, code: Tensor) -> ChannelTransforms:
        """Predict the maps from codes [B, code]."""
        hidden = F.relu(self.shared(code))
        return ChannelTransforms(
            scale=MAX_SCALE * torch.sigmoid(self.scale(hidden)),
            angle=math.pi * torch.tanh(self.angle(hidden)),
            shift=torch.tanh(self.shift(hidden)).unflatten(1, (-1, 2)),
        )

    def forward(self, features: Tensor, code: Tensor) -> Tensor:
        """Deform features [B, C, h, w] by codes [B, code].

        Args:
            features: features of the references. [B, C, h, w]
            code: code of source, references and sound. [B, code]
        """
        return transform_channels(features, self.predict_transforms(code))


def warp_features(features: Tensor, flow: Tensor) -> Tensor:
    """Sample feature maps at places that a flow names, bilinear, clamped at the border.

    Args:
        features: maps. [B, C, h, w]
        flow: offset of the place that each pixel looks at, px of the maps, x then y. [B, 2, h, w]

    Returns:
        Maps of the same shape.

    Source: IPTalker, eq. 7.
    """
    batch, _, height, width = features.shape
    identity = torch.eye(2, 3, device=flow.device, dtype=flow.dtype).expand(batch, 2, 3)
    grid = F.affine_grid(identity, [batch, 1, height, width], align_corners=False)
    # Half widths and half heights of the map.
    offsets = flow.permute(0, 2, 3, 1) * flow.new_tensor([2 / width, 2 / height])
    grid = (grid + offsets).to(features.dtype)
    return F.grid_sample(features, grid, padding_mode="border", align_corners=False)


class ModulatedBlock(nn.Module):
    """Two convolutions, each after adaptive normalization by a code."""

    def __init__(
        self, inputs: int, outputs: int, code: int, hidden: int, *, halve: bool = False
    ) -> None:
        """Make a block.

        Args:
            inputs: channels of the input.
            outputs: channels of the output.
            code: length of the code.
            hidden: width of the layers between the code and its scales and shifts.
            halve: whether the first convolution halves the size.
        """
        super().__init__()
        self.first_norm = AdaptiveNorm(inputs, code, hidden)
        self.first = (
            nn.Conv2d(inputs, outputs, 4, 2, 1) if halve else nn.Conv2d(inputs, outputs, 3, 1, 1)
        )
        self.second_norm = AdaptiveNorm(outputs, code, hidden)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Transform features [B, inputs, h, w] by codes [B, code].

        Args:
            x: features. [B, inputs, h, w]
            code: code that modulates both norms. [B, code]
        """
        hidden = self.first(F.leaky_relu(self.first_norm(x, code), FLOW_RELU_SLOPE))
        return self.second(F.leaky_relu(self.second_norm(hidden, code), FLOW_RELU_SLOPE))


class FlowNetwork(nn.Module):
    """U-Net from features and a code to flows, which start at zero.

    Source: IPTalker, eq. 6 and section III-C; Ren et al. 2021, "PIRenderer" (arXiv 2109.08379),
    section 3.2, for the network it follows.
    """

    def __init__(
        self, widths: tuple[int, ...], code: int, flows: int = 1, hidden: int = MODULATION_WIDTH
    ) -> None:
        """Make a network.

        Args:
            widths: channels at full, half, a fourth ... of the features' size; the first is that of
                the input.
            code: length of the code.
            flows: number of flows.
            hidden: width of the layers between the code and its scales and shifts.
        """
        super().__init__()
        self.enter = nn.Conv2d(widths[0], widths[0], 7, padding=3)
        steps = list(pairwise(widths))
        self.down = nn.ModuleList(ModulatedBlock(a, b, code, hidden, halve=True) for a, b in steps)
        # All but the deepest get a skip beside what comes from below.
        below = [2 * b for _, b in steps[:-1]] + [widths[-1]]
        self.up = nn.ModuleList(
            ModulatedBlock(b, a, code, hidden)
            for (a, _), b in reversed(list(zip(steps, below, strict=True)))
        )
        self.flow = nn.Conv2d(2 * widths[0], 2 * flows, 7, padding=3)
        for parameter in self.flow.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, code: Tensor) -> Tensor:
        """Predict flows.

        Args:
            features: features, which have 2 px or more at the deepest level. [B, widths[0], h, w]
            code: codes. [B, code]

        Returns:
            Flows, px of the features, x then y. [B, 2 * flows, h, w]
        """
        x = self.enter(features)
        skips = [x]
        for block in self.down:
            x = block(x, code)
            skips.append(x)
        x = skips.pop()
        for block in self.up:
            skip = skips.pop()
            x = block(F.interpolate(x, size=skip.shape[2:], mode="bilinear"), code)
            x = torch.cat([x, skip], 1)
        return self.flow(x)


class FeatureAttention(nn.Module):
    """Attention of one feature map to another, of cells of 2 x 2 px.

    It takes no finer places than cells, but whole cells with all of their pixels, so that what it
    gathers keeps the maps' resolution at a fourth of the places. Queries and keys know where they
    are by sines of their coordinates: inside the mask the source shows nothing by which a place
    could be told.

    Source: Vaswani et al. 2017, "Attention Is All You Need" (arXiv 1706.03762), section 3.2.1.
    """

    def __init__(self, channels: int, code: int) -> None:
        """Make a layer.

        Args:
            channels: channels of both maps.
            code: length of the code that queries are shifted by.
        """
        super().__init__()
        width = channels + 4 * len(POSITION_FREQUENCIES)
        self.query = nn.Conv2d(width, channels, 2, stride=2)
        self.key = nn.Conv2d(width, channels, 2, stride=2)
        self.code = nn.Linear(code, channels)
        self.value = nn.Conv2d(channels, channels, 1)

    def forward(self, asking: Tensor, asked: Tensor, code: Tensor) -> Tensor:
        """Gather features.

        Args:
            asking: map that says what is wanted. [B, C, h, w], h and w even
            asked: map that is gathered from, of the same shape.
            code: code that says what is wanted. [B, code]

        Returns:
            Gathered features of the same shape.
        """
        positions = _position_features(asking)
        query = self.query(torch.cat([asking, positions], 1)) + self.code(code)[..., None, None]
        key = self.key(torch.cat([asked, positions], 1))
        value = F.pixel_unshuffle(self.value(asked), 2)
        size = value.shape[2:]
        query, key, value = (x.flatten(2).transpose(1, 2) for x in (query, key, value))
        gathered = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        return F.pixel_shuffle(gathered.unflatten(2, size), 2)


def _position_features(like: Tensor) -> Tensor:
    """Return sines and cosines of each pixel's coordinates. [B, 4 * frequencies, h, w]"""
    batch, _, height, width = like.shape
    y, x = (
        (torch.arange(n, device=like.device, dtype=like.dtype) + 0.5) / n for n in (height, width)
    )
    waves = []
    for frequency in POSITION_FREQUENCIES:
        for wave in (torch.sin, torch.cos):
            waves.append(wave(math.pi * frequency * x).expand(height, width))
            waves.append(wave(math.pi * frequency * y)[:, None].expand(height, width))
    return torch.stack(waves).expand(batch, -1, -1, -1)
