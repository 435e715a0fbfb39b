"""The interface of renderers: blend fields, the base class, its configuration, a table entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.references.inputs import RenderInputs
from dubfew.references.warping import WarpedReferences, sample_references, warp_references
from dubfew.textures import TEXTURE_CHANNELS


@dataclass(frozen=True)
class BlendFields:
    """Fields that say how to blend an image from the pixels of K references.

    The image is ``sum_k w_k * (reference_k(grid_k + offset_k) + color_k) + w_K * fill + residual``.
    All fields are smooth, so that they can be enlarged: composed over references of a higher
    resolution they give a sharp image at the footage's own size.

    Attributes:
        blend_weights: weight of each reference, then of the fill; they sum to 1. [B, K + 1, S, S]
        offsets: corrections of the sampling grids, in half widths of a reference. [B, K, S, S, 2]
        color_correction: colors added to each reference. [B, K, 3, S, S]
        background_fill: smooth continuation of the mask's surroundings. [B, 3, S, S]
        residual: colors added at the end, for what no reference shows. [B, 3, S, S]
    """

    blend_weights: Tensor
    offsets: Tensor
    color_correction: Tensor
    background_fill: Tensor
    residual: Tensor

    def compose_image(self, references: Tensor, sampling_grid: Tensor) -> Tensor:
        """Blend an image from references.

        Args:
            references: RGB in any resolution. [B, K, 3, R, R]
            sampling_grid: place of each pixel in each reference, in [-1, 1]. H and W may differ
                from the size S of the fields. [B, K, H, W, 2]

        Returns:
            RGB, not clamped. [B, 3, H, W]
        """
        size = sampling_grid.shape[2:4]
        offsets = _resize(self.offsets.permute(0, 1, 4, 2, 3), size).permute(0, 1, 3, 4, 2)
        sampled = sample_references(references, sampling_grid + offsets)
        colors = sampled + _resize(self.color_correction, size)
        # The fill is one more reference, already in the target's pose.
        colors = torch.cat([colors, _resize(self.background_fill, size)[:, None]], 1)
        weights = _resize(self.blend_weights, size)[:, :, None]
        return (weights * colors).sum(1) + _resize(self.residual, size)


def _resize(field: Tensor, size: torch.Size | tuple[int, ...]) -> Tensor:
    """Resize the last two axes, bilinear, with anti-aliasing where they shrink."""
    if field.shape[-2:] == tuple(size):
        return field
    # `interpolate` takes one axis of images.
    flat = field.flatten(0, -4) if field.ndim > 4 else field
    shrinks = size[0] < field.shape[-2]
    resized = F.interpolate(flat, size=tuple(size), mode="bilinear", antialias=shrinks)
    return resized.view(*field.shape[:-2], *size)


def pack_fields(
    fields: BlendFields,
    sampling_grid: Tensor,  # [B, K, S, S, 2]
) -> Tensor:  # [B, K + 3 + 2 K, S, S]
    """Pack blend fields into channels that can be enlarged together.

    Args:
        fields: what the renderer predicted for K references.
        sampling_grid: position in each reference that belongs to each pixel, -1 to 1.
            [B, K, S, S, 2]

    Returns:
        K weights of the references; 3 channels of everything that is added to the blend; 2 K
        positions at which to sample the references. [B, K + 3 + 2 K, S, S]
    """
    count = sampling_grid.shape[1]
    # The last weight belongs to the fill from the surroundings.
    weights = fields.blend_weights[:, :count]
    added = (weights[:, :, None] * fields.color_correction).sum(1)
    added = added + fields.blend_weights[:, count:] * fields.background_fill + fields.residual
    positions = (sampling_grid + fields.offsets).permute(0, 1, 4, 2, 3).flatten(1, 2)
    return torch.cat([weights, added, positions], 1)


@dataclass(frozen=True)
class RendererConfig:
    """Part of the configuration that all renderers have; subclasses add their own sizes.

    The fields are keys of stored priors.

    Attributes:
        window: edge of the window, px.
        references: number of references that are blended, K.
        texture_channels: features of the neural texture, C.
    """

    window: int = 160
    references: int = 3
    texture_channels: int = TEXTURE_CHANNELS


class Renderer(nn.Module):
    """Base class of renderers that blend references: subclasses implement ``predict_fields``.

    Attributes:
        config: sizes of the network; builds the same network again.
    """

    config: RendererConfig

    def predict_fields(
        self, inputs: RenderInputs, texture: Tensor, warped: WarpedReferences
    ) -> BlendFields:
        """Predict the blend fields of a batch; every subclass implements it.

        Args:
            inputs: scene, references, mesh and motion of the batch.
            texture: sampled neural texture. [B, C, S, S]
            warped: references in the pose of the scene, as `warp_references` gives them.

        Raises:
            NotImplementedError: The class is the base class.
        """
        raise NotImplementedError

    def predict_packed(
        self, inputs: RenderInputs, texture: Tensor, warped: WarpedReferences
    ) -> Tensor:
        """Predict the blend fields of a batch, packed for enlargement, see `pack_fields`.

        Args:
            inputs: scene, references, mesh and motion of the batch.
            texture: sampled neural texture. [B, C, S, S]
            warped: references in the pose of the scene, as `warp_references` gives them.

        Returns:
            Packed fields. [B, K + 3 + 2 K, S, S]
        """
        return pack_fields(self.predict_fields(inputs, texture, warped), inputs.sampling_grid)

    def forward(self, inputs: RenderInputs, texture: Tensor) -> Tensor:
        """Render a batch at the size of its windows.

        Args:
            inputs: scene, references, mesh and motion of the batch.
            texture: sampled neural texture. [B, C, S, S]

        Returns:
            RGB, not clamped; only pixels inside the mask are meant to be shown. [B, 3, S, S]
        """
        fields = self.predict_fields(inputs, texture, warp_references(inputs))
        return fields.compose_image(inputs.references, inputs.sampling_grid)


@dataclass(frozen=True)
class RendererEntry:
    """One entry of `dubfew.prior.renderers.RENDERERS`.

    Attributes:
        network: builds the renderer from a configuration, usually its class.
        config: configuration with all fields at this entry's values.
        recipe: entry of `dubfew.prior.recipes.RECIPES` that trains it unless a configuration names
            another one.
        tiny: fields that make a network of the same kind for tests, which a CPU trains in seconds.
    """

    network: Callable[[Any], Any]
    config: Any
    recipe: str = "fields"
    tiny: Mapping[str, Any] = field(default_factory=dict)

    def build(self, overrides: Mapping[str, Any]) -> Any:
        """Build the renderer with fresh weights.

        Args:
            overrides: fields of the configuration that differ from the entry's.

        Raises:
            ArtefactError: The values do not fit together.
            TypeError: The configuration has no such field, or a value has another type.
        """
        return self.network(replace(self.config, **overrides))
