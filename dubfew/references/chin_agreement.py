"""Tell a chin from something of the color of skin that lies over it, by its features.

A curtain, a hand or a cloth of the color of skin has no color that the references lack. But edges
and folds of a chin lie where the references of the very mouth have them, and those of a curtain do
not. Light changes slowly over a face: what remains without slow changes is compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dubfew.references.inputs import RenderInputs
from dubfew.references.light_fit import LightFit, predict_scene_colors
from dubfew.references.overlays import Overlay, SceneView, cover_mouths
from dubfew.references.skin_cells import FrameCells, cell_positions
from dubfew.utils.luma import LUMA_BT709

# Standard deviations, in cells, between which features are compared: meshes lie a pixel beside the
# truth, and lamps and shadows are wider.
FINE_CELLS, WIDE_CELLS = 1.0, 5.0
# Standard deviation of the difference of two chins' features, levels of [0, 1], below which they
# agree: a smooth chin has no features but noise. Curtains leave 0.013 and more.
MIN_FEATURE_DIFFERENCE = 0.012
# Cells of skin below the lips, at least, or nothing is told.
MIN_CHIN_CELLS = 24


def measure_chin_agreement(
    own: RenderInputs, view: SceneView, fit: LightFit, overlay: Overlay | None = None
) -> float | None:
    """Measure how well the features of a chin are those of the references.

    Args:
        own: inputs with the mouth that the frame shows (B = 1).
        view: what the frame shows.
        fit: match of its light.
        overlay: what lies over the face, and is not compared; None for nothing.

    Returns:
        Correlation with that reference which resembles it most, -1 to 1, and 1 where hardly
        anything differs; None where too little of the painted skin below the lips is seen.
    """
    hidden = cover_mouths(own, view)
    if overlay is not None:
        hidden |= overlay.mask
    references, seen, known, painted = FrameCells(own).compare_mask(view.window, hidden)
    lips = view.lips[:, 1].mean() / len(view.window) * len(known)
    chin = known & painted & (np.arange(len(known))[:, None] + 0.5 > lips)
    if int(chin.sum()) < MIN_CHIN_CELLS:
        return None
    positions = cell_positions(len(known)).reshape(-1, 2)
    features = _find_features(seen @ LUMA_BT709, known)[chin]
    found = []
    for reference in references:
        expected = predict_scene_colors(fit.parameters, reference.reshape(-1, 3), positions)
        luma = (expected @ LUMA_BT709).reshape(known.shape)
        shown = _find_features(luma, known)[chin]
        if float((features - shown).std()) < MIN_FEATURE_DIFFERENCE:
            return 1.0
        found.append(_correlate(features, shown))
    return max(found)


def _find_features(luma: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What a picture [h, w] shows without slow changes, where it is known. [h, w]"""
    weights = known.astype(np.float64)
    fine, wide = (
        gaussian_filter(luma * weights, cells) / np.maximum(gaussian_filter(weights, cells), 1e-6)
        for cells in (FINE_CELLS, WIDE_CELLS)
    )
    return np.asarray(fine - wide)


def _correlate(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Correlate two rows of values; 0 where one of them does not vary."""
    left, right = left - left.mean(), right - right.mean()
    return float(left @ right / np.sqrt((left @ left) * (right @ right) + 1e-12))
