"""The learning-rate schedule: its ends, its warm-up and its decay."""

from __future__ import annotations

import itertools
import math

import pytest

from dubfew.training.schedules import warmup_cosine


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
