"""Structural similarity of the mouth box."""

from __future__ import annotations

from dataclasses import replace

from dubfew.evaluate.metrics import ssim
from dubfew.evaluate.metrics._base import CropMeasure

METRIC = replace(ssim.METRIC, measure=CropMeasure(ssim.ssim, "mouth"))
