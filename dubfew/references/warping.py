"""References brought into the target's pose, and matched to its light: no learning here.

This is what a render after zero steps shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from dubfew.references.inputs import RenderInputs

# Weights of references fall off with distance at this scale (inter-ocular distances): small
# enough that one clear winner takes nearly all, so that nothing is blurred by averaging.
BLEND_TEMPERATURE = 0.004
# A difference larger than this between reference and target is no matter of light.
MAX_COLOR_CORRECTION = 0.12


@dataclass(frozen=True)
class WarpedReferences:
    """References as they look in the target's pose.

    Attributes:
        colors: of each reference, light matched to the target. [B, K, 3, S, S]
        color_correction: what was added to each to match the light. [B, K, 3, S, S]
        background_fill: smooth continuation of the target into the mask, for where no mesh is. [B,
            3, S, S]
        blend_logits: of the blending weights, from the references' scores; the best is 0. [B, K]
    """

    colors: Tensor
    color_correction: Tensor
    background_fill: Tensor
    blend_logits: Tensor

    def blend_references(self, inputs: RenderInputs) -> Tensor:
        """The picture without any network. [B, 3, S, S]"""
        weights = self.blend_logits.softmax(1)[:, :, None, None, None]
        mixed = (weights * self.colors).sum(1)
        return inputs.mesh_mask * mixed + (1 - inputs.mesh_mask) * self.background_fill


def sample_references(references: Tensor, sampling_grid: Tensor, mode: str = "bilinear") -> Tensor:
    """Look up references [B, K, C, R, R] at places [B, K, H, W, 2]. [B, K, C, H, W]

    ``mode`` is `grid_sample`'s: "bilinear", or "bicubic", sharper and slower.
    """
    b, k = references.shape[:2]
    sampled = F.grid_sample(
        references.flatten(0, 1),
        sampling_grid.flatten(0, 1),
        mode=mode,
        padding_mode="border",
        align_corners=False,
    )
    return sampled.view(b, k, *sampled.shape[1:])


def warp_references(inputs: RenderInputs) -> WarpedReferences:
    """Bring the references into the target's pose and light."""
    colours = sample_references(inputs.references, inputs.sampling_grid)
    outside = (inputs.alpha <= 0).float()
    known = (outside * inputs.mesh_mask)[:, None]
    difference = (inputs.scene[:, None] - colours).clamp(
        -MAX_COLOR_CORRECTION, MAX_COLOR_CORRECTION
    )
    b, k = colours.shape[:2]
    light = push_pull_fill(
        difference.flatten(0, 1), known.expand(b, k, *known.shape[2:]).flatten(0, 1)
    ).view_as(colours)
    fill = push_pull_fill(inputs.scene, outside)
    # The nearest gets 0 however far it is: what else is on offer must not win by its distance.
    nearest = inputs.reference_distances.amin(1, keepdim=True)
    return WarpedReferences(
        colours + light, light, fill, (nearest - inputs.reference_distances) / BLEND_TEMPERATURE
    )


def push_pull_fill(values: Tensor, known_mask: Tensor) -> Tensor:
    """Continue known values smoothly into the unknown (push-pull over a pyramid).

    Args:
        values: any image. [N, C, S, S]
        known_mask: 1 where ``values`` counts, 0 where it is to be filled. [N, 1, S, S]

    Returns:
        A smooth image that is close to ``values`` where known. [N, C, S, S]

    Source: Gortler et al. 1996, The Lumigraph, sec. 3.4 (push-pull).
    """
    size = values.shape[-2:]
    # Light is smooth: start at a quarter of the resolution.
    total = F.avg_pool2d(values * known_mask, 4, ceil_mode=True)
    weight = F.avg_pool2d(known_mask, 4, ceil_mode=True)
    levels = [(total, weight)]
    while min(levels[-1][0].shape[-2:]) > 2:
        total, weight = levels[-1]
        levels.append(
            (F.avg_pool2d(total, 2, ceil_mode=True), F.avg_pool2d(weight, 2, ceil_mode=True))
        )
    total, weight = levels[-1]
    result = total / weight.clamp(min=1e-4)
    for total, weight in reversed(levels[:-1]):
        result = F.interpolate(result, size=total.shape[-2:], mode="bilinear", align_corners=False)
        # A cell that is known in part takes its own mean to that part.
        share = weight.clamp(0, 1)
        result = share * (total / weight.clamp(min=1e-4)) + (1 - share) * result
    return F.interpolate(result, size=size, mode="bilinear", align_corners=False)
