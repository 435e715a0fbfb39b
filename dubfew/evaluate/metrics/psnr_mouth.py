"""Peak signal-to-noise ratio of the mouth box."""

from __future__ import annotations

from dataclasses import replace

from dubfew.evaluate.metrics import psnr
from dubfew.evaluate.metrics._base import CropMeasure

# docs/benchmarks.md: adapted actors have 32.6 to 38.5, a reference that is pasted rigidly 29.4.
METRIC = replace(psnr.METRIC, measure=CropMeasure(psnr.psnr, "mouth"), good=33.0, poor=29.5)
