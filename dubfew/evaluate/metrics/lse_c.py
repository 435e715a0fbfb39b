"""Lip-sync error, confidence (LSE-C): how far SyncNet prefers the best shift of the sound."""

from __future__ import annotations

import math

from dubfew.evaluate.metrics._base import Metric
from dubfew.evaluate.metrics._syncnet import SYNCNET_SOURCE, SYNCNET_WEIGHTS, measure_syncnet

METRIC = Metric(
    unit="",
    bounds=(0.0, math.inf),
    direction="higher",
    best=math.inf,
    source=SYNCNET_SOURCE,
    measure=measure_syncnet("lse_c"),
    requirement=SYNCNET_WEIGHTS,
)
