"""DINet's recipe: the paper's numbers, its stages, its losses and critics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dubfew.errors import ArtefactError, AssetError
from dubfew.prior.losses import least_squares_generator_loss
from dubfew.prior.recipes import NetworkFiles, RecipeNetworks, TrainingStage
from dubfew.prior.recipes._base import stage_of_step
from dubfew.prior.recipes.dinet import DINetLoss, DINetRecipe
from dubfew.prior.recipes.iptalker import IPTalkerRecipe
from dubfew.prior.renderers import make_renderer
from dubfew.prior.renderers._dinet import DINetConfig
from dubfew.prior.syncnets import make_syncnet
from dubfew.prior.syncnets._file import SyncNetInfo, save_syncnet
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.painting_data import check_stages
from dubfew.prior.training.sync import SYNCNET_FILE, SyncTrainConfig
from tests.prior.recipes.clips import Painter, make_sample

# Sixteen times narrower than the paper's, critics too.
NARROW = DINetConfig(narrow=16, sound="ctc29_espeak")
SYNC = {"divisor": 16, "size": 32}


def make_recipe(**settings) -> DINetRecipe:
    return DINetRecipe(DINetRecipe.resolve_settings({"perceptual": 0.0, **settings}))


@pytest.fixture
def sync_file(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "sync.safetensors"
    info = SyncNetInfo("dinet", SYNC, "dinet256", steps=1, accuracy=None, people=1)
    save_syncnet(path, make_syncnet("dinet", SYNC), info)
    return path


@pytest.mark.parametrize("recipe", [DINetRecipe, IPTalkerRecipe])
def test_weights_rate_and_batch_are_the_papers(recipe):
    # Eq. 7 of DINet and eq. 13 of IPTalker; "Implementation Details" of DINet.
    paper = next(name for name in recipe.presets if name.startswith("paper"))
    settings = recipe.resolve_settings(paper)
    assert (settings.perceptual, settings.sync, settings.adversarial) == (10, 0.1, 1)
    assert settings.l1 == 0
    assert settings == recipe.resolve_settings({})
    assert recipe.betas == (0.9, 0.999)
    assert recipe.defaults["learning_rate"] == recipe.defaults["discriminator_rate"] == 1e-4
    assert recipe.defaults["batch"] == 3


@pytest.mark.slow
def test_the_examples_are_the_papers():
    folder = Path(__file__).resolve().parents[3] / "examples"
    dinet, small, iptalker = (
        PriorTrainConfig.load(folder / f"train_paper{paper}.json")
        for paper in ("001", "000", "004")
    )
    assert (dinet.renderer, dinet.loss, dinet.batch) == ("dinet", "paper-001", 3)
    # 60 epochs of 100 clips with 20 draws each, in batches of 10.
    assert (small.renderer, small.loss, small.batch) == ("dinet", "paper-000", 10)
    assert small.steps == 60 * 100 * 20 / 10
    assert (iptalker.renderer, iptalker.loss, iptalker.batch) == ("iptalker", "paper-004", 3)
    assert {c.learning_rate for c in (dinet, small, iptalker)} == {1e-4}
    sync = SyncTrainConfig.load(folder / "sync_paper001.json")
    assert (sync.network, sync.batch, sync.learning_rate) == ("dinet", 20, 1e-4)
    for config in (dinet, iptalker):
        assert config.sync == f"{sync.out}/{SYNCNET_FILE}"
        sound = make_renderer(config.renderer, config.renderer_config).config.sound
        assert sound == sync.settings["sound"]
        assert config.data.split("/")[0].endswith(
            {"dinet": "dinet256", "iptalker": "iptalker"}[config.renderer]
        )


def test_the_stages_go_from_coarse_to_fine_and_then_to_clips():
    stages = DINetRecipe().list_stages()
    assert [(s.name, s.shrink, s.frames, s.batch) for s in stages] == [
        ("frame64", 4, 1, 24),
        ("frame128", 2, 1, 80),
        ("frame256", 1, 1, 12),
        ("clip256", 1, 5, 0),
    ]
    assert [s.critics for s in stages] == [("frames",)] * 3 + [("frames", "clips")]
    assert sum(s.share for s in stages) == pytest.approx(1)
    # Of one video: 360, 250, 333 and 400 steps.
    assert stages[0].share / stages[3].share == pytest.approx(360 / 400)
    assert stage_of_step(stages, 1000, 1000).name == "clip256"


def test_rates_stay_for_half_of_the_last_stage_and_fall_to_zero():
    recipe = DINetRecipe()
    last = recipe.list_stages()[-1].share
    steps = 100_000
    assert recipe.compute_rate_factor(0, steps) == 1
    assert recipe.compute_rate_factor(round(steps * (1 - last / 2)), steps) == pytest.approx(
        1, abs=1e-3
    )
    assert recipe.compute_rate_factor(round(steps * (1 - last / 4)), steps) == pytest.approx(
        0.5, abs=1e-3
    )
    assert recipe.compute_rate_factor(steps, steps) == 0


def test_the_small_data_study_falls_from_the_first_step_on():
    recipe = DINetRecipe(DINetRecipe.resolve_settings("paper-000"))
    assert [s.name for s in recipe.list_stages()] == ["frame256"]
    assert [recipe.compute_rate_factor(k, 10) for k in (0, 5, 10)] == [1, 0.5, 0]
    # Without clips no SyncNet is needed.
    assert "sync" not in make_recipe(stages="frame256").load_networks(NetworkFiles())


def test_stages_of_crops_that_the_network_cannot_paint_are_named():
    # A mouth of 64 px: at the first stage the crop would have 26 x 20.
    small = make_renderer("dinet", {"shrink": 4, "narrow": 16, "sound": "mel16"})
    with pytest.raises(ArtefactError, match=r"stage frame64 .* 20 x 26 px.*multiples of 4"):
        check_stages(small, make_recipe().list_stages())
    check_stages(small, make_recipe(stages="clip256").list_stages())
    full = make_renderer("dinet", {"narrow": 16, "sound": "mel16"})
    check_stages(full, make_recipe().list_stages())


def test_a_stage_that_does_not_exist():
    for stages in ("frame32", "", "clip256 frames"):
        with pytest.raises(ArtefactError, match="frame64"):
            make_recipe(stages=stages)


@pytest.mark.parametrize("recipe", [DINetRecipe, IPTalkerRecipe])
def test_pixels_alone(recipe):
    recipe = recipe(recipe.resolve_settings("pixels"))
    renderer, sample = Painter(NARROW), make_sample(5)
    assert recipe.make_critics(renderer) == {}
    assert recipe.load_networks(NetworkFiles()) == {}
    rendered = recipe.compute_generator_loss(
        renderer, sample, sample.inputs.texture, RecipeNetworks(), recipe.list_stages()[0]
    )
    expected = 10 * (rendered.output - sample.target).abs().mean()
    torch.testing.assert_close(rendered.loss, expected)
    assert set(rendered.terms) == {"l1"}


def test_both_critics_judge_clips_and_get_no_gradient():
    recipe, renderer, sample = make_recipe(sync=0.0), Painter(NARROW), make_sample(5)
    torch.manual_seed(0)
    critics = {name: c.network for name, c in recipe.make_critics(renderer).items()}
    assert list(critics) == ["frames", "clips"]
    stage = recipe.list_stages()[-1]
    rendered = recipe.compute_generator_loss(
        renderer, sample, sample.inputs.texture, RecipeNetworks(critics=critics), stage
    )
    painted = rendered.output
    expected = least_squares_generator_loss(
        critics["frames"](painted.flatten(0, 1)[:, None])
    ) + least_squares_generator_loss(critics["clips"](painted))
    torch.testing.assert_close(rendered.loss, expected)
    rendered.loss.backward()
    assert renderer.value.grad.abs() > 0
    assert all(p.grad is None for c in critics.values() for p in c.parameters())

    losses = recipe.compute_critic_losses(critics, sample, painted, stage)
    assert set(losses) == {"frames", "clips"}
    renderer.zero_grad()
    sum(losses.values()).backward()
    assert renderer.value.grad is None
    assert all(p.grad.any() for c in critics.values() for p in c.parameters())


def test_stages_of_frames_have_no_critic_of_clips():
    recipe, renderer, sample = make_recipe(sync=0.0), Painter(NARROW), make_sample(1)
    stage = recipe.list_stages()[0]
    critics = recipe.make_critics(renderer)
    chosen = {name: c.network for name, c in critics.items() if name in (stage.critics or ())}
    rendered = recipe.compute_generator_loss(
        renderer, sample, sample.inputs.texture, RecipeNetworks(critics=chosen), stage
    )
    assert set(rendered.terms) == {"adversarial"}
    assert set(recipe.compute_critic_losses(chosen, sample, rendered.output, stage)) == {"frames"}


def test_the_sync_loss_is_that_of_the_frozen_syncnet(sync_file):
    recipe, renderer, sample = make_recipe(adversarial=0.0), Painter(NARROW), make_sample(5)
    frozen = recipe.load_networks(NetworkFiles(sync=sync_file))
    recipe.initialize_renderer(renderer, frozen, fresh=True)
    rendered = recipe.compute_generator_loss(
        renderer,
        sample,
        sample.inputs.texture,
        RecipeNetworks(frozen),
        recipe.list_stages()[-1],
    )
    # Eq. 6: the square of what the score lacks to 1.
    sync = frozen["sync"]
    scores = sync.score_map(
        sync.embed_faces(rendered.output), sync.embed_sound(sample.inputs.sound)
    )
    torch.testing.assert_close(rendered.terms["sync"], (scores - 1).square().mean())
    torch.testing.assert_close(rendered.loss, 0.1 * rendered.terms["sync"])
    rendered.loss.backward()
    assert renderer.value.grad.abs() > 0
    assert all(p.grad is None for p in frozen["sync"].parameters())


def test_a_syncnet_is_needed_and_has_to_hear_the_same(sync_file):
    with pytest.raises(AssetError, match="prior sync"):
        make_recipe().load_networks(NetworkFiles())
    frozen = make_recipe().load_networks(NetworkFiles(sync=sync_file))
    with pytest.raises(ArtefactError, match=r"ctc29_espeak.*mel16"):
        make_recipe().initialize_renderer(Painter(DINetConfig(sound="mel16")), frozen, fresh=True)


def test_settings_have_the_type_of_their_defaults():
    assert DINetRecipe.resolve_settings({"sync": 1}) == DINetLoss(sync=1)
    with pytest.raises(ArtefactError, match="stages"):
        DINetRecipe.resolve_settings({"stages": 3})


def test_an_adaptations_stage_is_judged_as_clips_are():
    # A stage of another name and length, as an adaptation draws it.
    recipe, renderer, sample = make_recipe(sync=0.0), Painter(NARROW), make_sample(3)
    critics = {name: c.network for name, c in recipe.make_critics(renderer).items()}
    rendered = recipe.compute_generator_loss(
        renderer, sample, sample.inputs.texture, RecipeNetworks(critics=critics), TrainingStage()
    )
    assert float(rendered.loss.detach()) > 0
    losses = recipe.compute_critic_losses(critics, sample, rendered.output, TrainingStage())
    assert set(losses) == {"frames"}
