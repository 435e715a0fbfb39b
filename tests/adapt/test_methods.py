"""Every method of the table does what an adapter has to do."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import load

from dubfew.adapt import trainer
from dubfew.adapt.artefact import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_REFERENCES_FILE,
    ADAPTER_STYLE_FILE,
    ADAPTER_TEXTURE_FILE,
    ADAPTER_TRACK_FILE,
    ADAPTER_WEIGHTS_FILE,
    ActorAdapter,
)
from dubfew.adapt.methods import ADAPT_METHODS, get_method
from dubfew.adapt.trainer import split_held_out
from dubfew.errors import ArtefactError
from dubfew.prior.checkpoint import create_untrained_prior
from dubfew.prior.losses.objective import mouth_psnr
from tests.adapt.toys import adapter_of, assert_same, judged, learned, pixels, state, toy_prior
from tests.data.people import TOY, toy_footage

STEPS = 3
every_method = pytest.mark.parametrize("method", ADAPT_METHODS)


@pytest.fixture(scope="module")
def trained(prior, footage):
    """Every method after a few steps, with what the prior was before them."""
    before = state(prior)
    results = {name: learned(prior, footage, name, STEPS) for name in ADAPT_METHODS}
    return before, results


@pytest.fixture(scope="module")
def sample(footage):
    train, held = split_held_out(len(footage))
    return judged(footage, held, train)


@every_method
def test_zero_steps_are_the_prior(prior, footage, sample, method):
    result = learned(prior, footage, method, 0)
    adapter = adapter_of(prior, footage, method, result)
    assert result.best_step == 0
    assert torch.equal(
        pixels(adapter.merge_with_prior(prior), result.texture, sample),
        pixels(prior.renderer, result.texture, sample),
    )


@every_method
def test_training_changes_what_the_method_may_change(trained, method):
    before, results = trained
    changed = results[method].weights
    if method == "texture":
        assert changed == {}
    elif method == "full":
        assert changed.keys() == before.keys() - {"texture"}
        assert any(bool(value.abs().max() > 0) for value in changed.values())
    else:
        assert all("lora_" in name for name in changed)
        assert any(bool(value.abs().max() > 0) for n, value in changed.items() if "lora_B" in n)


@every_method
def test_the_texture_starts_from_the_footage_and_is_learned(trained, prior, footage, method):
    _, results = trained
    start = learned(prior, footage, method, 0).texture
    assert float(start[:3].std()) > 0.01  # unwrapped colours, where the prior has none
    assert not torch.equal(results[method].texture, start)


@every_method
def test_the_prior_stays_as_it_was(trained, prior, footage, method):
    before, results = trained
    assert_same(before, state(prior))
    adapter = adapter_of(prior, footage, method, results[method])
    merged = adapter.merge_with_prior(prior)
    with torch.no_grad():
        for parameter in merged.parameters():
            parameter.zero_()  # the merged renderer shares no storage with the prior
    assert_same(before, state(prior))
    assert not prior.renderer.training
    assert all(parameter.requires_grad for parameter in prior.renderer.parameters())
    assert all(parameter.grad is None for parameter in prior.renderer.parameters())


@every_method
def test_saved_and_loaded_paints_the_same(trained, prior, footage, sample, method):
    result = trained[1][method]
    adapter = adapter_of(prior, footage, method, result)
    again = ActorAdapter.from_files(adapter.to_files())
    ours = pixels(adapter.merge_with_prior(prior), adapter.texture, sample)
    theirs = pixels(again.merge_with_prior(prior), again.texture, sample)
    # Stored in half precision: less than half a level of an 8-bit picture.
    torch.testing.assert_close(theirs, ours, atol=0.5 / 255, rtol=0)
    assert (
        float((ours - pixels(prior.renderer, torch.zeros_like(prior.texture), sample)).abs().max())
        > 1e-3
    )
    # From then on nothing is lost any more.
    twice = ActorAdapter.from_files(again.to_files())
    assert again.to_files() == adapter.to_files() == twice.to_files()
    assert torch.equal(pixels(twice.merge_with_prior(prior), twice.texture, sample), theirs)


@every_method
def test_the_merged_renderer_is_plain(trained, prior, footage, method):
    merged = adapter_of(prior, footage, method, trained[1][method]).merge_with_prior(prior)
    assert {type(m) for m in merged.modules()} == {type(m) for m in prior.renderer.modules()}
    assert merged.state_dict().keys() == prior.renderer.state_dict().keys()
    assert not merged.training


@every_method
def test_the_kept_step_paints_what_was_measured(trained, prior, footage, sample, method):
    """The curve's best, not the last: seen again in a renderer built from the stored delta."""
    result = trained[1][method]
    renderer = adapter_of(prior, footage, method, result).merge_with_prior(prior)
    psnr = float(mouth_psnr(pixels(renderer, result.texture, sample), sample).mean())
    assert psnr == pytest.approx(result.psnr_heldout, abs=0.01)
    assert result.psnr_heldout == max(value for _, _, value in result.curve)
    assert result.psnr_heldout >= result.curve[0][2]
    assert result.curve[0][0] == 0


