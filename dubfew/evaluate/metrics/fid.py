"""Frechet inception distance of the face crops."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from dubfew.evaluate.metrics._base import Metric, MetricRequirement
from dubfew.evaluate.metrics._frechet import FrechetMeasure


def _load(path: Any) -> Any:
    from dubfew.evaluate.perceptual.inception import InceptionFeatures  # imports torch

    return InceptionFeatures(Path(path))


METRIC = Metric(
    unit="",
    bounds=(0.0, math.inf),
    direction="lower",
    best=0.0,
    source="Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule Converge to a Local "
    "Nash Equilibrium (arXiv 1706.08500); Inception of 2015, 2,048 features; papers pool all "
    "frames of all videos, and below 2,048 frames the value is too high",
    measure=FrechetMeasure(),
    requirement=MetricRequirement(
        "fid_inception",
        "weights-inception-2015-12-05-6726825d.pth (dubfew assets add fid-inception FILE)",
        _load,
        asset="fid-inception",
        packages=("torch_fidelity",),
    ),
)
