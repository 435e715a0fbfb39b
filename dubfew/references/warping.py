"""Warp references into the target's pose and match them to its light; nothing here is learned.

A render after zero training steps shows the result of this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dubfew.references.inputs import RenderInputs
from dubfew.references.light_kernels import sample_planes
from dubfew.references.skin_hue import find_skin, measure_hues
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
# Width of the band inside the mask in which references are compared with each other, as a fraction
# of the window: the mask's soft edge and as much again. Lips never reach into it.
EDGE_BAND_FRACTION = 0.15
# Factor by which colors are shrunk before: single pixels differ by noise and by small shifts, and
# medians are slow.
AGREEMENT_DOWNSCALE = 4
# Differences of a reference from what most of them show, in levels of [0, 1], up to
# which it counts in full, and from which not at all. Skin in folds and stubble differs by less than
# the first; hair, a collar or the background beside a jaw differ by 0.25 and more.
AGREEING, DISAGREEING = 0.1, 0.2
# The same for hues, see `measure_hues`, times brightness: hues of dark skin are noise. A gray wall
# may be as bright as the cheek before it: by levels it differs by 0.09, by hue by 0.1 and more,
# where skin differs by 0.05.
HUE_AGREEING, HUE_DISAGREEING = 0.055, 0.1
# How much darker than most skin a place is, as a part of that, up to which it is skin in the shade,
# and from which it is hair.
SHADED, DARK = 0.35, 0.55
# Reach, as a fraction of the window, by which a place that the mesh does not show is widened:
# strands of hair lie beside it.
DOUBT_FRACTION = 0.05
# Gain of how little a reference shows a place, for colors to be asked there: a quarter is enough.
DOUBT_GAIN = 4
# Reach, as a fraction of the window, by which what is wrong is widened: its soft edge is wrong as
# well, though it differs less.
WIDENED_FRACTION = 0.025
# How rigid the inside of a mouth is where the fill is the cavity alone: of less, little is filled.
CAVITY_FROM = 0.2
# Factor on the weight of a reference where it shows nothing: small enough not to be seen.
MIN_SHOWN = 0.0025
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


def dilate(values: Tensor, reach: int) -> Tensor:
    """Take the largest value in a square around each pixel, within the image.

    Windows double in width until they have the square's, down and then across, so that the cost
    grows with the logarithm of the reach.

    Args:
        values: any images. [..., H, W]
        reach: pixels on each side.

    Returns:
        Images of the same shape. [..., H, W]
    """
    edge = 2 * reach + 1
    widest = F.pad(values, (reach, reach, reach, reach), value=-torch.inf)
    for axis in (-2, -1):
        width = 1
        while width < edge:
            step = min(width, edge - width)
            length = widest.shape[axis] - step
            widest = torch.maximum(
                widest.narrow(axis, 0, length), widest.narrow(axis, step, length)
            )
            width += step
    return widest


def _find_shown_skin(colors: Tensor, expected: Tensor, fast: bool) -> Tensor:
    """Find where pictures show skin, in cells of ``LIGHT_DOWNSCALE`` px.

    Args:
        colors: pictures in the target's pose, such as references. [B, K, 3, S, S]
        expected: cells in which the mesh expects it. [B, s, s]
        fast: whether compiled loops may average.

    Returns:
        True where they do. [B, K, s, s]
    """
    b, k, channels = colors.shape[:3]
    if fast:
        small = shrink_tensor(colors, LIGHT_DOWNSCALE).flatten(1, 2)
    else:
        small = F.avg_pool2d(colors.flatten(1, 2), LIGHT_DOWNSCALE, ceil_mode=True)
    known = expected.view(b, 1, -1).expand(b, k, -1)
    shown = find_skin(small.view(b, k, channels, -1), known)
    return shown.view(b, k, *small.shape[2:])


def rate_shown(
    colors: Tensor,  # [B, K, 3, S, S]
    shown: Tensor,  # [B, K, S, S]
    alpha: Tensor,  # [B, 1, S, S]
    mouth_interior: Tensor,  # [B, 2, S, S]
) -> Tensor:  # [B, K, S, S]
    """Rate how well references show what belongs at the mask's edge: by the mesh and their colors.

    A head that is turned in a reference shows hair, collar or background where the mesh expects the
    jaw. What differs from most of the references does not count. One that does not show a place, by
    the mesh, has no say: two that show the wall would outvote the skin of a third. The mesh's
    triangles below a jaw are large: near one that a reference does not show, all have to look like
    the skin inside of the mask, and those that do show it. Fewer than three are not compared. The
    scene has no say: its continuation into the mask is no picture of a chin.

    Args:
        colors: references in the target's pose and light. [B, K, 3, S, S]
        shown: how well each reference shows a place, by the mesh, 0 to 1. [B, K, S, S]
        alpha: opacity of the paint in [0, 1]. [B, 1, S, S]
        mouth_interior: see `RenderInputs`. [B, 2, S, S]

    Returns:
        How well each reference shows a place, 0 to 1: as the mesh has it everywhere but in a band
        inside of the mask's edge. [B, K, S, S]
    """
    b, k, channels, height, width = colors.shape
    if k < 3:
        return shown
    fast = fits_kernels(colors, AGREEMENT_DOWNSCALE)
    if fast:
        small = shrink_tensor(colors, AGREEMENT_DOWNSCALE)
        votes = shrink_tensor(shown, AGREEMENT_DOWNSCALE)
    else:
        small = F.avg_pool2d(colors.flatten(1, 2), AGREEMENT_DOWNSCALE, ceil_mode=True)
        small = small.view(b, k, channels, *small.shape[2:])
        votes = F.avg_pool2d(shown, AGREEMENT_DOWNSCALE, ceil_mode=True)
    cells = width / AGREEMENT_DOWNSCALE
    widened = round(WIDENED_FRACTION * cells)
    reach = round(EDGE_BAND_FRACTION * cells / 2)
    soft = F.max_pool2d((alpha < 1).float(), AGREEMENT_DOWNSCALE, ceil_mode=True)
    opening = F.max_pool2d(mouth_interior[:, :1], AGREEMENT_DOWNSCALE, ceil_mode=True)
    # A shouting mouth may reach into the band, and mouths differ rightly.
    band = dilate(soft, reach) * (1 - opening)
    # Hue tells skin beside and below a mouth; above it are lips and nostrils. It is asked where the
    # mesh has a doubt: skin differs with light, too.
    below = F.max_pool2d(F.pad(soft, (reach, reach, 0, reach)), (reach + 1, 2 * reach + 1), 1)
    doubt = (DOUBT_GAIN * (1 - votes.amin(1, keepdim=True))).clamp(max=1)
    jaw = below * (1 - opening) * dilate(doubt, round(DOUBT_FRACTION * cells))
    unlike = jaw * dilate(_rate_unlike_skin(small, votes * (1 - soft) * (1 - opening)), widened)
    rescued = jaw * (1 - votes) * (1 - unlike)
    # What the mesh does not show begins before it says so.
    unlike = torch.maximum(unlike, jaw * dilate(1 - votes - rescued, round(DOUBT_FRACTION * cells)))
    votes = votes + rescued
    # Where none shows skin, as in a beard, none is wrong for that.
    unlike = (unlike - _least_shown(unlike, votes)).clamp(min=0)
    # Those that do not show a place repeat what the others show.
    votes = votes * (1 - unlike)
    counted = votes.clamp(min=MIN_SHOWN)[:, :, None]
    mean = (counted * small).sum(1, keepdim=True) / counted.sum(1, keepdim=True)
    small = torch.lerp(mean, small, votes[:, :, None])
    brightness = _take_median(small.mean(2))
    hue_difference = _subtract_median(_measure_cell_hues(small)).amax(2) * brightness
    disagreement = torch.maximum(
        _rate_difference(_subtract_median(small).mean(2), AGREEING, DISAGREEING),
        _rate_difference(hue_difference, HUE_AGREEING, HUE_DISAGREEING),
    )
    disagreement = band * torch.maximum(dilate(disagreement, widened), unlike)
    # The best of those that show a place counts in full: it may not be replaced by the fill.
    disagreement = (disagreement - _least_shown(disagreement, votes)).clamp(min=0)
    agreement, added = _enlarge(
        torch.cat([1 - disagreement, rescued], 1), (height, width), fast
    ).split(k, 1)
    return (shown + added).clamp(max=1) * agreement


def _rate_unlike_skin(colors: Tensor, known: Tensor) -> Tensor:
    """Rate how unlike skin references are: less red or much darker than most known places.

    Lips are redder, and no background.

    Args:
        colors: references in the target's pose and light. [B, K, 3, s, s]
        known: how well each shows the inside of the mask. [B, K, s, s]

    Returns:
        0 where they are as skin is, and where nothing is known, to 1. [B, K, s, s]
    """

    def take_typical(values: Tensor) -> Tensor:
        typical = values.masked_fill(known < 0.5, torch.nan).flatten(1).nanmedian(-1).values
        return typical[:, None, None, None]

    redness, levels = _measure_cell_hues(colors)[:, :, 0], colors.mean(2)
    difference = (take_typical(redness) - redness) * levels
    darkness = 1 - levels / take_typical(levels)
    return torch.maximum(
        _rate_difference(difference, HUE_AGREEING, HUE_DISAGREEING),
        _rate_difference(darkness, SHADED, DARK),
    ).nan_to_num()


def _measure_cell_hues(colors: Tensor) -> Tensor:
    """Measure the hues of cells, see `measure_hues`. [B, K, 3, s, s] to [B, K, 2, s, s]"""
    return measure_hues(colors.flatten(3)).unflatten(3, colors.shape[3:])


def _least_shown(values: Tensor, votes: Tensor) -> Tensor:
    """Take the least value of the references that show a place. [B, 1, s, s]"""
    return (values + (1 - votes)).amin(1, keepdim=True)


def _subtract_median(values: Tensor) -> Tensor:
    """Absolute difference of each reference from the median of all. [B, K, C, s, s]"""
    return (values - _take_median(values)).abs()


def _take_median(values: Tensor) -> Tensor:
    """Take the median of references, the lower one of two. [B, 1, ...]

    Args:
        values: any values of K references. [B, K, ...]
    """
    if values.shape[1] != 3:
        return values.median(1, keepdim=True).values
    # Ten times as fast as torch's search, which goes from reference to reference for each place.
    first, second, third = values.split(1, 1)
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    return torch.maximum(low, torch.minimum(high, third))


def _rate_difference(difference: Tensor, agreeing: float, disagreeing: float) -> Tensor:
    """Rate differences from 0, up to ``agreeing``, to 1, from ``disagreeing`` on."""
    return ((difference - agreeing) / (disagreeing - agreeing)).clamp(0, 1)


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
    if fast:
        total = shrink_tensor(values * known_mask, LIGHT_DOWNSCALE)
        weight = shrink_tensor(known_mask, LIGHT_DOWNSCALE)
    else:
        total = F.avg_pool2d(values * known_mask, LIGHT_DOWNSCALE, ceil_mode=True)
        weight = F.avg_pool2d(known_mask, LIGHT_DOWNSCALE, ceil_mode=True)
    return _enlarge(_fill_levels(total, weight), values.shape[-2:], fast)


def _enlarge(values: Tensor, size: Sequence[int], fast: bool) -> Tensor:
    """Enlarge images [N, C, s, s] to a size, bilinear; with compiled loops where they are fast."""
    if fast:
        return enlarge_tensor(values, size)
    return F.interpolate(values, size=size, mode="bilinear", align_corners=False)


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
