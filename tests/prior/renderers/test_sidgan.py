"""SIDGAN's generator: the paper's sizes, its pyramid, and what the sound moves."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from dubfew.adapt.methods import METHODS
from dubfew.data.clip_inputs import ClipInputs
from dubfew.errors import ArtefactError
from dubfew.prior.critics.sidgan import PatchCritic
from dubfew.prior.renderers._sidgan import SidganConfig, SidganGenerator, _layer

TINY = SidganConfig(shrink=8, narrow=16)


def make_inputs(
    size: int = 64, batch: int = 2, frames: int = 2, seed: int = 0, device: str = "cpu"
) -> ClipInputs:
    """Frames of noise, blanked in the lower half."""
    generator = torch.Generator(device).manual_seed(seed) if device == "cpu" else None
    draw = {"generator": generator, "device": device}
    scene = torch.rand(batch, frames, 3, size, size, **draw)
    mask = torch.zeros(batch, frames, 1, size, size, device=device)
    mask[..., size // 2 :, size // 4 : -size // 4] = 1
    return ClipInputs(
        scene=scene * (1 - mask),
        mask=mask,
        references=torch.rand(batch, 1, 3, size, size, **draw),
        sound=torch.randn(batch, frames, 80, 16, **draw),
        uv=torch.zeros(batch, frames, size, size, 2, device=device),
        mesh_mask=torch.zeros(batch, frames, 1, size, size, device=device),
        texture=torch.zeros(batch, frames, 0, size, size, device=device),
        actor_index=torch.zeros(batch, dtype=torch.long, device=device),
    )


@pytest.fixture
def tiny() -> SidganGenerator:
    torch.manual_seed(0)
    return SidganGenerator(TINY)


def test_the_paper_s_sizes() -> None:
    with torch.device("meta"):
        network = SidganGenerator().eval()
        levels = network.paint_levels(make_inputs(512, 1, 1, device="meta"))
        critic = PatchCritic()
        patches = critic(torch.rand(1, 3, 512, 512))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(37.6, abs=0.05)
    assert {name: each.shape[-1] for name, each in levels.items()} == {
        "coarse": 128,
        "middle": 256,
        "fine": 512,
    }
    # pix2pix's discriminator without a condition; one number for each patch of 70 px.
    assert sum(p.numel() for p in critic.parameters()) / 1e6 == pytest.approx(2.76, abs=0.01)
    assert patches.shape == (1, 1, 62, 62)
    assert sum(p.numel() for p in network.sound_encoder.parameters()) / 1e6 == pytest.approx(
        3.4, abs=0.05
    )


def test_the_first_block_starts_from_the_query_at_a_32nd(tiny, monkeypatch) -> None:
    seen = []
    for block in tiny.blocks:
        block.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1:]))
    tiny.paint(make_inputs())
    widths = [32, 32, 16, 8, 8, 8]
    before = [3, *widths]
    heard = [32, 32, 32, 0, 0, 0]
    assert [tuple(s) for s in seen] == [
        (before[k] + 2 * widths[k] + heard[k], 2 << k, 2 << k) for k in range(6)
    ]


def test_every_parameter_gets_a_gradient(tiny) -> None:
    levels = tiny.paint_levels(make_inputs())
    assert levels["fine"].shape == (2, 2, 3, 64, 64)
    sum(each.square().sum() for each in levels.values()).backward()
    idle = [n for n, p in tiny.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_coarse_levels_need_no_finer_blocks(tiny) -> None:
    inputs = make_inputs()
    whole = tiny.eval().paint_levels(inputs)
    assert list(tiny.paint_levels(inputs, "coarse")) == ["coarse"]
    torch.testing.assert_close(tiny.paint_levels(inputs, "coarse")["coarse"], whole["coarse"])
    behind = {id(p) for part in tiny.list_parts_behind("coarse") for p in part.parameters()}
    tiny.zero_grad()
    tiny.paint_levels(inputs, "coarse")["coarse"].sum().backward()
    unused = {id(p) for p in tiny.parameters() if p.grad is None}
    assert behind <= unused


def test_without_a_pyramid_only_the_finest_level_paints() -> None:
    network = SidganGenerator(replace(TINY, pyramid=False))
    assert list(network.paint_levels(make_inputs())) == ["fine"]


def test_pixel_norm_keeps_what_is_the_same_everywhere() -> None:
    """Instance normalization behind a convolution takes it out, but for the borders."""
    torch.manual_seed(0)
    features = torch.rand(1, 4, 64, 64)
    quiet, loud = (
        torch.cat([features, torch.full((1, 4, 64, 64), level)], 1) for level in (0.0, 1.0)
    )

    def change(norm: str) -> float:
        torch.manual_seed(1)
        layer = _layer(8, 16, norm)
        with torch.no_grad():
            difference = layer(loud) - layer(quiet)
        return float(difference[..., 16:48, 16:48].abs().mean())

    assert change("pixel") > 5 * change("instance")


@pytest.mark.slow
def test_other_sound_paints_another_picture(tiny) -> None:
    inputs = make_inputs()
    torch.manual_seed(0)
    with torch.no_grad():
        # Statistics of the encoder's batches, which fresh ones do not have.
        for _ in range(20):
            tiny(inputs)
        tiny.eval()
        change = tiny(inputs) - tiny(replace(inputs, sound=inputs.sound.flip(-1)))
    assert change.abs().max() > 1e-3


def test_a_frozen_encoder_of_sound_stays_as_it_is(tiny) -> None:
    tiny.sound_encoder.requires_grad_(False)
    tiny.train()
    before = {k: v.clone() for k, v in tiny.sound_encoder.state_dict().items()}
    tiny.paint(make_inputs())
    assert all(torch.equal(v, before[k]) for k, v in tiny.sound_encoder.state_dict().items())
    tiny.sound_encoder.requires_grad_(True)
    tiny.train().paint(make_inputs())
    assert not all(torch.equal(v, before[k]) for k, v in tiny.sound_encoder.state_dict().items())


@pytest.mark.slow
def test_lora_is_trained_merged_and_equal_to_the_prior_at_first(tiny) -> None:
    method = METHODS.load("lora")
    options = method.complete_options({"rank": 2})
    inputs, plain = make_inputs(), tiny.eval()
    with torch.no_grad():
        before = plain(inputs)
    model = method.make_trainable(copy.deepcopy(plain), options)
    with torch.no_grad():
        torch.testing.assert_close(model(inputs), before, atol=1e-5, rtol=0)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.02)
    levels = model.paint_levels(inputs)
    sum(each.square().sum() for each in levels.values()).backward()
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    layers = [m for m in plain.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(trained) == 2 * len(layers)
    assert [n for n, p in trained if p.grad is None or not p.grad.any()] == []
    weights = method.extract_delta(model, plain.state_dict())
    with torch.no_grad():
        after = model(inputs)
        assert (after - before).abs().max() > 1e-3
        merged = method.apply_delta(copy.deepcopy(plain), weights, options)
        torch.testing.assert_close(merged(inputs), after, atol=1e-4, rtol=0)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ArtefactError, match="one reference"):
        SidganGenerator(replace(TINY, references=2))
    with pytest.raises(ArtefactError, match="multiples of 32"):
        SidganGenerator(SidganConfig(layout="dinet64"))
