"""Where an edit may be."""

from __future__ import annotations

import numpy as np

from dubfew.evaluate.regions import dilate_mask


def test_widened_by_a_square():
    mask = np.zeros((12, 14), bool)
    mask[5, 6] = True
    grown = dilate_mask(mask, 2)
    assert grown.sum() == 25
    assert grown[3:8, 4:9].all()
    assert mask.sum() == 1


def test_widened_stops_at_the_border():
    mask = np.zeros((6, 6), bool)
    mask[0, 5] = True
    assert dilate_mask(mask, 3).sum() == 16
    assert not dilate_mask(np.zeros((6, 6), bool), 3).any()
