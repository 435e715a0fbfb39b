"""Adaptation of painting renderers on toy crops."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from dubfew.adapt.methods import METHODS
from dubfew.adapt.painting_trainer import (
    MixedPeople,
    load_mixed_people,
    train_painting_adapter,
)
from dubfew.errors import ArtefactError, DubfewError
from dubfew.prior.checkpoint import Prior
from dubfew.prior.recipes import RECIPES
from dubfew.prior.renderers import RENDERERS, make_renderer
from dubfew.progress import no_progress
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.data.clips import toy_clip, write_toy_clips

TINY = {**RENDERERS["stylesync"].tiny, "narrow": 32, "style": 16, "mapping": 1}
RECIPE = RECIPES.load("stylesync")


@pytest.fixture(scope="module")
def prior() -> Prior:
    torch.manual_seed(1)
    renderer = make_renderer("stylesync", TINY).eval()
    critic = RECIPE().make_critics(renderer)["windows"].network
    texture = torch.zeros(16, 256, 256)
    critics = {"windows": critic.state_dict()}
    return Prior(renderer, "stylesync", texture, "lite", "0" * 64, "toy", critics=critics)


def adapt_toy(prior: Prior, method: str = "full", loss="pixels", steps: int = 2, **more):
    chosen = METHODS.load(method)
    return train_painting_adapter(
        prior,
        toy_clip(24),
        chosen,
        chosen.default_options,
        RECIPE(RECIPE.resolve_settings(loss)),
        steps=steps,
        device="cpu",
        seed=0,
        progress=no_progress,
        **more,
    )


@pytest.fixture(scope="module")
def adapted(prior):
    return adapt_toy(prior, loss={"perceptual": 0.0}, texture="footage")


@pytest.mark.slow
def test_it_learns_by_the_recipes_loss_and_leaves_the_prior(prior, adapted):
    before = copy.deepcopy(prior.renderer.state_dict())
    assert adapted.psnr_heldout > adapted.curve[0][2]
    assert set(adapted.weights) == {name for name, _ in prior.renderer.named_parameters()}
    assert any(value.any() for value in adapted.weights.values())
    after = prior.renderer.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
def test_the_texture_starts_as_it_was_asked_for(prior, adapted):
    # Two steps move no texel far.
    assert 0.2 < float(adapted.texture[:3].mean()) < 0.8
    random = adapt_toy(prior, "texture", steps=0).texture
    assert abs(float(random.mean())) < 0.001
    assert float(random.std()) == pytest.approx(0.05, rel=0.05)


def test_fresh_weights_are_not_the_priors(prior):
    fresh = adapt_toy(prior, steps=0, fresh=True)
    assert max(float(value.abs().max()) for value in fresh.weights.values()) > 0.1
    same = adapt_toy(prior, steps=0)
    assert max(float(value.abs().max()) for value in same.weights.values()) == 0


@pytest.mark.slow
def test_other_people_change_what_is_learned_and_keep_their_textures(prior, tmp_path):
    people = load_mixed_people(
        write_toy_clips(tmp_path / "data", range(1, 3)), prior, load_head_model()
    )
    assert list(people.textures) == ["toy 1", "toy 2"]
    # Without learned textures their colors stand in.
    assert people.textures["toy 1"][:3].mean() > 0.2
    before = people.textures["toy 1"].clone()
    mixed = adapt_toy(prior, mixed=people)
    assert torch.equal(people.textures["toy 1"], before)
    alone = adapt_toy(prior)
    name = "face.enter.weight"
    assert not torch.equal(mixed.weights[name], alone.weights[name])
    assert mixed.texture.shape == alone.texture.shape


@pytest.mark.slow
def test_learned_textures_are_read_from_beside_the_prior(prior, tmp_path):
    from dataclasses import replace

    from dubfew.prior.training.textures import RandomTextures

    textures = RandomTextures(["toy 1"], 16)
    textures.save_each(tmp_path / "textures")
    own = replace(prior, name=str(tmp_path / "prior"))
    people = load_mixed_people(write_toy_clips(tmp_path / "d", range(1, 2)), own, load_head_model())
    torch.testing.assert_close(
        people.textures["toy 1"], textures.features[0].detach(), atol=1e-3, rtol=0
    )


@pytest.mark.slow
def test_people_of_another_layout_or_head_are_errors(prior, tmp_path):
    data = write_toy_clips(tmp_path / "data", range(1), layout="dinet64")
    with pytest.raises(DubfewError, match="--layout face256"):
        load_mixed_people(data, prior, load_head_model())
    head = copy.copy(load_head_model())
    object.__setattr__(head, "name", "other")
    faces = write_toy_clips(tmp_path / "faces", range(1))
    with pytest.raises(ArtefactError, match="--head other"):
        load_mixed_people(faces, prior, head)


def test_a_critic_that_does_not_fit_is_an_error(prior):
    from dataclasses import replace

    state = {"enter.weight": torch.zeros(1)}
    wrong = replace(prior, critics={"windows": state})
    with pytest.raises(ArtefactError, match="critic 'windows'"):
        adapt_toy(wrong, loss={"perceptual": 0.0}, steps=0)


def test_half_of_a_batch_are_others():
    share = MixedPeople([], [], {}).share
    assert np.isclose(share, 0.5)
