"""Hue of skin: which parts of a reference show it where the mesh says so.

The mesh of a turned head reaches over the jaw, onto hair, collar and wall. Where the scene has skin
there, its difference to a gray wall is orange. Taken for a change of light, it painted an orange
chin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dubfew.references.background_points import DARKEST_LEVEL

# Distance of a color from the middle one, in logarithms of red and blue over green, up to which it
# counts as skin: deviations of all, and at least as much. Cheeks, neck and their shadows differ by
# 0.03, a gray wall by 0.16.
HUE_DEVIATIONS, MIN_HUE_LIMIT = 3.0, 0.08
# Standard deviations of a normal distribution in its median absolute deviation.
DEVIATIONS_PER_MEDIAN = 1.4826


def measure_hues(colors: Tensor) -> Tensor:
    """Measure red and blue over green, which do not change with brightness.

    Args:
        colors: RGB in [0, 1] of N places. [..., 3, N]

    Returns:
        Natural logarithms of the two ratios. [..., 2, N]

    Example:
        >>> measure_hues(torch.tensor([[0.4, 0.8], [0.2, 0.4], [0.2, 0.4]])).round(decimals=2)
        tensor([[0.6900, 0.6900],
                [0.0000, 0.0000]])
    """
    logarithms = colors.clamp(min=DARKEST_LEVEL).log()
    return logarithms[..., 0::2, :] - logarithms[..., 1:2, :]


def find_skin(colors: Tensor, known: Tensor) -> Tensor:
    """Find the places whose hue is that of most places.

    Args:
        colors: RGB in [0, 1] of N places. [..., 3, N]
        known: where the mesh expects skin. [..., N], bool

    Returns:
        True where the hue is that of skin; without a known place nowhere. [..., N], bool
    """
    hues = measure_hues(colors)
    nowhere = ~known
    middle = hues.masked_fill(nowhere[..., None, :], torch.nan).nanmedian(-1, keepdim=True).values
    distances = (hues - middle).abs().amax(-2)
    spread = distances.masked_fill(nowhere, torch.nan).nanmedian(-1, keepdim=True).values
    return distances <= (HUE_DEVIATIONS * DEVIATIONS_PER_MEDIAN * spread).clamp(min=MIN_HUE_LIMIT)
