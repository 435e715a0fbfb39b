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
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

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
        return np.asarray(self.color + share[..., None] * (colors - self.color), np.float32)

    def lift(self, window: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Take the veil from a window [S, S, 3], 0 to 255."""
        share = self._enlarge(window.shape[:2], None)[..., None]
        color = self.color * np.float32(255)
        levels = color + (window - color) / share
        return (levels.clip(0, 255) + np.float32(0.5)).astype(np.uint8)

    def _enlarge(
        self, shape: tuple[int, ...], box: tuple[float, float, float, float] | None
    ) -> NDArray[np.float32]:
        """The share in each pixel of a part of the window. [H, W]"""
        height, width = shape
        cells = self.share
        rows, columns = cells.shape
        left, top, right, bottom = box or (0.0, 0.0, 1.0, 1.0)
        # Places between the centers of cells; beyond the last ones nothing changes.
        x = (left + (right - left) * (np.arange(width) + 0.5) / width) * columns - 0.5
        y = (top + (bottom - top) * (np.arange(height) + 0.5) / height) * rows - 0.5
        between = _weights_between(y, rows) @ cells @ _weights_between(x, columns).T
        return np.asarray(between, np.float32)


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
    share = np.ones(known.shape)
    best = colors[0]
    for _ in range(ROUNDS):
        sums = _NeighborSums.of(expected, seen, weights, smooth_cells)
        shares = sums.fit_shares(colors)
        least = int(np.argmin(_measure_rest(expected, seen, colors, shares, weights)))
        best, share = colors[least], shares[least]
        deviation = np.abs(_lay(expected, best, share) - seen).mean(-1)
        weights = known / (1 + (deviation / HALF_WEIGHT_DEVIATION) ** 2)
    densest, clearest = np.percentile(share[known], (10, 90))
    return VeilFit(
        Veil(best.astype(np.float32), share.astype(np.float32)),
        measure_smooth_difference(expected, seen, known, weights, smooth_cells),
        measure_smooth_difference(_lay(expected, best, share), seen, known, weights, smooth_cells),
        float(densest / clearest),
    )


def measure_smooth_difference(
    left: NDArray[np.float64],  # [h, w, 3]
    right: NDArray[np.float64],  # [h, w, 3]
    known: NDArray[np.bool_],  # [h, w]
    weights: NDArray[np.float64] | None = None,  # [h, w]
    smooth_cells: float = SMOOTH_CELLS,
) -> float:
    """Measure the mean absolute difference of two smoothed pictures where they are known.

    Args:
        left: RGB in [0, 1]. [h, w, 3]
        right: RGB in [0, 1]. [h, w, 3]
        known: where both are known. [h, w]
        weights: of the cells; None for those that are known. [h, w]
        smooth_cells: standard deviation of the smoothing, cells.
    """
    weights = known.astype(np.float64) if weights is None else weights
    total = np.maximum(_smooth(weights, smooth_cells), 1e-12)
    difference = np.moveaxis(weights[..., None] * (left - right), -1, 0)
    means = _smooth(difference, smooth_cells) / total
    return float(np.abs(means)[:, known].mean())


def _lay(
    colors: NDArray[np.float64], veil: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(veil + share[..., None] * (colors - veil))


def _measure_rest(
    expected: NDArray[np.float64],
    seen: NDArray[np.float64],
    colors: NDArray[np.float64],
    shares: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sum the weighted differences that veils of colors [N, 3] and shares [N, h, w] leave. [N]"""
    # Channels before places: sums over the last axis, of three, would take most of the time.
    behind, before = np.moveaxis(expected, -1, 0), np.moveaxis(seen, -1, 0)
    veils = colors[:, :, None, None]
    rest = veils + shares[:, None] * (behind - veils) - before
    return np.asarray(np.tensordot(np.abs(rest).sum(1), weights, 2))


@dataclass(frozen=True)
class _NeighborSums:
    """Smoothed sums over the cells, of which the share of any color follows without more smoothing.

    With w the weights, e the expected and s the seen colors; see `_smooth`.

    Attributes:
        product: of w e.s [h, w]
        square: of w e.e [h, w]
        expected: of w e [3, h, w]
        seen: of w s [3, h, w]
        weight: of w [h, w]
    """

    product: NDArray[np.float64]
    square: NDArray[np.float64]
    expected: NDArray[np.float64]
    seen: NDArray[np.float64]
    weight: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        expected: NDArray[np.float64],
        seen: NDArray[np.float64],
        weights: NDArray[np.float64],
        smooth_cells: float,
    ) -> _NeighborSums:
        """Take the sums of two pictures [h, w, 3] with weights [h, w]."""
        weighted = np.moveaxis(weights[..., None] * expected, -1, 0)
        weighted_seen = np.moveaxis(weights[..., None] * seen, -1, 0)
        product = (weighted * np.moveaxis(seen, -1, 0)).sum(0)
        square = (weighted * np.moveaxis(expected, -1, 0)).sum(0)
        maps = _smooth(
            np.concatenate([product[None], square[None], weighted, weighted_seen, weights[None]]),
            smooth_cells,
        )
        return cls(maps[0], maps[1], maps[2:5], maps[5:8], maps[8])

    def fit_shares(self, colors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fit the share of least squares in each place for colors of a veil [N, 3]. [N, h, w]"""
        # The sums of (e - c).(s - c) and of (e - c).(e - c), multiplied out.
        squares = (colors * colors).sum(1) + EXPECTED_CONTRAST**2
        constant = squares[:, None, None] * self.weight
        expected = np.tensordot(colors, self.expected, 1)
        seen = np.tensordot(colors, self.seen, 1)
        above = self.product - expected - seen + constant
        below = self.square - 2 * expected + constant
        return np.asarray((above / np.maximum(below, 1e-12)).clip(MIN_SHARE, MAX_SHARE))


def _smooth(values: NDArray[np.float64], cells: float) -> NDArray[np.float64]:
    """Average over neighbors, and a little over those far away. [..., h, w]"""
    (near_rows, wide_rows), (near_columns, wide_columns) = (
        _smoothing(count, cells) for count in values.shape[-2:]
    )
    near = near_rows @ values @ near_columns.T
    return np.asarray(near + WIDE_WEIGHT * (wide_rows @ values @ wide_columns.T))


@lru_cache(maxsize=8)
def _smoothing(count: int, cells: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrices that smooth a row of cells, nearer and wider. [count, count] each

    Products of such small matrices take a tenth of the time of filters over pictures.
    """
    impulses = np.eye(count)
    near, wide = (
        gaussian_filter1d(impulses, deviation, axis=0, mode="constant")
        for deviation in (cells, WIDE_FACTOR * cells)
    )
    return near, wide


def _weights_between(places: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Weights of linear interpolation at places between cells. [P, count]"""
    places = places.clip(0, count - 1)
    first = np.minimum(places.astype(np.int64), max(count - 2, 0))
    part = places - first
    weights = np.zeros((len(places), count))
    rows = np.arange(len(places))
    weights[rows, first] += 1 - part
    weights[rows, np.minimum(first + 1, count - 1)] += part
    return weights
