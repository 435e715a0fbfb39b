"""A draft trains nothing, and the default trains until nothing is gained."""

from __future__ import annotations

import json

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


def test_priors_that_paint_are_trained_longer(tmp_path):
    assert AdaptOptions(prior=tmp_path).max_training_steps == DEFAULT_TRAINING_STEPS
    config = {"renderer": "stylesync", "renderer_config": {"layout": "face256"}}
    (tmp_path / "prior_config.json").write_text(json.dumps(config))
    assert AdaptOptions(prior=tmp_path).max_training_steps == 3000
    assert AdaptOptions(prior=tmp_path, steps=7).max_training_steps == 7
    assert AdaptOptions(prior=tmp_path, draft=True).max_training_steps == 0


def test_options_that_contradict_each_other_are_errors():
    for options, message in (
        ({"mixed": 1.0}, "below 1"),
        ({"no_prior": True}, "--method full"),
        ({"replay": False, "mixed": 0.5}, "--no-replay"),
    ):
        with pytest.raises(DubfewError, match=message):
            AdaptOptions(**options)
