"""Smoke, haze and edges of shadows over a face: a color that hides it more here than there.

A `dubfew.references.light_fit.LightMatch` holds for the whole window. Smoke is denser in some
places than in others: there the face has less contrast and is nearer to the color of the smoke. A
mouth painted without it is clearer than the face around it. A shadow is the same with black.

The color is taken for a neutral one in the scene's light, as that of smoke, dust, glare and shadows
is. Skin has another, so that every place tells how much of the face is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from dubfew.utils.jit import njit_cached

# Neutral levels, of the actor's light, that are tried: black to brighter than white.
VEIL_LEVELS = np.linspace(0, 1.2, 13)
# Standard deviation of the smoothing, cells. Smoke has no finer edges, and faces move by a cell
# between footage and scene. Shadows of blinds and leaves are finer, and stronger.
SMOOTH_CELLS, SHADOW_CELLS = 2.5, 1.2
# Factor of a wider smoothing and its weight, for the lips, where no skin is compared.
WIDE_FACTOR, WIDE_WEIGHT = 3.0, 0.02
# Share that is expected without knowledge, as the contrast of a place that would tell it, levels of
# [0, 1]: skin that has the veil's color says nothing.
EXPECTED_CONTRAST = 0.03
# Least share of the face that is seen, which keeps what is behind finite, and the largest one:
# places with less smoke than the mean that the light match already holds.
MIN_SHARE, MAX_SHARE = 0.1, 2.5
# Rounds in which cells that a veil does not explain lose their weight, and the deviation at which
# they have lost half of it, levels of [0, 1].
ROUNDS, HALF_WEIGHT_DEVIATION = 3, 0.03


@dataclass(frozen=True)
class Veil:
    """What hides a part of a face: a color x becomes ``color + share (x - color)``.

    Attributes:
        color: RGB of the veil. [3]
        share: of the face that is seen, in cells of the window; 1 without a veil. [h, w]
    """

    color: NDArray[np.float32]
    share: NDArray[np.float32]

    @property
    def evenness(self) -> float:
        """Return the share in the densest tenth as a part of that in the clearest tenth, 0 to 1."""
        densest, clearest = np.percentile(self.share, (10, 90))
        return float(densest / clearest)

    def weaken(self, strength: float) -> Veil:
        """Return the veil at a strength of 0, where it hides nothing, to 1."""
        return Veil(self.color, 1 + np.float32(strength) * (self.share - 1))

    def lay_over(
        self,
        colors: NDArray[np.float32],  # [H, W, 3]
        box: tuple[float, float, float, float] | None = None,
    ) -> NDArray[np.float32]:  # [H, W, 3]
        """Lay the veil over a picture.

        Args:
            colors: RGB in [0, 1]. [H, W, 3]
            box: left, top, right and bottom of the picture in the window, as fractions of its side;
                None for the whole window.
        """
        share = self._enlarge(colors.shape[:2], box)
        veiled = np.empty_like(colors, np.float32)
        for channel, color in enumerate(self.color):  # a third of the time of all three at once
            veiled[..., channel] = color + share * (colors[..., channel] - color)
        return veiled

    def lift(self, window: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Take the veil from a window [S, S, 3], 0 to 255."""
        share = self._enlarge(window.shape[:2], None)
        lifted = np.empty_like(window)
        for channel, color in enumerate(self.color * np.float32(255)):
            levels = color + (window[..., channel] - color) / share
            lifted[..., channel] = levels.clip(0, 255) + np.float32(0.5)
        return lifted

    def _enlarge(
        self, shape: tuple[int, ...], box: tuple[float, float, float, float] | None
    ) -> NDArray[np.float32]:
        """The share in each pixel of a part of the window. [H, W]"""
        height, width = shape
        rows, columns = self.share.shape
        left, top, right, bottom = box or (0.0, 0.0, 1.0, 1.0)
        down = _weights_between(top, bottom, height, rows)
        across = _weights_between(left, right, width, columns)
        between = down @ torch.from_numpy(self.share).double() @ across.T
        return np.asarray(between.float().numpy())


