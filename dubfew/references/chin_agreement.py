"""Tell a chin from something of the color of skin that lies over it, by its features.

A curtain, a hand or a cloth of the color of skin has no color that the references lack. But edges
and folds of a chin lie where the references of the very mouth have them, and those of a curtain do
not. Light changes slowly over a face: what remains without slow changes is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from dubfew.references.light_fit import LightFit, predict_scene_colors
from dubfew.references.light_kernels import shrink_planes
from dubfew.references.overlays import SceneView
from dubfew.references.skin_cells import CELL_PX, FaceComparison, cell_positions
from dubfew.utils.luma import LUMA_BT709

# Standard deviations, in cells, between which features are compared: meshes lie a pixel beside the
# truth, and lamps and shadows are wider.
FINE_CELLS, WIDE_CELLS = 1.0, 5.0
# Standard deviation of the difference of two chins' features, levels of [0, 1], below which they
# agree: a smooth chin has no features but noise. Curtains leave 0.013 and more.
MIN_FEATURE_DIFFERENCE = 0.012
# Cells of skin below the lips, at least, or nothing is told.
MIN_CHIN_CELLS = 24


class ChinTracker:
    """Measure how well the features of a chin are those of the references, frame by frame.

    A chin that looks as it did when it was last compared is the one that was compared then: for
    correlations are cosines of angles, and the angle to the references is at most the sum of that
    between the two frames and that of the earlier one.
    """

    def __init__(self) -> None:
        self._last: _ComparedChin | None = None

    def measure(
        self,
        compare_filmed: Callable[[], FaceComparison | None],
        view: SceneView,
        fit: LightFit,
        *,
        goes_on: bool,
        enough: float,
    ) -> float | None:
        """Measure the chin of a frame.

        Args:
            compare_filmed: compares the face, with the mouth that the frame shows, with the
                references, if that is known; called unless the frames before tell enough.
            view: what the frame shows.
            fit: match of the frame's light.
            goes_on: whether the shot began before.
            enough: agreement from which on no more has to be known.

        Returns:
            As `measure_chin_agreement`, or a bound of it that is at least ``enough``.
        """
        if goes_on and self._last is not None:
            bound = self._last.bound_agreement(view)
            if bound >= enough:
                return bound
        self._last = None
        face = compare_filmed()
        if face is None:
            return None
        lips = float(view.lips[:, 1].mean()) / len(view.window)
        found = measure_chin_agreement(face, lips, fit)
        if found is not None and found >= enough:
            chin = _find_chin(face, lips)
            features = _find_features(_shrink_luma(view), face.known)[chin]
            self._last = _ComparedChin(features, chin, face.known, found)
        return found


@dataclass(frozen=True)
class _ComparedChin:
    """A chin that was compared with the references.

    Attributes:
        features: of its cells. [N]
        chin: these cells. [h, w]
        known: where skin was known. [h, w]
        agreement: with the references, -1 to 1.
    """

    features: NDArray[np.float64]
    chin: NDArray[np.bool_]
    known: NDArray[np.bool_]
    agreement: float

    def bound_agreement(self, view: SceneView) -> float:
        """Return what a frame agrees with the references at least."""
        features = _find_features(_shrink_luma(view), self.known)[self.chin]
        alike = _correlate(self.features, features)
        angle = np.arccos(np.clip((alike, self.agreement), -1, 1)).sum()
        return float(np.cos(min(angle, np.pi)))


def measure_chin_agreement(face: FaceComparison, lips: float, fit: LightFit) -> float | None:
    """Measure how well the features of a chin are those of the references.

    Args:
        face: the face with the mouth that the frame shows, and the references'.
        lips: height of the lips' middle in the window, 0 to 1.
        fit: match of the frame's light.

    Returns:
        Correlation with that reference which resembles it most, -1 to 1, and 1 where hardly
        anything differs; None where too little of the painted skin below the lips is seen.
    """
    known, chin = face.known, _find_chin(face, lips)
    if int(chin.sum()) < MIN_CHIN_CELLS:
        return None
    positions = cell_positions(len(known)).reshape(-1, 2)
    features = _find_features(face.scene @ LUMA_BT709, known)[chin]
    found = []
    for reference in face.references:
        expected = predict_scene_colors(fit.parameters, reference.reshape(-1, 3), positions)
        luma = (expected @ LUMA_BT709).reshape(known.shape)
        shown = _find_features(luma, known)[chin]
        if float((features - shown).std()) < MIN_FEATURE_DIFFERENCE:
            return 1.0
        found.append(_correlate(features, shown))
    return max(found)


def _find_chin(face: FaceComparison, lips: float) -> NDArray[np.bool_]:
    """Find the cells of painted skin below the lips. [h, w]"""
    below = np.arange(len(face.known))[:, None] + 0.5 > lips * len(face.known)
    return np.asarray(face.known & face.painted & below)


def _shrink_luma(view: SceneView) -> NDArray[np.float64]:
    """Luma of a window in cells. [h, w]"""
    return np.tensordot(LUMA_BT709, shrink_planes(view.planes[None], CELL_PX)[0], 1)


def _find_features(luma: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What a picture [h, w] shows without slow changes, where it is known. [h, w]"""
    weights = known.astype(np.float64)
    both = np.stack([luma * weights, weights])
    fine, wide = (
        smooth @ both @ smooth.T
        for smooth in (_smoothing(len(known), cells) for cells in (FINE_CELLS, WIDE_CELLS))
    )
    return np.asarray(fine[0] / np.maximum(fine[1], 1e-6) - wide[0] / np.maximum(wide[1], 1e-6))


@lru_cache(maxsize=4)
def _smoothing(count: int, cells: float) -> NDArray[np.float64]:
    """Matrix that smooths a row of cells: a product takes less than a filter. [count, count]"""
    return np.asarray(gaussian_filter1d(np.eye(count), cells, axis=0))


def _correlate(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Correlate two rows of values; 0 where one of them does not vary."""
    left, right = left - left.mean(), right - right.mean()
    return float(left @ right / np.sqrt((left @ left) * (right @ right) + 1e-12))
