"""Lip landmark distance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.face_geometry import LIP_POINTS, eye_corner_distance, has_face
from dubfew.evaluate.metrics._aggregation import finite_mean
from dubfew.evaluate.metrics._base import (
    ClipPair,
    CurveMeasure,
    LandmarkArray,
    Metric,
    check_landmark_pair,
)
from dubfew.utils.growable_array import map_row_blocks


def lip_landmark_distance(
    reference: LandmarkArray,  # [N, 478, 3]
    output: LandmarkArray,  # [N, 478, 3]
) -> float:
    """Compute the mean distance of the 40 lip landmarks from those of the original.

    Read it beside the value of a mouth that stays closed, which
    `dubfew.evaluate.face_geometry.freeze_lips` makes.

    Args:
        reference: landmarks of the original, px; rows of frames without a face are NaN.
            [N, 478, 3]
        output: landmarks of the same frames of the output, px. [N, 478, 3]

    Returns:
        Distance in % of the original's eye-corner distance, lower is better; NaN if no frame shows
        a face in both clips.

    Raises:
        ShapeError: The clips differ in length, or their landmarks are not [N, 478, 3].

    Source: after Chen et al. 2018, "Lip Movements Generation at a Glance" (arXiv 1803.10404), with
    distances relative to the size of the face instead of in px.
    """
    return finite_mean(lip_distances(reference, output))


def lip_distances(
    reference: LandmarkArray,  # [N, 478, 3]
    output: LandmarkArray,  # [N, 478, 3]
) -> NDArray[np.float64]:  # [N]
    """Compute what `lip_landmark_distance` averages, frame by frame; NaN without a face. [N]

    Args:
        reference: landmarks of the original, px; NaN without a face. [N, 478, 3]
        output: those of the output. [N, 478, 3]

    Returns:
        Mean distance of the lips' landmarks, in per cent of the distance of the eyes' outer
            corners. [N]
    """
    check_landmark_pair(reference, output)
    return map_row_blocks(_measure_lip_distances, reference, output)


def _measure_lip_distances(reference: LandmarkArray, output: LandmarkArray) -> NDArray[np.float64]:
    lips = reference[:, LIP_POINTS, :2].astype(np.float64) - output[:, LIP_POINTS, :2]
    distance = np.linalg.norm(lips, axis=-1).mean(axis=-1)
    both = has_face(reference) & has_face(output)
    return np.where(both, distance / eye_corner_distance(reference) * 100, np.nan)


def _measure(clips: ClipPair) -> NDArray[np.float64]:
    return lip_distances(clips.reference_landmarks, clips.output_landmarks)


METRIC = Metric(
    unit="% of the eye-corner distance",
    bounds=(0.0, math.inf),
    direction="lower",
    best=0.0,
    source="Chen et al. 2018, Lip Movements Generation at a Glance (arXiv 1803.10404), relative "
    "to the size of the face",
    measure=CurveMeasure(_measure),
    # docs/benchmarks.md: a re-enactment has 0.8, a mouth that does not move 3.5.
    good=1.2,
    poor=3.4,
    needs_same_line=True,
)
