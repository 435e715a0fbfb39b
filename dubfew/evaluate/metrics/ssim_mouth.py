"""Structural similarity of the mouth box."""

from __future__ import annotations

from dataclasses import replace

from dubfew.evaluate.metrics import ssim
from dubfew.evaluate.metrics._base import CropMeasure

# docs/benchmarks.md: an adapted actor has 0.940, a reference that is pasted rigidly 0.856.
METRIC = replace(ssim.METRIC, measure=CropMeasure(ssim.ssim, "mouth"), good=0.92, poor=0.86)
