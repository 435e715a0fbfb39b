"""Actors take turns on one renderer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dubfew.adapt import AdapterSwitcher
from dubfew.errors import ArtefactError
from tests.adapt.toys import adapter_of, assert_same, judged, learned, pixels, state, toy_prior
from tests.data.people import toy_footage


@pytest.fixture(scope="module")
def actors(prior, footage):
    """One adapter of each method, two of them of another person."""
    people = [footage, toy_footage(seed=3), toy_footage(seed=3)]
    adapters = [
        adapter_of(prior, person, method, learned(prior, person, method, 2, seed=seed))
        for seed, (person, method) in enumerate(
            zip(people, ("texture", "lora", "full"), strict=True)
        )
    ]
    samples = [judged(person, np.array([20, 22]), np.arange(16)) for person in people]
    return list(zip(adapters, samples, strict=True))


def test_turns_show_what_each_shows_alone(prior, actors):
    alone = [pixels(a.merge_with_prior(prior), a.texture, sample) for a, sample in actors]
    before, stage = state(prior), AdapterSwitcher(prior)
    for turn in (0, 1, 2, 1, 0, 2, 2, 1):
        adapter, sample = actors[turn]
        with stage.activate(adapter) as renderer:
            assert torch.equal(pixels(renderer, adapter.texture, sample), alone[turn])
    assert_same(before, state(prior))
    assert not torch.equal(alone[1], alone[2])


def test_one_renderer_serves_all(prior, actors):
    stage = AdapterSwitcher(prior)
    seen = set()
    for adapter, _ in actors:
        with stage.activate(adapter) as renderer:
            seen.add(tuple(p.data_ptr() for p in renderer.parameters()))
    assert len({len(pointers) for pointers in seen}) == 1
    with stage.activate(actors[1][0]) as first:
        pass
    with stage.activate(actors[2][0]) as second:
        assert first is second
    own = {p.data_ptr() for p in prior.renderer.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in second.parameters())


def test_an_error_while_playing_leaves_the_prior(prior, actors):
    stage = AdapterSwitcher(prior)
    with pytest.raises(KeyboardInterrupt), stage.activate(actors[1][0]) as renderer:
        raise KeyboardInterrupt
    assert_same(prior.renderer.state_dict(), renderer.state_dict())


def test_damaged_actors_leave_the_stage_whole(prior, actors):
    lora, sample = actors[1]
    stage = AdapterSwitcher(prior)
    name = next(iter(lora.weights))
    for weights in ({}, {**lora.weights, name: torch.zeros(3)}):
        with pytest.raises(ArtefactError), stage.activate(replace(lora, weights=weights)):
            pass
    with stage.activate(lora) as renderer:
        shown = pixels(renderer, lora.texture, sample)
    assert torch.equal(shown, pixels(lora.merge_with_prior(prior), lora.texture, sample))


def test_one_at_a_time(prior, actors):
    stage = AdapterSwitcher(prior)
    with (
        stage.activate(actors[0][0]),
        pytest.raises(RuntimeError, match="still active"),
        stage.activate(actors[1][0]),
    ):
        pass
    with stage.activate(actors[1][0]):
        pass


def test_an_actor_of_another_prior_is_refused(actors):
    with (
        pytest.raises(ArtefactError, match="adapted on prior"),
        AdapterSwitcher(toy_prior(seed=5)).activate(actors[0][0]),
    ):
        pass
