"""A draft trains nothing, and the default trains until nothing is gained."""

from __future__ import annotations

import pytest

from dubfew.adapt.options import DEFAULT_TRAINING_STEPS, AdaptOptions
from dubfew.errors import DubfewError


def test_a_draft_has_no_steps():
    assert AdaptOptions(draft=True).max_training_steps == 0
    assert AdaptOptions(draft=True, steps=0).max_training_steps == 0
    assert AdaptOptions().max_training_steps == DEFAULT_TRAINING_STEPS
    assert AdaptOptions(steps=7).max_training_steps == 7


def test_a_draft_with_steps_is_a_contradiction():
    with pytest.raises(DubfewError, match="--steps is 20"):
        AdaptOptions(draft=True, steps=20)
