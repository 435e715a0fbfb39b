from __future__ import annotations

import math

import numpy as np
import pytest

from dubfew.evaluate.metrics._aggregation import finite_mean, geometric_mean, maximum


def test_finite_mean():
    assert finite_mean(np.array([30.0, math.inf, 32.0, math.nan])) == 31
    assert finite_mean(np.array([math.inf])) == math.inf
    assert math.isnan(finite_mean(np.array([])))


def test_geometric_mean():
    assert geometric_mean(np.array([0.5, 2.0])) == pytest.approx(1)
    assert math.isnan(geometric_mean(np.array([math.nan, 0.0])))


def test_maximum():
    assert maximum(np.array([3.0, 7.0])) == 7
    assert maximum(np.array([])) == 0
