"""The adaptation loop: what it keeps, when it stops, and that it repeats."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from dubfew.adapt import trainer
from dubfew.adapt.methods import METHODS
from dubfew.adapt.trainer import split_held_out
from dubfew.prior.checkpoint import create_untrained_prior
from tests.adapt.conftest import STEPS
from tests.adapt.toys import (
    assert_equal_tensors,
    copy_prior_state,
    make_batch,
    make_toy_adapter,
    render_pixels,
    train_toy_adapter,
)
from tests.data.people import TOY, toy_footage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bare():
    """The bare warp, which is hard to beat on footage without noise."""
    return create_untrained_prior(config=TOY)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_training_that_only_harms_leaves_the_start(bare, footage, sample, method):
    harmful = replace(METHODS.load(method), learning_rate=1.0)
    result = train_toy_adapter(bare, footage, harmful, STEPS)
    assert result.best_step == 0
    assert result.curve[-1][2] < result.psnr_heldout
    renderer = harmful.apply_delta(deepcopy(bare.renderer), result.weights, harmful.default_options)
    assert torch.equal(
        render_pixels(renderer.eval(), result.texture, sample),
        render_pixels(bare.renderer, result.texture, sample),
    )


def test_training_without_gain_ends_early(bare, footage, monkeypatch):
    monkeypatch.setattr(trainer, "VALIDATE_EVERY_STEPS", 1)
    monkeypatch.setattr(trainer, "PATIENCE_VALIDATIONS", 3)
    harmful = replace(METHODS.load("full"), learning_rate=1.0)
    result = train_toy_adapter(bare, footage, harmful, 50)
    assert [step for step, _, _ in result.curve] == [0, 1, 2, 3]


def test_training_raises_the_held_out_psnr(prior, footage):
    result = train_toy_adapter(prior, footage, "full", 12)
    assert result.psnr_heldout > result.curve[0][2] + 0.1


def test_held_out_frames_are_measured_a_few_at_once(prior, footage, monkeypatch):
    measured = {}
    for frames in (1, 2, 100):
        monkeypatch.setattr(trainer, "VALIDATION_FRAMES", frames)
        measured[frames] = train_toy_adapter(prior, footage, "texture", 0).psnr_heldout
    assert len(split_held_out(len(footage))[1]) > 2  # so that the three differ in their batches
    assert measured[1] == pytest.approx(measured[100], abs=1e-4)
    assert measured[2] == pytest.approx(measured[100], abs=1e-4)


def test_the_same_seed_gives_the_same_actor(trained, prior, footage):
    again = train_toy_adapter(prior, footage, "lora", STEPS)
    assert torch.equal(again.texture, trained[1]["lora"].texture)
    assert_equal_tensors(again.weights, trained[1]["lora"].weights)
    other = train_toy_adapter(prior, footage, "lora", STEPS, seed=1)
    assert not torch.equal(other.texture, again.texture)


def test_short_footage_is_trained_on_to_the_end(prior):
    reports = []
    result = train_toy_adapter(prior, toy_footage(3), "texture", 2, progress=reports.append)
    assert (result.psnr_heldout, result.best_step, result.curve) == (None, 2, [])
    assert [(p.stage, p.done, p.total) for p in reports] == [("train", 1, 2), ("train", 2, 2)]


def test_a_single_frame_is_enough(prior):
    assert torch.isfinite(train_toy_adapter(prior, toy_footage(1), "lora", 1).texture).all()


def test_training_can_be_interrupted(prior, footage):
    before = copy_prior_state(prior)

    def stop(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_toy_adapter(prior, footage, "full", 20, progress=stop)
    assert_equal_tensors(before, copy_prior_state(prior))


def test_actors_in_one_process_do_not_disturb_each_other(trained, prior, footage, sample):
    before, results = trained
    others = toy_footage(seed=3)
    train, held = split_held_out(len(others))
    samples = [sample, make_batch(others, held, train)] * 2
    own = [results["lora"], train_toy_adapter(prior, others, "lora", STEPS, seed=3)]
    own += [results["full"], train_toy_adapter(prior, others, "full", STEPS, seed=4)]
    people = [footage, others, footage, others]
    methods = ["lora", "lora", "full", "full"]
    adapters = [make_toy_adapter(prior, *given) for given in zip(people, methods, own, strict=True)]

    def painted(order):
        renderers = {i: adapters[i].merge_with_prior(prior) for i in order}
        shown = {i: render_pixels(renderers[i], adapters[i].texture, samples[i]) for i in order}
        return np.stack([shown[i].numpy() for i in sorted(shown)])

    alone = np.concatenate([painted([i]) for i in range(4)])
    np.testing.assert_array_equal(painted([0, 1, 2, 3]), alone)
    np.testing.assert_array_equal(painted([3, 1, 0, 2]), alone)
    assert_equal_tensors(before, copy_prior_state(prior))
    assert np.abs(alone[0] - alone[2]).max() > 1e-4  # they are different actors
