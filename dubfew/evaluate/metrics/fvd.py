"""Frechet video distance of the face crops."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from dubfew.evaluate.metrics._base import Metric, MetricRequirement
from dubfew.evaluate.metrics._frechet import FrechetMeasure


def _load(path: Any) -> Any:
    from dubfew.evaluate.perceptual.i3d import I3dFeatures  # imports torch

    return I3dFeatures(Path(path))


METRIC = Metric(
    unit="",
    bounds=(0.0, math.inf),
    direction="lower",
    best=0.0,
    source="Unterthiner et al. 2018, Towards Accurate Generative Models of Video (arXiv "
    "1812.01717); logits of I3D, windows of 16 frames that do not overlap",
    measure=FrechetMeasure(),
    requirement=MetricRequirement(
        "fvd_i3d",
        "i3d_torchscript.pt (dubfew assets add fvd-i3d FILE)",
        _load,
        asset="fvd-i3d",
    ),
)
