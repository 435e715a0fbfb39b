"""The learning-rate schedule: its ends, its warm-up and its decay."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from dubfew.training.schedules import LearningRateSchedule, warmup_cosine


def test_value_at_the_ends():
    assert warmup_cosine(0, 100, warmup_steps=10) == 0
    assert warmup_cosine(0, 100, warmup_steps=10, initial=0.01) == pytest.approx(0.01)
    assert warmup_cosine(100, 100, warmup_steps=10) == pytest.approx(0)
    assert warmup_cosine(100, 100, warmup_steps=10, floor=0.1) == pytest.approx(0.1)


def test_it_stays_where_it_ended():
    end = warmup_cosine(100, 100, warmup_steps=10, floor=0.1)
    assert warmup_cosine(250, 100, warmup_steps=10, floor=0.1) == end


def test_the_decay_can_begin_after_the_warm_up():
    factors = [warmup_cosine(step, 100, warmup_steps=10, decay_start=10) for step in range(101)]
    assert factors[:11] == pytest.approx([step / 10 for step in range(11)])
    assert factors[55] == pytest.approx(0.5)
    assert all(later <= earlier for earlier, later in itertools.pairwise(factors[10:]))


@pytest.mark.parametrize("step", range(0, 76, 5))
def test_adaptation_has_the_schedule_it_always_had(step):
    expected = min(1.0, step / 20) * (0.55 + 0.45 * math.cos(math.pi * step / 75))
    assert warmup_cosine(step, 75, warmup_steps=20, floor=0.1) == expected


@pytest.mark.parametrize("step", [0, 1, 20, 60, 999])
def test_the_prior_has_the_schedule_it_always_had(step):
    fraction = step / 1000
    expected = min(1.0, fraction / 0.02 + 0.01) * (0.55 + 0.45 * math.cos(math.pi * fraction))
    found = warmup_cosine(step, 1000, warmup_steps=20, initial=0.01, floor=0.1)
    assert found == pytest.approx(expected, rel=1e-12)


def test_every_group_keeps_its_peak():
    groups = [{"params": [torch.zeros(1)], "lr": rate} for rate in (0.5, 0.25, 0.0)]
    optimizer = torch.optim.Adam(groups)
    schedule = LearningRateSchedule(optimizer, lambda step: step / 4)
    for step, expected in ((2, [0.25, 0.125, 0]), (4, [0.5, 0.25, 0]), (1, [0.125, 0.0625, 0])):
        schedule.set_step(step)
        assert [group["lr"] for group in optimizer.param_groups] == expected


def test_a_loaded_optimizer_does_not_change_the_peaks():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    schedule = LearningRateSchedule(optimizer, lambda step: step / 4)
    schedule.set_step(1)
    stored = optimizer.state_dict()
    again = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    resumed = LearningRateSchedule(again, lambda step: step / 4)
    again.load_state_dict(stored)
    resumed.set_step(2)
    assert again.param_groups[0]["lr"] == 0.25
