"""The moving average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dubfew.training.ema import update_ema


def test_parameters_move_by_the_decay_and_buffers_are_copied():
    average, model = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.constant_(average.weight, 1.0)
    nn.init.constant_(model.weight, 3.0)
    model.running_mean.fill_(5.0)
    update_ema(average, model, 0.75)
    assert average.weight.tolist() == [1.5, 1.5]
    assert average.running_mean.tolist() == [5.0, 5.0]
    assert model.weight.tolist() == [3.0, 3.0]
    assert average.weight.grad_fn is None


def test_a_decay_of_0_copies():
    average, model = nn.Linear(2, 2), nn.Linear(2, 2)
    update_ema(average, model, 0.0)
    torch.testing.assert_close(average.weight, model.weight)


def test_other_networks_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        update_ema(nn.Linear(1, 1), nn.Linear(1, 1, bias=False), 0.5)