@pytest.fixture(scope="module")
def bare():
    """The bare warp, which is hard to beat on footage without noise."""
    return create_untrained_prior(config=TOY)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_training_that_only_harms_leaves_the_start(bare, footage, sample, method):
    harmful = replace(get_method(method), learning_rate=1.0)
    result = learned(bare, footage, harmful, STEPS)
    assert result.best_step == 0
    assert result.curve[-1][2] < result.psnr_heldout
    renderer = harmful.apply_delta(deepcopy(bare.renderer), result.weights, harmful.default_options)
    assert torch.equal(
        pixels(renderer.eval(), result.texture, sample),
        pixels(bare.renderer, result.texture, sample),
    )


def test_training_without_gain_ends_early(bare, footage, monkeypatch):
    monkeypatch.setattr(trainer, "VALIDATE_EVERY_STEPS", 1)
    monkeypatch.setattr(trainer, "PATIENCE_VALIDATIONS", 3)
    harmful = replace(get_method("full"), learning_rate=1.0)
    result = learned(bare, footage, harmful, 50)
    assert [step for step, _, _ in result.curve] == [0, 1, 2, 3]


def test_training_helps(prior, footage):
    result = learned(prior, footage, "full", 12)
    assert result.psnr_heldout > result.curve[0][2] + 0.1


def test_the_same_seed_learns_the_same(trained, prior, footage):
    again = learned(prior, footage, "lora", STEPS)
    assert torch.equal(again.texture, trained[1]["lora"].texture)
    assert_same(again.weights, trained[1]["lora"].weights)
    other = learned(prior, footage, "lora", STEPS, seed=1)
    assert not torch.equal(other.texture, again.texture)


def test_short_footage_is_learned_from_to_the_end(prior):
    told = []
    result = learned(prior, toy_footage(3), "texture", 2, progress=told.append)
    assert (result.psnr_heldout, result.best_step, result.curve) == (None, 2, [])
    assert [(p.stage, p.done, p.total) for p in told] == [("train", 1, 2), ("train", 2, 2)]


def test_a_single_frame_is_enough(prior):
    assert torch.isfinite(learned(prior, toy_footage(1), "lora", 1).texture).all()


def test_learning_can_be_interrupted(prior, footage):
    before = state(prior)

    def stop(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learned(prior, footage, "full", 20, progress=stop)
    assert_same(before, state(prior))


@every_method
def test_another_prior_is_refused(trained, prior, footage, method):
    adapter = adapter_of(prior, footage, method, trained[1][method])
    with pytest.raises(ArtefactError, match=r"adapted on prior 'toy' \(000000000000\), given"):
        adapter.merge_with_prior(toy_prior(seed=5))
    with pytest.raises(ArtefactError, match=r"given is another \(untrained\)"):
        adapter.merge_with_prior(replace(prior, sha256=""))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_weights_that_do_not_fit_are_refused(trained, prior, footage, method):
    adapter = adapter_of(prior, footage, method, trained[1][method])
    name = next(iter(adapter.weights))
    for weights in (
        {},
        {**adapter.weights, "more": torch.zeros(1)},
        {**adapter.weights, name: torch.zeros(3, 2, 1, 1)},
        {**adapter.weights, name: torch.zeros(1)},  # must not be broadcast
    ):
        with pytest.raises(ArtefactError):
            replace(adapter, weights=weights).merge_with_prior(prior)
    assert_same(trained[0], state(prior))


@every_method
def test_merged_equals_unmerged(trained, prior, footage, sample, method):
    """PEFT's own forward pass, and sums taken by hand, show what the merged renderer shows."""
    result = trained[1][method]
    merged = adapter_of(prior, footage, method, result).merge_with_prior(prior)
    plain = deepcopy(prior.renderer)
    if method == "lora":
        targets = [
            n for n, m in plain.named_modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)
        ]
        options = ADAPT_METHODS["lora"].default_options
        config = LoraConfig(r=options["rank"], lora_alpha=options["alpha"], target_modules=targets)
        inject_adapter_in_model(config, plain)
        set_peft_model_state_dict(plain, result.weights)
    elif method == "full":
        with torch.no_grad():
            for name, value in plain.named_parameters():
                value += result.weights[name]
    torch.testing.assert_close(
        pixels(plain.eval(), result.texture, sample),
        pixels(merged, result.texture, sample),
        atol=1e-5,
        rtol=0,
    )


