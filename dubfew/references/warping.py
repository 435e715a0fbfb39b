"""Warp references into the target's pose and match them to its light; nothing here is learned.

A render after zero training steps shows the result of this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dubfew.references.inputs import RenderInputs
from dubfew.references.light_kernels import sample_planes
from dubfew.references.reference_agreement import MIN_SHOWN, rate_shown
from dubfew.references.resampled_planes import dilate, enlarge, shrink
from dubfew.references.skin_hue import find_skin
from dubfew.references.warp_kernels import (
    average_differences,
    enlarge_tensor,
    shrink_tensor,
)
from dubfew.utils.kernel_tensors import fits_kernels

# Scale, in inter-ocular distances, at which a reference's weight falls off with its distance. Small
# enough that one clear winner takes nearly all, so that averaging blurs nothing; at 0 the winner
# would change abruptly from frame to frame.
BLEND_TEMPERATURE = 0.004
# Largest correction of a color. A larger difference between reference and target does not come from
# light, but from hair, glasses or a wrong mesh, which must not tint the mouth.
MAX_COLOR_CORRECTION = 0.12
# Width, as a fraction of the window, of the mesh's edge that says nothing of light: on a turned
# face it lies a few pixels outside of the cheek, on the background. Its gray made chins gray.
SILHOUETTE_FRACTION = 0.05
# Factor by which light is shrunk before it is continued: it is smooth, so that a quarter of the
# resolution is enough and sixteen times faster.
LIGHT_DOWNSCALE = 4
# How rigid the inside of a mouth is where the fill is the cavity alone: of less, little is filled.
CAVITY_FROM = 0.2
# Logit of the fill where a reference shows everything: a weight of 0.25 % against equal references.
# Networks could hardly learn away from lower ones.
FILL_START_LOGIT = -6.0
# Smallest weight that sums are divided by, where nothing is known.
MIN_FILL_WEIGHT = 1e-4


@dataclass(frozen=True)
class WarpedReferences:
    """References as they look in the target's pose.

    Attributes:
        colors: each reference with its light matched to the target. [B, K, 3, S, S]
        color_correction: difference that was added to each to match the light. [B, K, 3, S, S]
        background_fill: what is painted where no reference shows anything: a smooth continuation
            of the scene into the mask; where teeth are rigid, the cavity. [B, 3, S, S]
        surroundings: smooth continuation of the scene into the mask, without the cavity; what
            networks see in the place of the mask. [B, 3, S, S]
        blend_logits: logits of the blending weights of the references, then of the fill: from the
            references' distances and from what they show. [B, K + 1, S, S]
    """

    colors: Tensor
    color_correction: Tensor
    background_fill: Tensor
    surroundings: Tensor
    blend_logits: Tensor

    def blend_references(self, inputs: RenderInputs) -> Tensor:
        """Blend the references to an image without any network. [B, 3, S, S]"""
        weights = self.blend_logits.softmax(1)[:, :, None]
        candidates = torch.cat([self.colors, self.background_fill[:, None]], 1)
        mixed = (weights * candidates).sum(1)
        return inputs.mesh_mask * mixed + (1 - inputs.mesh_mask) * self.background_fill


def sample_references(
    references: Tensor,  # [B, K, C, R, R]
    sampling_grid: Tensor,  # [B, K, H, W, 2]
    mode: str = "bilinear",
) -> Tensor:  # [B, K, C, H, W]
    """Look up references at the positions of a grid.

    Args:
        references: images of the actor. [B, K, C, R, R]
        sampling_grid: positions in [-1, 1]; outside, the border is repeated. [B, K, H, W, 2]
        mode: ``"bilinear"``, or ``"bicubic"``, which is sharper and slower.

    Returns:
        Sampled values. [B, K, C, H, W]
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
    fast = fits_kernels(inputs.references) and fits_kernels(inputs.scene, LIGHT_DOWNSCALE)
    if fast:
        colors = _sample_with_kernels(inputs.references, inputs.sampling_grid)
    else:
        colors = sample_references(inputs.references, inputs.sampling_grid)
    # Light is compared where both can be seen: on the mesh, outside of the mask.
    outside = (inputs.alpha <= 0).float()
    width = round(SILHOUETTE_FRACTION * outside.shape[-1])
    known = outside * (1 - dilate(1 - inputs.mesh_mask, width))
    compared = outside * inputs.mesh_mask
    # At the far side of a turned head the mesh reaches over the background, here as in references.
    expected = F.avg_pool2d(compared, LIGHT_DOWNSCALE, ceil_mode=True)[:, 0] > 0
    skin = _find_shown_skin(colors, expected, fast) & _find_shown_skin(
        inputs.scene[:, None], expected, fast
    )
    # From there it is continued smoothly into the mask, for every reference on its own.
    if fast:
        lit, light = _match_with_kernels(inputs.scene, colors, known, skin)
    else:
        difference = inputs.scene[:, None] - colors
        difference = difference.clamp(-MAX_COLOR_CORRECTION, MAX_COLOR_CORRECTION)
        size = inputs.scene.shape[-2:]
        shown_skin = F.interpolate(skin.float(), size=size, mode="nearest")[:, :, None]
        weights = (known[:, None] * shown_skin).flatten(0, 1)
        light = push_pull_fill(difference.flatten(0, 1), weights).view_as(colors)
        lit = colors + light
    surroundings = push_pull_fill(inputs.scene, outside)
    # Where the mesh carries the inside, networks use the surroundings, as they learned to.
    # A mouth that is rigid in part lacks a part of what it shows, and that is no skin.
    drawn = (inputs.rigid_interior / CAVITY_FROM).clamp(max=1)
    fill = torch.lerp(surroundings, inputs.cavity + light[:, 0], drawn)
    shown = rate_shown(lit, inputs.reference_shown, inputs.alpha, inputs.mouth_interior)
    return WarpedReferences(lit, light, fill, surroundings, _compute_blend_logits(inputs, shown))


