"""Peak signal-to-noise ratio of the mouth box."""

from __future__ import annotations

from dataclasses import replace

from dubfew.evaluate.metrics import psnr
from dubfew.evaluate.metrics._base import CropMeasure

METRIC = replace(psnr.METRIC, measure=CropMeasure(psnr.psnr, "mouth"))
