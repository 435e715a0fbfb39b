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
TEMPERATURE = 0.004
# A difference larger than this between reference and target is no matter of light.
LIGHT_LIMIT = 0.12


@dataclass(frozen=True)
class Warped:
    """References as they look in the target's pose.

    Attributes:
        colours: of each reference, light matched to the target. [B, K, 3, S, S]
        light: what was added to each to match the light. [B, K, 3, S, S]
        fill: smooth continuation of the target into the mask, for where no mesh is. [B, 3, S, S]
        logits: of the blending weights, from the references' scores; the best is 0. [B, K]
    """

    colours: Tensor
    light: Tensor
    fill: Tensor
    logits: Tensor

    def blend(self, inputs: RenderInputs) -> Tensor:
        """The picture without any network. [B, 3, S, S]"""
        weights = self.logits.softmax(1)[:, :, None, None, None]
        mixed = (weights * self.colours).sum(1)
        return inputs.covered * mixed + (1 - inputs.covered) * self.fill


def sample(references: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """Look up references [B, K, C, R, R] at places [B, K, H, W, 2]. [B, K, C, H, W]

    ``mode`` is `grid_sample`'s: "bilinear", or "bicubic", sharper and slower.
    """
    b, k = references.shape[:2]
    sampled = F.grid_sample(
        references.flatten(0, 1),
        places.flatten(0, 1),
        mode=mode,
        padding_mode="border",
        align_corners=False,
    )
    return sampled.view(b, k, *sampled.shape[1:])


def warp(inputs: RenderInputs) -> Warped:
    """Bring the references into the target's pose and light."""
    colours = sample(inputs.references, inputs.places)
    outside = (inputs.alpha <= 0).float()
    known = (outside * inputs.covered)[:, None]
    difference = (inputs.target[:, None] - colours).clamp(-LIGHT_LIMIT, LIGHT_LIMIT)
    b, k = colours.shape[:2]
    light = spread(
        difference.flatten(0, 1), known.expand(b, k, *known.shape[2:]).flatten(0, 1)
    ).view_as(colours)
    fill = spread(inputs.target, outside)
    # The nearest gets 0 however far it is: what else is on offer must not win by its distance.
    nearest = inputs.scores.amin(1, keepdim=True)
    return Warped(colours + light, light, fill, (nearest - inputs.scores) / TEMPERATURE)


def spread(values: Tensor, known: Tensor) -> Tensor:
    """Continue known values smoothly into the unknown (push-pull over a pyramid).

    Args:
        values: any image. [N, C, S, S]
        known: 1 where ``values`` counts, 0 where it is to be filled. [N, 1, S, S]

    Returns:
        A smooth image that is close to ``values`` where known. [N, C, S, S]

    Source: Gortler et al. 1996, The Lumigraph, sec. 3.4 (push-pull).
    """
    size = values.shape[-2:]
    # Light is smooth: start at a quarter of the resolution.
    total = F.avg_pool2d(values * known, 4, ceil_mode=True)
    weight = F.avg_pool2d(known, 4, ceil_mode=True)
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