def test_the_folded_forward_learns_what_peft_learns(prior, sample):
    """Values and gradients of the fast forward pass are PEFT's."""
    ours = ADAPT_METHODS["lora"].make_trainable(deepcopy(prior.renderer), {"rank": 3, "alpha": 6})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in ours.named_parameters():
            if "lora_" in name:
                value.copy_(0.1 * torch.randn(value.shape, generator=generator))
    theirs = deepcopy(ours)
    for module in theirs.modules():
        if isinstance(module, LoraLayer):
            del module.forward  # the instance's own; the class's is PEFT's
    texture = torch.zeros(len(sample.target), TOY.texture_channels, *sample.target.shape[2:])
    pictures = [model(sample.inputs, texture) for model in (ours, theirs)]
    torch.testing.assert_close(*pictures, atol=1e-5, rtol=0)
    for picture in pictures:
        (picture - sample.target).square().sum().backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None) == ("lora_" not in name)
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=1e-4)


@every_method
def test_an_adapter_holds_its_delta_and_nothing_else(trained, prior, footage, method):
    """No base weights, no optimiser state: names, shapes and bytes are those of the delta."""
    files = adapter_of(prior, footage, method, trained[1][method]).to_files()
    own = {name: value.shape for name, value in prior.renderer.state_dict().items()}
    expected = {}
    if method == "full":
        expected = own
    elif method == "lora":
        rank = ADAPT_METHODS["lora"].default_options["rank"]
        for name, shape in own.items():
            layer, _, kind = name.rpartition(".")
            if kind == "weight":
                a = (rank, *shape[1:])
                b = (shape[0], rank) + (1, 1) * (len(shape) == 4)
                expected[f"{layer}.lora_A.weight"] = torch.Size(a)
                expected[f"{layer}.lora_B.weight"] = torch.Size(b)
    stored = load(files[ADAPTER_WEIGHTS_FILE])
    assert {name: value.shape for name, value in stored.items()} == expected
    assert all(value.dtype == torch.float16 for value in stored.values())
    numbers = sum(shape.numel() for shape in expected.values())
    # Names and shapes stand in a header of some 100 bytes each.
    assert len(files[ADAPTER_WEIGHTS_FILE]) <= 2 * numbers + 130 * len(expected) + 100
    assert len(files[ADAPTER_TEXTURE_FILE]) <= 2 * prior.texture.numel() + 200
    assert set(files) == {
        ADAPTER_CONFIG_FILE,
        ADAPTER_WEIGHTS_FILE,
        ADAPTER_TEXTURE_FILE,
        ADAPTER_REFERENCES_FILE,
        ADAPTER_STYLE_FILE,
        ADAPTER_TRACK_FILE,
    }
    for name, value in stored.items():
        assert name not in own or not torch.equal(value, prior.renderer.state_dict()[name].half())


def test_options_by_name():
    lora = get_method("lora")
    assert lora.resolve_options(rank=None) == lora.default_options
    assert lora.resolve_options(rank=4) == {"rank": 4, "alpha": 4}
    assert lora.default_options["rank"] == 16
    with pytest.raises(ArtefactError, match="option of lora only"):
        get_method("texture").resolve_options(rank=4)
    with pytest.raises(ArtefactError, match="from 1 to"):
        lora.resolve_options(rank=100000)


def test_unknown_methods_are_refused():
    with pytest.raises(ArtefactError, match="there are texture, lora, full"):
        get_method("magic")


def test_actors_in_one_process_do_not_disturb_each_other(trained, prior, footage, sample):
    before, results = trained
    others = toy_footage(seed=3)
    train, held = split_held_out(len(others))
    samples = [sample, judged(others, held, train)] * 2
    own = [results["lora"], learned(prior, others, "lora", STEPS, seed=3)]
    own += [results["full"], learned(prior, others, "full", STEPS, seed=4)]
    people = [footage, others, footage, others]
    methods = ["lora", "lora", "full", "full"]
    adapters = [adapter_of(prior, *given) for given in zip(people, methods, own, strict=True)]

    def painted(order):
        renderers = {i: adapters[i].merge_with_prior(prior) for i in order}
        shown = {i: pixels(renderers[i], adapters[i].texture, samples[i]) for i in order}
        return np.stack([shown[i].numpy() for i in sorted(shown)])

    alone = np.concatenate([painted([i]) for i in range(4)])
    np.testing.assert_array_equal(painted([0, 1, 2, 3]), alone)
    np.testing.assert_array_equal(painted([3, 1, 0, 2]), alone)
    assert_same(before, state(prior))
    assert np.abs(alone[0] - alone[2]).max() > 1e-4  # they are different actors
