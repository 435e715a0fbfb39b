"""Brightness of the repainted skin that jumps from frame to frame."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.metrics._aggregation import finite_mean
from dubfew.evaluate.metrics._base import ClipPair, FrameCurve, FramePair, Measurement, Metric
from dubfew.evaluate.metrics._skin import MIN_SKIN_PIXELS, find_edited_part

# Rows and columns of cells that the repainted skin is divided into: a lamp or a blend that flickers
# shows on one cheek only, and finer cells would follow single pixels that move.
CELLS = 3


def mean_skin_errors(pair: FramePair) -> NDArray[np.float64]:  # [CELLS * CELLS, 3]
    """Average output - original over the skin around the lips, cell by cell.

    Args:
        pair: a frame of both clips.

    Returns:
        Mean RGB error, 8-bit levels; NaN in cells without skin. [9, 3]
    """
    errors = np.full((CELLS * CELLS, 3), np.nan)
    part = find_edited_part(pair)
    if part is None:
        return errors
    difference = part.box.crop(pair.output).astype(np.float32) - part.box.crop(pair.reference)
    edges = [np.linspace(0, size, CELLS + 1).astype(int) for size in part.skin.shape]
    for cell in range(CELLS * CELLS):
        row, column = divmod(cell, CELLS)
        place = np.s_[edges[0][row] : edges[0][row + 1], edges[1][column] : edges[1][column + 1]]
        skin = part.skin[place]
        if skin.sum() >= MIN_SKIN_PIXELS:
            errors[cell] = difference[place][skin].mean(0)
    return errors


def second_differences(
    errors: NDArray[np.float64],  # [N, C, 3]
) -> NDArray[np.float64]:  # [N]
    """Compute how much the errors of three neighboring frames leave a straight line.

    Args:
        errors: mean errors of each frame, cell and channel; NaN without one. [N, C, 3]

    Returns:
        Root mean square of ``e[k - 1] - 2 e[k] + e[k + 1]``; NaN at the ends and at gaps. [N]

    Example:
        >>> errors = np.array([0.0, 1.0, 0.0])[:, None, None] * np.ones((3, 1, 3))
        >>> second_differences(errors).tolist()
        [nan, 2.0, nan]
    """
    values = np.full(len(errors), np.nan)
    if len(errors) < 3:
        return values
    second = errors[:-2] - 2 * errors[1:-1] + errors[2:]
    square = np.square(second).reshape(len(second), -1)
    seen = np.isfinite(square)
    count = seen.sum(1)
    total = np.where(seen, square, 0).sum(1)
    values[1:-1] = np.where(count > 0, np.sqrt(total / np.maximum(count, 1)), np.nan)
    return values


class _FlickerMeasurement:
    """The errors so far."""

    def __init__(self) -> None:
        self._errors: list[NDArray[np.float64]] = []

    def add_frame(self, pair: FramePair) -> None:
        self._errors.append(mean_skin_errors(pair))

    def compute(self, clips: ClipPair) -> float:
        curve = self.curve(clips)
        return curve.aggregate(curve.values)

    def curve(self, clips: ClipPair) -> FrameCurve:
        errors = np.array(self._errors).reshape(len(self._errors), CELLS * CELLS, 3)
        return FrameCurve(second_differences(errors), finite_mean)


class FlickerMeasure:
    """Measure the second difference in time of the error of the skin."""

    def start(self, resource: None) -> Measurement:
        """Begin to measure a pair of clips."""
        return _FlickerMeasurement()


METRIC = Metric(
    unit="8-bit levels",
    bounds=(0.0, math.inf),
    direction="lower",
    best=0.0,
    source="second difference in time of the mean error (output - original) of the repainted "
    "skin in 3 x 3 cells, root mean square of cells and channels, mean of the frames",
    measure=FlickerMeasure(),
    # docs/judging.md: re-encoding has up to 0.9, one frame late 1.7, four levels up and down 9.
    good=1.2,
    poor=3.0,
)
