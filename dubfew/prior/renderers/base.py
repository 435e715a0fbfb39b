"""What every renderer gives back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.references.inputs import RenderInputs
from dubfew.references.warping import Warped, sample, warp
from dubfew.textures import TEXTURE_CHANNELS


@dataclass(frozen=True)
class Fields:
    """How to make the picture from the actor's own pixels.

    The picture is ``sum_k weights_k * (reference_k moved by offsets_k + light_k) + residual``.
    Everything here is smooth enough to be enlarged, so the same fields drawn over references
    of a higher resolution give a sharp picture at the footage's own size.

    Attributes:
        weights: share of each reference, then of the smooth fill; sums to 1. [B, K + 1, S, S]
        offsets: correction of each reference's place, in units of its half width.
            [B, K, S, S, 2]
        light: added to each reference. [B, K, 3, S, S]
        fill: smooth continuation of the surroundings. [B, 3, S, S]
        residual: what no reference shows. [B, 3, S, S]
    """

    weights: Tensor
    offsets: Tensor
    light: Tensor
    fill: Tensor
    residual: Tensor

    def picture(self, references: Tensor, places: Tensor) -> Tensor:
        """Draw the fields over references [B, K, 3, R, R] at places [B, K, H, W, 2].

        H and W may differ from the fields' own size. [B, 3, H, W], not clamped.
        """
        size = places.shape[2:4]
        offsets = _resize(self.offsets.permute(0, 1, 4, 2, 3), size).permute(0, 1, 3, 4, 2)
        colours = sample(references, places + offsets) + _resize(self.light, size)
        colours = torch.cat([colours, _resize(self.fill, size)[:, None]], 1)
        weights = _resize(self.weights, size)[:, :, None]
        return (weights * colours).sum(1) + _resize(self.residual, size)


def _resize(field: Tensor, size: torch.Size | tuple[int, ...]) -> Tensor:
    """Bilinear on the last two axes, anti-aliased when it shrinks."""
    if field.shape[-2:] == tuple(size):
        return field
    flat = field.flatten(0, -4) if field.ndim > 4 else field
    shrinks = size[0] < field.shape[-2]
    done = F.interpolate(flat, size=tuple(size), mode="bilinear", antialias=shrinks)
    return done.view(*field.shape[:-2], *size)


@dataclass(frozen=True)
class RendererConfig:
    """What every renderer's configuration has; subclasses add their own sizes.

    Attributes:
        window: edge of the window, px.
        references: how many references it blends.
        texture_channels: of the neural texture.
    """

    window: int = 160
    references: int = 3
    texture_channels: int = TEXTURE_CHANNELS


class Renderer(nn.Module):
    """Base of all renderers: subclasses give ``fields``."""

    config: RendererConfig

    def fields(self, inputs: RenderInputs, texture: Tensor, warped: Warped) -> Fields:
        """Predict the fields of a batch.

        Args:
            inputs: the batch.
            texture: sampled neural texture. [B, C, S, S]
            warped: its references in the target's pose.
        """
        raise NotImplementedError

    def forward(self, inputs: RenderInputs, texture: Tensor) -> Tensor:
        """RGB windows, composited over the target outside the mask. [B, 3, S, S]"""
        fields = self.fields(inputs, texture, warp(inputs))
        return fields.picture(inputs.references, inputs.places)
