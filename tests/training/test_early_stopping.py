"""The best step is kept, and patience ends."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dubfew.training.early_stopping import EarlyStopping


def fill(layer: nn.Linear, value: float) -> None:
    nn.init.constant_(layer.weight, value)


def test_the_best_weights_come_back():
    layer = nn.Linear(1, 1)
    stopping = EarlyStopping([layer], patience_steps=10)
    for step, score in enumerate([1.0, 3.0, 2.0, 3.0]):
        fill(layer, step)
        assert stopping.update(step, score) == (step < 2)
    assert (stopping.best_step, stopping.best_score) == (1, 3.0)
    stopping.restore()
    assert float(layer.weight.detach()) == 1


@pytest.mark.parametrize("first", [-50.0, math.nan])
def test_the_start_is_kept_whatever_its_score(first):
    stopping = EarlyStopping([nn.Linear(1, 1)], patience_steps=10)
    assert stopping.update(0, first)
    assert stopping.best_step == 0


def test_it_is_exhausted_after_the_patience_alone():
    stopping = EarlyStopping([nn.Linear(1, 1)], patience_steps=4)
    assert not stopping.is_exhausted(100)
    stopping.update(2, 1.0)
    assert [step for step in range(2, 9) if stopping.is_exhausted(step)] == [6, 7, 8]
    stopping.update(6, 1.5)
    assert not stopping.is_exhausted(7)


def test_small_gains_are_kept_and_do_not_renew_the_patience():
    layer = nn.Linear(1, 1)
    stopping = EarlyStopping([layer], patience_steps=3, min_gain=1.0)
    for step, score in enumerate([1.0, 1.5, 2.0, 2.5]):
        fill(layer, step)
        assert stopping.update(step, score)
    # 2.0 is a gain over 1.0; 2.5 is not one over 2.0.
    assert [step for step in range(3, 8) if stopping.is_exhausted(step)] == [5, 6, 7]
    stopping.restore()
    assert float(layer.weight.detach()) == 3


def test_without_a_score_the_newest_is_kept():
    layer = nn.Linear(1, 1)
    stopping = EarlyStopping([layer], patience_steps=1)
    for step in (0, 5):
        fill(layer, step)
        stopping.keep(step)
    fill(layer, 9)
    stopping.restore()
    assert (stopping.best_step, stopping.best_score) == (5, None)
    assert float(layer.weight.detach()) == 5


def test_kept_weights_do_not_change_with_the_module():
    layer = nn.Linear(1, 1)
    stopping = EarlyStopping([layer], patience_steps=1)
    before = layer.weight.detach().clone()
    stopping.keep(0)
    with torch.no_grad():
        layer.weight += 1
    stopping.restore()
    assert torch.equal(layer.weight, before)


def test_nothing_to_restore_is_an_error():
    with pytest.raises(RuntimeError, match="kept"):
        EarlyStopping([nn.Linear(1, 1)], patience_steps=1).restore()
