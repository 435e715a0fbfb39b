"""Which references show the skin of the jaw at the mask's edge, and not what lies behind it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dubfew.references.resampled_planes import dilate, enlarge, shrink
from dubfew.references.skin_hue import measure_hues
from dubfew.utils.kernel_tensors import fits_kernels

# Width of the band inside the mask in which references are compared with each other, as a fraction
# of the window: the mask's soft edge and as much again. Above a mouth lips may reach into it.
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
# Factor on the weight of a reference where it shows nothing: small enough not to be seen.
MIN_SHOWN = 0.0025


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
    k, (height, width) = colors.shape[1], colors.shape[-2:]
    if k < 3:
        return shown
    fast = fits_kernels(colors, AGREEMENT_DOWNSCALE)
    small, votes = (shrink(values, AGREEMENT_DOWNSCALE, fast) for values in (colors, shown))
    cells = width / AGREEMENT_DOWNSCALE
    widened = round(WIDENED_FRACTION * cells)
    reach = round(EDGE_BAND_FRACTION * cells / 2)
    soft = F.max_pool2d((alpha < 1).float(), AGREEMENT_DOWNSCALE, ceil_mode=True)
    opening = F.max_pool2d(mouth_interior[:, :1], AGREEMENT_DOWNSCALE, ceil_mode=True)
    # A shouting mouth may reach into the band, and mouths differ rightly.
    band = dilate(soft, reach) * (1 - opening)
    rescued, unlike = _rate_skin_at_jaw(small, votes, soft, opening)
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
    agreement, added = enlarge(
        torch.cat([1 - disagreement, rescued], 1), (height, width), fast
    ).split(k, 1)
    return (shown + added).clamp(max=1) * agreement


def _rate_skin_at_jaw(
    colors: Tensor, votes: Tensor, soft: Tensor, opening: Tensor
) -> tuple[Tensor, Tensor]:
    """Rate by their colors what references show at a jaw, near places that the mesh doubts.

    Args:
        colors: references in the target's pose and light, in cells. [B, K, 3, s, s]
        votes: how well each shows a cell, by the mesh, 0 to 1. [B, K, s, s]
        soft: 1 where the mask is not opaque. [B, 1, s, s]
        opening: 1 between the lips. [B, 1, s, s]

    Returns:
        What each shows beyond what the mesh says, 0 to 1, and how unlike skin it is or how near to
        what the mesh says that it does not show, 0 to 1. [B, K, s, s] each
    """
    cells = colors.shape[-1]
    reach, widened = round(EDGE_BAND_FRACTION * cells / 2), round(WIDENED_FRACTION * cells)
    doubt_reach = round(DOUBT_FRACTION * cells)
    # Hue tells skin beside and below a mouth; above it are lips and nostrils. It is asked where the
    # mesh has a doubt: skin differs with light, too.
    below = F.max_pool2d(F.pad(soft, (reach, reach, 0, reach)), (reach + 1, 2 * reach + 1), 1)
    doubt = (DOUBT_GAIN * (1 - votes.amin(1, keepdim=True))).clamp(max=1)
    jaw = below * (1 - opening) * dilate(doubt, doubt_reach)
    inside = votes * (1 - soft) * (1 - opening)
    unlike = jaw * dilate(_rate_unlike_skin(colors, inside), widened)
    rescued = jaw * (1 - votes) * (1 - unlike)
    # What the mesh does not show begins before it says so.
    return rescued, torch.maximum(unlike, jaw * dilate(1 - votes - rescued, doubt_reach))


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
