"""LPIPS with its two backbones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from dubfew.evaluate.metrics._base import CropMeasure, Metric, MetricRequirement, RgbImage


def _measure(network: Any, reference: RgbImage, output: RgbImage) -> float:
    return float(network.measure(reference, output))


def make_lpips_metric(net: str, file: str) -> Metric:
    """Make the metric of a backbone.

    Args:
        net: "alex" or "vgg".
        file: usual name of the backbone's file.
    """

    def load(path: Any) -> Any:
        from dubfew.evaluate.perceptual.lpips import load_lpips  # imports torch

        return load_lpips(net, Path(path))

    return Metric(
        unit="",
        bounds=(0.0, math.inf),
        direction="lower",
        best=0.0,
        source="Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a "
        f"Perceptual Metric (arXiv 1801.03924), version 0.1, net {net}",
        measure=CropMeasure(_measure, "face"),
        requirement=MetricRequirement(
            f"lpips_{net}",
            f"{file} (dubfew assets add lpips-{net} FILE)",
            load,
            asset=f"lpips-{net}",
            packages=("lpips",),
        ),
        needs_same_line=True,
    )