def _sample_with_kernels(references: Tensor, sampling_grid: Tensor) -> Tensor:
    """Sample references as `sample_references` does. [B, K, C, H, W]"""
    flat = [values.flatten(0, 1).contiguous().numpy() for values in (references, sampling_grid)]
    sampled = torch.from_numpy(sample_planes(*flat))
    return sampled.view(*references.shape[:2], *sampled.shape[1:])


def _match_with_kernels(
    scene: Tensor, colors: Tensor, known: Tensor, skin: Tensor
) -> tuple[Tensor, Tensor]:
    """References in the scene's light, and what was added to them. [B, K, 3, S, S] each

    Args:
        scene: RGB window. [B, 3, S, S]
        colors: references in its pose. [B, K, 3, S, S]
        known: 1 where light is compared. [B, 1, S, S]
        skin: cells of ``LIGHT_DOWNSCALE`` px in which both show skin. [B, K, s, s]
    """
    counted = skin.float()[:, :, None]
    total = counted * average_differences(
        scene, colors, known, MAX_COLOR_CORRECTION, LIGHT_DOWNSCALE
    )
    weight = counted * shrink_tensor(known, LIGHT_DOWNSCALE)[:, None]
    small = _fill_levels(total.flatten(0, 1), weight.flatten(0, 1)).view_as(total)
    light = enlarge_tensor(small, scene.shape[-2:])
    return colors + light, light


def _find_shown_skin(colors: Tensor, expected: Tensor, fast: bool) -> Tensor:
    """Find where pictures show skin, in cells of ``LIGHT_DOWNSCALE`` px.

    Args:
        colors: pictures in the target's pose, such as references. [B, K, 3, S, S]
        expected: cells in which the mesh expects it. [B, s, s]
        fast: whether compiled loops may average.

    Returns:
        True where they do. [B, K, s, s]
    """
    b, k = colors.shape[:2]
    small = shrink(colors, LIGHT_DOWNSCALE, fast)
    known = expected.view(b, 1, -1).expand(b, k, -1)
    return find_skin(small.flatten(3), known).view(b, k, *small.shape[3:])


def _compute_blend_logits(inputs: RenderInputs, shown: Tensor) -> Tensor:
    """Compute logits of the references and of the fill for every pixel. [B, K + 1, S, S]"""
    # The nearest reference gets 0 however far it is: the fill must not win because all are far.
    nearest = inputs.reference_distances.amin(1, keepdim=True)
    distances = (nearest - inputs.reference_distances)[:, :, None, None] / BLEND_TEMPERATURE
    references = distances + shown.clamp(min=MIN_SHOWN).log()
    # The fill gets the share that the best reference lacks, of the weight of all references.
    missing = 1 - shown.amax(1, keepdim=True)
    fill = missing.clamp(min=1e-6).log() + distances.logsumexp(1, keepdim=True)
    fill = fill.clamp(min=FILL_START_LOGIT)
    return torch.cat([references, fill], 1)


def push_pull_fill(
    values: Tensor,  # [N, C, S, S]
    known_mask: Tensor,  # [N, 1, S, S]
) -> Tensor:  # [N, C, S, S]
    """Continue known values smoothly into the unknown, by push-pull over a pyramid.

    Args:
        values: any image. [N, C, S, S]
        known_mask: 1 where ``values`` counts, 0 where it is to be filled. [N, 1, S, S]

    Returns:
        A smooth image that is close to ``values`` where they are known. [N, C, S, S]

    Source: Gortler, Grzeszczuk, Szeliski and Cohen 1996, The Lumigraph (SIGGRAPH), sec. 3.4.
    """
    # Push: sums of known values and their weights, ever coarser.
    fast = fits_kernels(values, LIGHT_DOWNSCALE)
    total, weight = (
        shrink(each, LIGHT_DOWNSCALE, fast) for each in (values * known_mask, known_mask)
    )
    return enlarge(_fill_levels(total, weight), values.shape[-2:], fast)


def _fill_levels(total: Tensor, weight: Tensor) -> Tensor:
    """Fill holes over a pyramid, see `push_pull_fill`.

    Args:
        total: sums of known values in the cells of the finest level. [N, C, s, s]
        weight: part of each cell that is known. [N, 1, s, s]
    """
    levels = [(total, weight)]
    while min(levels[-1][0].shape[-2:]) > 2:
        total, weight = levels[-1]
        levels.append(
            (F.avg_pool2d(total, 2, ceil_mode=True), F.avg_pool2d(weight, 2, ceil_mode=True))
        )
    # Pull: from the coarsest level up, holes take the coarser level's values.
    total, weight = levels[-1]
    result = total / weight.clamp(min=MIN_FILL_WEIGHT)
    for total, weight in reversed(levels[:-1]):
        result = F.interpolate(result, size=total.shape[-2:], mode="bilinear", align_corners=False)
        # A cell that is known in part takes its own mean to that part.
        fraction = weight.clamp(0, 1)
        result = fraction * (total / weight.clamp(min=MIN_FILL_WEIGHT)) + (1 - fraction) * result
    return result