@dataclass(frozen=True)
class VeilFit:
    """A veil and how much it explains.

    Attributes:
        veil: what was found.
        before: mean difference of the smoothed colors without it, levels of [0, 1].
        after: the same with it.
        evenness: share of the face that is seen in its densest tenth, as a part of that in its
            clearest tenth; 1 for what hides all places alike.
    """

    veil: Veil
    before: float
    after: float
    evenness: float

    @property
    def rest(self) -> float:
        """The part of the difference that the veil leaves, 0 and more."""
        return self.after / max(self.before, 1e-6)


def fit_veil(
    expected: NDArray[np.float64],  # [h, w, 3]
    seen: NDArray[np.float64],  # [h, w, 3]
    known: NDArray[np.bool_],  # [h, w]
    colors: NDArray[np.float64],  # [N, 3]
    smooth_cells: float = SMOOTH_CELLS,
) -> VeilFit:
    """Fit the veil that lies between the expected colors of a face and those that are seen.

    For each color that a veil may have, the share in each place is that of least squares over the
    cells around it. The color that leaves least is the veil's.

    Args:
        expected: what the references show in the scene's light. [h, w, 3]
        seen: what the scene shows. [h, w, 3]
        known: where both show skin, at least in one cell. [h, w]
        colors: neutral colors in the scene's light. [N, 3]
        smooth_cells: standard deviation of the smoothing, cells.
    """
    weights = known.astype(np.float64)
    # Channels before places, as the loop reads them.
    behind, before = (np.ascontiguousarray(np.moveaxis(c, -1, 0)) for c in (expected, seen))
    share, best = np.empty(known.shape), 0
    for _ in range(ROUNDS):
        sums = _sum_neighbors(behind, before, weights, smooth_cells)
        best = _fit_kernel(behind, before, weights, sums, colors, share)
        deviation = np.abs(_lay(behind, colors[best], share) - before).mean(0)
        weights = known / (1 + (deviation / HALF_WEIGHT_DEVIATION) ** 2)
    densest, clearest = np.percentile(share[known], (10, 90))
    veiled = _lay(behind, colors[best], share)
    without, left = (
        _measure_smooth(weights * (each - before), known, weights, smooth_cells)
        for each in (behind, veiled)
    )
    return VeilFit(
        Veil(colors[best].astype(np.float32), share.astype(np.float32)),
        without,
        left,
        float(densest / clearest),
    )


def measure_smooth_difference(
    left: NDArray[np.float64],  # [h, w, 3]
    right: NDArray[np.float64],  # [h, w, 3]
    known: NDArray[np.bool_],  # [h, w]
) -> float:
    """Measure the mean absolute difference of two smoothed pictures where they are known.

    Args:
        left: RGB in [0, 1]. [h, w, 3]
        right: RGB in [0, 1]. [h, w, 3]
        known: where both are known. [h, w]
    """
    weights = known.astype(np.float64)
    difference = np.moveaxis(weights[..., None] * (left - right), -1, 0)
    return _measure_smooth(difference, known, weights, SMOOTH_CELLS)


def _measure_smooth(
    difference: NDArray[np.float64],
    known: NDArray[np.bool_],
    weights: NDArray[np.float64],
    smooth_cells: float,
) -> float:
    """Mean of weighted differences [3, h, w], smoothed, where they are known."""
    total = np.maximum(_smooth(weights, smooth_cells), 1e-12)
    return float(np.abs(_smooth(difference, smooth_cells) / total)[:, known].mean())


