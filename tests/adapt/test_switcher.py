"""Actors take turns on one renderer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dubfew.adapt import AdapterSwitcher
from dubfew.errors import ArtefactError
from tests.adapt.toys import (
    assert_equal_tensors,
    copy_prior_state,
    make_batch,
    make_toy_adapter,
    render_pixels,
    toy_prior,
    train_toy_adapter,
)
from tests.data.people import toy_footage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def actors(prior, footage):
    """One adapter of each method, two of them of another person."""
    people = [footage, toy_footage(seed=3), toy_footage(seed=3)]
    adapters = [
        make_toy_adapter(
            prior, person, method, train_toy_adapter(prior, person, method, 2, seed=seed)
        )
        for seed, (person, method) in enumerate(
            zip(people, ("texture", "lora", "full"), strict=True)
        )
    ]
    samples = [make_batch(person, np.array([20, 22]), np.arange(16)) for person in people]
    return list(zip(adapters, samples, strict=True))


def test_actors_in_turn_render_what_each_renders_alone(prior, actors):
    alone = [render_pixels(a.merge_with_prior(prior), a.texture, sample) for a, sample in actors]
    before, switcher = copy_prior_state(prior), AdapterSwitcher(prior)
    for turn in (0, 1, 2, 1, 0, 2, 2, 1):
        adapter, sample = actors[turn]
        with switcher.activate(adapter) as renderer:
            assert torch.equal(render_pixels(renderer, adapter.texture, sample), alone[turn])
    assert_equal_tensors(before, copy_prior_state(prior))
    assert not torch.equal(alone[1], alone[2])


def test_all_actors_share_one_renderer(prior, actors):
    switcher = AdapterSwitcher(prior)
    seen = set()
    for adapter, _ in actors:
        with switcher.activate(adapter) as renderer:
            seen.add(tuple(p.data_ptr() for p in renderer.parameters()))
    assert len({len(pointers) for pointers in seen}) == 1
    with switcher.activate(actors[1][0]) as first:
        pass
    with switcher.activate(actors[2][0]) as second:
        assert first is second
    own = {p.data_ptr() for p in prior.renderer.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in second.parameters())


def test_an_error_while_active_restores_the_prior(prior, actors):
    switcher = AdapterSwitcher(prior)
    with pytest.raises(KeyboardInterrupt), switcher.activate(actors[1][0]) as renderer:
        raise KeyboardInterrupt
    assert_equal_tensors(prior.renderer.state_dict(), renderer.state_dict())


def test_a_damaged_actor_does_not_damage_the_renderer(prior, actors):
    lora, sample = actors[1]
    switcher = AdapterSwitcher(prior)
    name = next(iter(lora.weights))
    for weights in ({}, {**lora.weights, name: torch.zeros(3)}):
        with pytest.raises(ArtefactError), switcher.activate(replace(lora, weights=weights)):
            pass
    with switcher.activate(lora) as renderer:
        shown = render_pixels(renderer, lora.texture, sample)
    assert torch.equal(shown, render_pixels(lora.merge_with_prior(prior), lora.texture, sample))


def test_one_actor_is_active_at_a_time(prior, actors):
    switcher = AdapterSwitcher(prior)
    with (
        switcher.activate(actors[0][0]),
        pytest.raises(RuntimeError, match="still active"),
        switcher.activate(actors[1][0]),
    ):
        pass
    with switcher.activate(actors[1][0]):
        pass


def test_an_actor_of_another_prior_is_refused(actors):
    with (
        pytest.raises(ArtefactError, match="adapted on prior"),
        AdapterSwitcher(toy_prior(seed=5)).activate(actors[0][0]),
    ):
        pass
