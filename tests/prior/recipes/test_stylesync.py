"""The training of "Dubbing for Everyone": eq. 1, one loop, resuming, and what is stored where."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dubfew.data.clip_inputs import collate_clip_samples
from dubfew.data.clip_samples import SoundFeatureCache, make_clip_sample
from dubfew.errors import ArtefactError
from dubfew.prior import Prior
from dubfew.prior.losses import Vgg19
from dubfew.prior.recipes import RECIPES, RecipeNetworks, TrainingStage
from dubfew.prior.recipes.stylesync import StyleSyncLoss, draw_mouth_hulls, weigh_face_regions
from dubfew.prior.renderers import RENDERERS, make_renderer
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.painting_data import clip_mouth_psnr, make_sample_form
from dubfew.prior.training.textures import (
    RandomTextures,
    load_person_texture,
    purge_run,
    sample_clip_texture,
)
from dubfew.prior.training.trainer import train_renderer
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.data.clips import noise_inputs, toy_clip, write_toy_clips
from tests.prior.training.runs import read_losses, read_weights

TINY = {**RENDERERS["stylesync"].tiny, "narrow": 32, "style": 16, "mapping": 1}
RECIPE = RECIPES.load("stylesync")


@pytest.fixture(scope="module")
def sample():
    clip, head = toy_clip(), load_head_model()
    config = make_renderer("stylesync", TINY).config
    form, features = make_sample_form(config), SoundFeatureCache("mel16")
    return collate_clip_samples(
        [
            make_clip_sample(
                clip, np.arange(row, row + 3), np.array([20, 21, 22]), head, form, features
            )
            for row in (1, 6)
        ]
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> PriorTrainConfig:
    folder = tmp_path_factory.mktemp("stylesync")
    return PriorTrainConfig.from_values(
        {
            "data": str(write_toy_clips(folder / "data", range(2))),
            "held_out": str(write_toy_clips(folder / "other", range(2, 3))),
            "out": str(folder / "run"),
            "renderer": "stylesync",
            "renderer_config": dict(TINY),
            "loss": {"perceptual": 0.0},
            "steps": 4,
            "batch": 2,
            "checkpoint": 2,
        }
    )


@pytest.fixture(scope="module")
def trained(config) -> Path:
    return train_renderer(config)


def test_the_preset_has_the_papers_numbers():
    values = dataclasses.asdict(RECIPE.resolve_settings("paper-003"))
    # Eq. 1 with the weights of section 4, and the weights of the regions of section 3.4.
    assert [values[k] for k in ("l1", "adversarial", "perceptual", "texture")] == [10, 1, 10, 5]
    assert [values[k] for k in ("mouth", "lower", "rest")] == [10, 8, 1]
    example = PriorTrainConfig.load(Path("examples/train_paper003.json"))
    assert (example.batch, example.learning_rate, example.texture_rate) == (4, 1e-4, 1e-4)
    assert (example.renderer, example.loss, RECIPE.betas) == (
        "stylesync",
        "paper-003",
        (0.9, 0.999),
    )


def test_wrong_settings_are_errors():
    for loss, message in (
        ("no-such", "no preset"),
        ({"l2": 1}, "no loss 'l2'"),
        ({"l1": -1}, ">= 0"),
        ({"l1": "much"}, "give one like"),
    ):
        with pytest.raises(ArtefactError, match=message):
            RECIPE.resolve_settings(loss)


@pytest.mark.slow
def test_regions_weigh_the_mouth_most(sample):
    weights = weigh_face_regions(sample, StyleSyncLoss())
    mouth = draw_mouth_hulls(sample, 0.02)
    assert sorted(weights.unique().tolist()) == [1, 8, 10]
    assert (weights[mouth > 0] == 10).all()
    assert (weights[(sample.inputs.mask > 0) & (mouth == 0)] == 8).all()
    assert (weights[(sample.inputs.mask == 0) & (mouth == 0)] == 1).all()
    # The middle of the lips is in it, and the nose is not.
    for landmark, expected in ((13, 1), (14, 1), (1, 0)):
        column, row = sample.landmarks[0, 0, landmark].int().tolist()
        assert mouth[0, 0, 0, row, column] == expected


@pytest.mark.slow
def test_the_loss_is_eq_1(sample):
    torch.manual_seed(0)
    recipe, renderer = RECIPE(), make_renderer("stylesync", TINY)
    textures = RandomTextures(["a"], 16)
    critics = {k: c.network for k, c in recipe.make_critics(renderer).items()}
    networks = RecipeNetworks({"vgg": Vgg19()}, critics)
    out = recipe.compute_generator_loss(
        renderer, sample, textures(sample), networks, TrainingStage()
    )
    expected = {"l1": 10, "perceptual": 10, "texture": 5, "adversarial": 1}
    assert set(out.terms) == set(expected)
    total = sum(expected[name] * float(term.detach()) for name, term in out.terms.items())
    assert float(out.loss.detach()) == pytest.approx(total, rel=1e-5)
    weights = weigh_face_regions(sample, StyleSyncLoss())
    l1 = ((out.output - sample.target).abs().mean(2, keepdim=True) * weights).sum() / weights.sum()
    assert float(out.terms["l1"].detach()) == pytest.approx(float(l1.detach()), rel=1e-5)
    # The renderer's step leaves the critic alone, and the critic's the renderer.
    out.loss.backward()
    assert all(p.grad is None for p in critics["windows"].parameters())
    assert textures.features[0].grad.any()
    renderer.zero_grad(set_to_none=True)
    losses = recipe.compute_critic_losses(critics, sample, out.output, TrainingStage())
    losses["windows"].backward()
    assert all(p.grad is None for p in renderer.parameters())
    assert any(p.grad is not None and p.grad.any() for p in critics["windows"].parameters())


@pytest.mark.slow
def test_a_tiny_one_learns_a_person(sample):
    torch.manual_seed(0)
    recipe, renderer = RECIPE(RECIPE.resolve_settings("pixels")), make_renderer("stylesync", TINY)
    textures = RandomTextures(["a"], 16)
    optimizer = torch.optim.Adam([*renderer.parameters(), *textures.parameters()], 5e-3)
    psnr = []
    for _ in range(16):
        out = recipe.compute_generator_loss(
            renderer, sample, textures(sample), RecipeNetworks(), TrainingStage()
        )
        psnr.append(float(clip_mouth_psnr(out.output.detach(), sample).mean()))
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
    assert psnr[-1] > psnr[0] + 6


@pytest.mark.slow
def test_a_run_goes_on_to_the_bit(config, trained, tmp_path):
    def stop(progress):
        if progress.done == 3:
            raise KeyboardInterrupt

    again = dataclasses.replace(config, out=str(tmp_path / "again"))
    with pytest.raises(KeyboardInterrupt):
        train_renderer(again, stop)
    train_renderer(again)
    assert read_losses(again) == read_losses(config)
    first, second = read_weights(config), read_weights(again)
    assert all(torch.equal(first[name], second[name]) for name in first)
    for name in ("prior_critics.safetensors",):
        one, two = (load_file(Path(c.out) / "prior" / name) for c in (config, again))
        assert one
        assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.slow
def test_textures_are_stored_apart_from_the_prior(config, trained):
    prior = Prior.load(trained)
    assert prior.texture.shape == (16, 256, 256)
    assert not prior.texture.any()
    folder = Path(config.out) / "textures"
    assert len(list(folder.iterdir())) == 2
    texture = load_person_texture(folder, "toy 1")
    assert texture is not None
    assert texture.shape == (16, 256, 256)
    assert load_person_texture(folder, "toy 7") is None
    stored = json.loads((trained / "prior_config.json").read_text())
    assert stored["renderer"] == "stylesync"
    assert stored["training"]["loss"] == {"perceptual": 0.0}


def test_a_stored_prior_paints_as_it_did(trained):
    prior = Prior.load(trained)
    assert (prior.recipe_name, list(prior.critics)) == ("stylesync", ["windows"])
    inputs = noise_inputs(prior.renderer.config)
    with torch.no_grad():
        painted = prior.renderer(inputs)
        torch.testing.assert_close(Prior.load(trained).renderer(inputs), painted)


def test_held_out_people_are_measured(config, trained):
    lines = [json.loads(x) for x in (Path(config.out) / "log.jsonl").read_text().splitlines()]
    assert 0 < lines[3]["psnr_heldout"] < 40
    assert list(lines[3]["heldout"]) == ["2.mp4"]
    assert {"l1", "texture", "adversarial", "windows"} <= set(lines[0])


def test_a_texture_is_looked_up_in_every_frame():
    texture = torch.arange(4.0).reshape(1, 1, 2, 2)
    uv = torch.tensor([[0.25, 0.25], [0.75, 0.75]]).reshape(1, 2, 1, 1, 2)
    covered = torch.ones(1, 2, 1, 1, 1)
    assert sample_clip_texture(texture, uv, covered).flatten().tolist() == [0, 3]


def test_a_person_is_purged_from_a_run_with_the_states_that_hold_everybody(tmp_path):
    textures = RandomTextures(["ann", "bob/1"], 3, size=4)
    textures.save_each(tmp_path / "textures")
    (tmp_path / "state-2").mkdir()
    (tmp_path / "latest").write_text("2")
    assert purge_run(tmp_path, ["nobody"]) == []
    assert (tmp_path / "state-2").exists()
    assert purge_run(tmp_path, ["bob/1", "nobody"]) == ["bob/1"]
    assert load_person_texture(tmp_path / "textures", "bob/1") is None
    assert load_person_texture(tmp_path / "textures", "ann") is not None
    assert [path.name for path in tmp_path.iterdir()] == ["textures"]
