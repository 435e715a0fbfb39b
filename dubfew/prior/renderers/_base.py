"""What every renderer gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.references.inputs import RenderInputs
from dubfew.references.warping import WarpedReferences, sample_references, warp_references
from dubfew.textures import TEXTURE_CHANNELS


@dataclass(frozen=True)
class BlendFields:
    """How to make the picture from the actor's own pixels.

    The picture is ``sum_k weights_k * (reference_k moved by offsets_k + light_k) + residual``.
    Everything here is smooth enough to be enlarged, so the same fields drawn over references
    of a higher resolution give a sharp picture at the footage's own size.

    Attributes:
        blend_weights: share of each reference, then of the smooth fill; sums to 1. [B, K + 1, S, S]
        offsets: correction of each reference's place, in units of its half width.
            [B, K, S, S, 2]
        color_correction: added to each reference. [B, K, 3, S, S]
        background_fill: smooth continuation of the surroundings. [B, 3, S, S]
        residual: what no reference shows. [B, 3, S, S]
    """

    blend_weights: Tensor
    offsets: Tensor
    color_correction: Tensor
    background_fill: Tensor
    residual: Tensor

    def compose_image(self, references: Tensor, sampling_grid: Tensor) -> Tensor:
        """Draw the fields over references [B, K, 3, R, R] at places [B, K, H, W, 2].

        H and W may differ from the fields' own size. [B, 3, H, W], not clamped.
        """
        size = sampling_grid.shape[2:4]
        offsets = _resize(self.offsets.permute(0, 1, 4, 2, 3), size).permute(0, 1, 3, 4, 2)
        colours = sample_references(references, sampling_grid + offsets) + _resize(
            self.color_correction, size
        )
        colours = torch.cat([colours, _resize(self.background_fill, size)[:, None]], 1)
        weights = _resize(self.blend_weights, size)[:, :, None]
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
    """Base of all renderers: subclasses give ``predict_fields``."""

    config: RendererConfig

    def predict_fields(
        self, inputs: RenderInputs, texture: Tensor, warped: WarpedReferences
    ) -> BlendFields:
        """Predict the fields of a batch.

        Args:
            inputs: the batch.
            texture: sampled neural texture. [B, C, S, S]
            warped: its references in the target's pose.
        """
        raise NotImplementedError

    def forward(self, inputs: RenderInputs, texture: Tensor) -> Tensor:
        """RGB windows, composited over the target outside the mask. [B, 3, S, S]"""
        fields = self.predict_fields(inputs, texture, warp_references(inputs))
        return fields.compose_image(inputs.references, inputs.sampling_grid)


@dataclass(frozen=True)
class RendererEntry:
    """One entry of `dubfew.prior.renderers.RENDERERS`.

    Attributes:
        network: builds the renderer from a configuration, usually its class.
        config: configuration with all fields at this entry's values.
    """

    network: Callable[[Any], Renderer]
    config: RendererConfig

    def build(self, overrides: Mapping[str, Any]) -> Renderer:
        """Build the renderer with fresh weights.

        Args:
            overrides: fields of the configuration that differ from the entry's.

        Raises:
            ArtefactError: The values do not fit together.
            TypeError: The configuration has no such field, or a value has another type.
        """
        return self.network(replace(self.config, **overrides))
