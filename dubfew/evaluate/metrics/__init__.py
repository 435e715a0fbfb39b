"""Metrics of an output against its original, one module each.

Every module of this package that does not begin with an underscore defines ``METRIC``, a `Metric`,
and is the metric of its own name. A new metric is a new file: ``dubfew evaluate`` shows it, and the
tests in ``tests/evaluate/metrics/test_all_metrics.py`` check it. Importing this package imports no
metric, so that names can be listed quickly.

The protocol is the same for every system under test:

- Frame k of the output is compared with frame k of the original, as uint8 RGB.
- The face crop is a stable square box that depends on the *original's* landmarks alone
  (`dubfew.evaluate.face_geometry.face_boxes`). Both videos are resized to 256 px there.
- The mouth box is one rectangle for the whole clip, from the *original's* landmarks
  (`dubfew.evaluate.face_geometry.clip_mouth_box`), at the video's own resolution.
- Metrics of landmarks run the same detector over both videos. Distances are measured in the image
  (x, y), in units of the distance between the outer eye corners in the same frame.
- Crops are compared in frames in which the original shows a face. Metrics of landmarks also leave
  out frames in which the output shows none.
"""

from __future__ import annotations

from dubfew.evaluate.metrics._base import (
    ClipMeasure,
    ClipPair,
    CropMeasure,
    CurveMeasure,
    FrameCurve,
    FrameMeasure,
    FramePair,
    Measurement,
    Metric,
    MetricRequirement,
)
from dubfew.utils.extension_table import ExtensionTable

METRICS: ExtensionTable[Metric] = ExtensionTable(
    "metric", "dubfew.evaluate.metrics", "METRIC", entry_points="dubfew.metrics"
)

__all__ = [
    "METRICS",
    "ClipMeasure",
    "ClipPair",
    "CropMeasure",
    "CurveMeasure",
    "FrameCurve",
    "FrameMeasure",
    "FramePair",
    "Measurement",
    "Metric",
    "MetricRequirement",
]
