"""SIDGAN's losses and stages: what the paper says, its ablations, and the files that they need."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dubfew.data.clip_inputs import ClipSample
from dubfew.errors import ArtefactError, AssetError
from dubfew.prior.losses import Vgg19
from dubfew.prior.recipes import RECIPES
from dubfew.prior.recipes._base import NetworkFiles, RecipeNetworks, TrainingStage, stage_of_step
from dubfew.prior.recipes.sidgan import SidganLoss, SidganRecipe, shrink_truth
from dubfew.prior.renderers._sidgan import SidganGenerator
from dubfew.prior.syncnets import make_syncnet
from dubfew.prior.syncnets._file import SyncNetInfo, load_syncnet, save_syncnet
from tests.prior.renderers.test_sidgan import TINY, make_inputs

PIXELS = SidganRecipe.presets["pixels"]


def make_sample(frames: int = 5) -> ClipSample:
    inputs = make_inputs(batch=1, frames=frames)
    target = torch.rand(1, frames, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    return ClipSample(inputs, target, torch.zeros(1, frames, 478, 2))


@pytest.fixture
def tiny() -> SidganGenerator:
    torch.manual_seed(0)
    return SidganGenerator(TINY)


def test_the_numbers_of_section_3_4() -> None:
    recipe = RECIPES.load("sidgan")
    assert recipe.defaults["learning_rate"] == recipe.defaults["discriminator_rate"] == 2e-4
    assert recipe.defaults["steps"] == 3_900_000
    assert recipe.defaults["batch"] == 4
    stages = recipe().list_stages()
    assert [stage.frames for stage in stages] == [5, 5, 5]
    names = [stage_of_step(stages, k, 3_900_000).name for k in (1, 1_300_000, 1_300_001, 3_900_000)]
    assert names == ["coarse", "coarse", "middle", "fine"]
    # Lower levels go on.
    assert stages[1].critics == ("coarse", "middle")


def test_levels_are_compared_with_the_truth_at_their_size(tiny) -> None:
    sample = make_sample()
    rendered = SidganRecipe(PIXELS).compute_generator_loss(
        tiny, sample, torch.zeros(0), RecipeNetworks(), TrainingStage("fine")
    )
    assert set(rendered.terms) == {
        f"{term}_{level}" for term in ("l1", "frequency") for level in ("coarse", "middle", "fine")
    }
    truth = sample.target.view(1, 5, 3, 16, 4, 16, 4).mean((4, 6))
    torch.testing.assert_close(shrink_truth(sample.target, 16), truth)
    expected = (rendered.output["coarse"] - truth).abs().mean()
    torch.testing.assert_close(rendered.terms["l1_coarse"], expected)
    total = sum(
        (10 if name.startswith("l1") else 1) * value for name, value in rendered.terms.items()
    )
    torch.testing.assert_close(rendered.loss, total)


def test_a_stage_trains_its_levels_alone(tiny) -> None:
    rendered = SidganRecipe(PIXELS).compute_generator_loss(
        tiny, make_sample(), torch.zeros(0), RecipeNetworks(), TrainingStage("coarse")
    )
    assert set(rendered.terms) == {"l1_coarse", "frequency_coarse"}
    rendered.loss.backward()
    # Every parameter has a gradient, for several processes; behind the level it is zero.
    behind = {id(p) for part in tiny.list_parts_behind("coarse") for p in part.parameters()}
    for name, parameter in tiny.named_parameters():
        if id(parameter) in behind:
            assert parameter.grad is not None, name
            assert not parameter.grad.any(), name
    assert tiny.rgb["coarse"].weight.grad.any()


@pytest.mark.slow
def test_all_terms_and_the_critics(tiny, tmp_path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "sync.safetensors"
    save_syncnet(
        path,
        make_syncnet("aps", {"divisor": 16}),
        SyncNetInfo("aps", {"divisor": 16}, "sidgan", 1, 0.9, 2),
    )
    settings = SidganLoss(sync_fine=0.0)
    recipe = SidganRecipe(settings)
    sync = load_syncnet(path)[0]
    critics = {name: each.network for name, each in recipe.make_critics(tiny).items()}
    networks = RecipeNetworks({"vgg": Vgg19().eval(), "sync": sync}, critics)
    recipe.initialize_renderer(tiny, networks.frozen, fresh=True)
    for name, value in tiny.sound_encoder.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, sync.sound_encoder.state_dict()[name])
    assert not any(p.requires_grad for p in tiny.sound_encoder.parameters())
    # VGG's deepest layer needs 16 px, a patch of the critic 32: the fine level alone.
    tiny_without = SidganGenerator(replace(TINY, pyramid=False))
    recipe = SidganRecipe(replace(settings, pyramid=False, sync_fine=0.1))
    sample = make_sample()
    rendered = recipe.compute_generator_loss(
        tiny_without, sample, torch.zeros(0), networks, TrainingStage("fine", frames=5)
    )
    assert set(rendered.terms) == {
        f"{term}_fine" for term in ("l1", "contextual", "frequency", "adversarial", "sync")
    }
    torch.testing.assert_close(
        rendered.terms["sync_fine"],
        sync.renderer_loss(rendered.output["fine"], sample.inputs.sound),
    )
    rendered.loss.backward()
    assert all(p.grad is None for each in critics.values() for p in each.parameters())
    losses = recipe.compute_critic_losses(
        {"fine": critics["fine"]}, sample, rendered.output, TrainingStage("fine")
    )
    before = [p.grad.clone() for p in tiny_without.rgb.parameters()]
    losses["fine"].backward()
    assert all(p.grad is not None for p in critics["fine"].parameters())
    assert all(
        torch.equal(p.grad, b) for p, b in zip(tiny_without.rgb.parameters(), before, strict=True)
    )


def test_ablations_of_table_4() -> None:
    presets = SidganRecipe.presets
    assert presets["paper-002-without-contextual"].contextual == 0
    assert presets["paper-002-perceptual"].features == "perceptual"
    stages = SidganRecipe(presets["paper-002-without-pyramid"]).list_stages()
    assert [(stage.name, stage.share) for stage in stages] == [("fine", 1.0)]
    with pytest.raises(ArtefactError, match="features"):
        SidganRecipe(SidganLoss(features="style"))


@pytest.mark.slow
def test_perceptual_features_are_of_the_same_layer(tiny) -> None:
    vgg = Vgg19().eval()
    settings = replace(PIXELS, contextual=1.0, features="perceptual", pyramid=False)
    network, sample = SidganGenerator(replace(TINY, pyramid=False)), make_sample(2)
    rendered = SidganRecipe(settings).compute_generator_loss(
        network, sample, torch.zeros(0), RecipeNetworks({"vgg": vgg}), TrainingStage("fine")
    )
    a, b = (vgg(x[0], ("relu5_3",))[0] for x in (rendered.output["fine"], sample.target))
    torch.testing.assert_close(rendered.terms["perceptual_fine"], (a - b).abs().mean())


def test_what_does_not_fit_is_refused(tiny, tmp_path) -> None:
    with pytest.raises(AssetError, match="prior sync"):
        SidganRecipe(replace(PIXELS, sync_fine=0.1)).load_networks(NetworkFiles())
    with pytest.raises(ArtefactError, match="pyramid"):
        SidganRecipe(replace(PIXELS, pyramid=False)).initialize_renderer(tiny, {}, fresh=True)
    with pytest.raises(ArtefactError, match="divisor"):
        SidganRecipe(PIXELS).initialize_renderer(
            tiny, {"sync": make_syncnet("aps", {"divisor": 32})}, fresh=True
        )
    broken = tmp_path / "sync.safetensors"
    broken.write_bytes(b"\x10\0\0\0\0\0\0\0not a SyncNet")
    with pytest.raises(AssetError, match="not a SyncNet"):
        load_syncnet(broken)
    with pytest.raises(AssetError, match="no SyncNet at"):
        load_syncnet(tmp_path / "missing")