def _lay(
    colors: NDArray[np.float64], veil: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Lay a veil [3] with shares [h, w] over colors. [3, h, w]"""
    color = veil[:, None, None]
    return np.asarray(color + share * (colors - color))


def _sum_neighbors(
    expected: NDArray[np.float64],  # [3, h, w]
    seen: NDArray[np.float64],  # [3, h, w]
    weights: NDArray[np.float64],  # [h, w]
    smooth_cells: float,
) -> NDArray[np.float64]:  # [9, h, w]
    """Sum over the cells around each, see `_smooth`, what the share of any color follows from.

    With w the weights, e the expected and s the seen colors: w e.s, w e.e, w e, w s and w.
    """
    sums = np.empty((9, *weights.shape))
    np.multiply(weights, expected, out=sums[2:5])
    np.multiply(weights, seen, out=sums[5:8])
    sums[0], sums[1], sums[8] = (sums[2:5] * seen).sum(0), (sums[2:5] * expected).sum(0), weights
    return _smooth(sums, smooth_cells)


@njit_cached
def _fit_kernel(expected, seen, weights, sums, colors, share):
    """Try colors of a veil [N, 3]: fill the shares [h, w] of that which leaves least.

    The share in each place is that of least squares over the cells around it. Other arguments as in
    `_sum_neighbors`, and its result.

    Returns:
        Row of the color.
    """
    height, width = share.shape
    best, least = 0, np.inf
    # The last round fills the shares of the best color.
    for n in range(len(colors) + 1):
        color = colors[n] if n < len(colors) else colors[best]
        square = EXPECTED_CONTRAST**2
        for c in range(3):
            square += color[c] * color[c]
        rest = 0.0
        for row in range(height):
            for column in range(width):
                # The sums of (e - c).(s - c) and of (e - c).(e - c), multiplied out.
                constant = square * sums[8, row, column]
                behind = before = 0.0
                for c in range(3):
                    behind += color[c] * sums[2 + c, row, column]
                    before += color[c] * sums[5 + c, row, column]
                above = sums[0, row, column] - behind - before + constant
                below = sums[1, row, column] - 2 * behind + constant
                part = min(max(above / max(below, 1e-12), MIN_SHARE), MAX_SHARE)
                if n == len(colors):
                    share[row, column] = part
                    continue
                left = 0.0
                for c in range(3):
                    veiled = color[c] + part * (expected[c, row, column] - color[c])
                    left += abs(veiled - seen[c, row, column])
                rest += weights[row, column] * left
        if n < len(colors) and rest < least:
            best, least = n, rest
    return best


def _smooth(values: NDArray[np.float64], cells: float) -> NDArray[np.float64]:
    """Average over neighbors, and a little over those far away. [..., h, w]"""
    (near_rows, wide_rows), (near_columns, wide_columns) = (
        _smoothing(count, cells) for count in values.shape[-2:]
    )
    # torch multiplies matrices of this size in a quarter of NumPy's time.
    sums = torch.from_numpy(values)
    near = near_rows @ sums @ near_columns.T
    return np.asarray((near + WIDE_WEIGHT * (wide_rows @ sums @ wide_columns.T)).numpy())


@lru_cache(maxsize=8)
def _smoothing(count: int, cells: float) -> tuple[Tensor, Tensor]:
    """Matrices that smooth a row of cells, nearer and wider. [count, count] each

    Products of such small matrices take a tenth of the time of filters over pictures.
    """
    impulses = np.eye(count)
    near, wide = (
        torch.from_numpy(gaussian_filter1d(impulses, deviation, axis=0, mode="constant"))
        for deviation in (cells, WIDE_FACTOR * cells)
    )
    return near, wide


@lru_cache(maxsize=4)  # whole windows are enlarged in every frame
def _weights_between(begin: float, end: float, size: int, count: int) -> Tensor:
    """Weights of linear interpolation between cells, for pixels of a part of a row. [size, count]

    Args:
        begin: where the part begins, as a fraction of the row.
        end: where it ends.
        size: pixels of the part.
        count: cells of the whole row.
    """
    # Places between the centers of cells; beyond the last ones nothing changes.
    places = (begin + (end - begin) * (np.arange(size) + 0.5) / size) * count - 0.5
    places = places.clip(0, count - 1)
    first = np.minimum(places.astype(np.int64), max(count - 2, 0))
    part = places - first
    weights = np.zeros((len(places), count))
    rows = np.arange(len(places))
    weights[rows, first] += 1 - part
    weights[rows, np.minimum(first + 1, count - 1)] += part
    return torch.from_numpy(weights)
