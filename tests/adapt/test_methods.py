"""The matrix that every adaptation method has to pass; a new method is in it by its file."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load

from dubfew.adapt import AdapterSwitcher
from dubfew.adapt.artefact import ADAPTER_TEXTURE_FILE, ADAPTER_WEIGHTS_FILE, ActorAdapter
from dubfew.adapt.import_check import ADAPTER_FILES
from dubfew.adapt.methods import METHODS
from dubfew.errors import ArtefactError
from dubfew.prior.losses.objective import mouth_psnr
from tests.adapt.toys import (
    assert_equal_tensors,
    copy_prior_state,
    make_toy_adapter,
    render_pixels,
    toy_prior,
    train_toy_adapter,
)

every_method = pytest.mark.parametrize("method", METHODS.names)


@pytest.mark.slow
@every_method
def test_zero_steps_equal_the_prior(prior, footage, sample, method):
    result = train_toy_adapter(prior, footage, method, 0)
    adapter = make_toy_adapter(prior, footage, method, result)
    assert result.best_step == 0
    assert torch.equal(
        render_pixels(adapter.merge_with_prior(prior), result.texture, sample),
        render_pixels(prior.renderer, result.texture, sample),
    )


@every_method
def test_training_changes_the_renderer_if_the_method_has_a_learning_rate(
    trained, prior, footage, sample, method
):
    result = trained[1][method]
    merged = make_toy_adapter(prior, footage, method, result).merge_with_prior(prior)
    same = torch.equal(
        render_pixels(merged, result.texture, sample),
        render_pixels(prior.renderer, result.texture, sample),
    )
    assert same == (METHODS[method].learning_rate == 0)
    assert bool(result.weights) == (METHODS[method].learning_rate > 0)


@pytest.mark.slow
@every_method
def test_the_texture_starts_from_the_footage_and_is_trained(trained, prior, footage, method):
    _, results = trained
    start = train_toy_adapter(prior, footage, method, 0).texture
    assert float(start[:3].std()) > 0.01  # unwrapped colors; the prior's texture has none
    assert not torch.equal(results[method].texture, start)


@every_method
def test_the_prior_does_not_change(trained, prior, footage, method):
    before, results = trained
    assert_equal_tensors(before, copy_prior_state(prior))
    adapter = make_toy_adapter(prior, footage, method, results[method])
    merged = adapter.merge_with_prior(prior)
    with torch.no_grad():
        for parameter in merged.parameters():
            parameter.zero_()  # the merged renderer shares no storage with the prior
    assert_equal_tensors(before, copy_prior_state(prior))
    assert not prior.renderer.training
    assert all(parameter.requires_grad for parameter in prior.renderer.parameters())
    assert all(parameter.grad is None for parameter in prior.renderer.parameters())


@every_method
def test_saved_and_loaded_renders_the_same(trained, prior, footage, sample, method):
    result = trained[1][method]
    adapter = make_toy_adapter(prior, footage, method, result)
    again = ActorAdapter.from_files(adapter.to_files())
    ours = render_pixels(adapter.merge_with_prior(prior), adapter.texture, sample)
    theirs = render_pixels(again.merge_with_prior(prior), again.texture, sample)
    # Stored in half precision: less than half a level of an 8-bit image.
    torch.testing.assert_close(theirs, ours, atol=0.5 / 255, rtol=0)
    assert (
        float(
            (ours - render_pixels(prior.renderer, torch.zeros_like(prior.texture), sample))
            .abs()
            .max()
        )
        > 1e-3
    )
    # Storing once more loses nothing.
    twice = ActorAdapter.from_files(again.to_files())
    assert again.to_files() == adapter.to_files() == twice.to_files()
    assert torch.equal(render_pixels(twice.merge_with_prior(prior), twice.texture, sample), theirs)


@every_method
def test_the_merged_renderer_is_plain(trained, prior, footage, method):
    merged = make_toy_adapter(prior, footage, method, trained[1][method]).merge_with_prior(prior)
    assert {type(m) for m in merged.modules()} == {type(m) for m in prior.renderer.modules()}
    assert merged.state_dict().keys() == prior.renderer.state_dict().keys()
    assert not merged.training


@every_method
def test_removing_the_actor_restores_the_prior_bit_for_bit(trained, prior, footage, method):
    adapter = make_toy_adapter(prior, footage, method, trained[1][method])
    switcher = AdapterSwitcher(prior)
    with switcher.activate(adapter) as renderer:
        assert renderer is not prior.renderer
    assert_equal_tensors(prior.renderer.state_dict(), renderer.state_dict())
    assert [type(m) for m in renderer.modules()] == [type(m) for m in prior.renderer.modules()]


@every_method
def test_the_kept_step_renders_what_was_measured(trained, prior, footage, sample, method):
    """The stored delta gives the best point of the curve, not the last."""
    result = trained[1][method]
    renderer = make_toy_adapter(prior, footage, method, result).merge_with_prior(prior)
    psnr = float(mouth_psnr(render_pixels(renderer, result.texture, sample), sample).mean())
    assert psnr == pytest.approx(result.psnr_heldout, abs=0.01)
    assert result.psnr_heldout == max(value for _, _, value in result.curve)
    assert result.psnr_heldout >= result.curve[0][2]
    assert result.curve[0][0] == 0


@every_method
def test_another_prior_is_refused(trained, prior, footage, method):
    adapter = make_toy_adapter(prior, footage, method, trained[1][method])
    with pytest.raises(ArtefactError, match=r"'toy'.*000000000000.*given"):
        adapter.merge_with_prior(toy_prior(seed=5))
    with pytest.raises(ArtefactError, match="untrained"):
        adapter.merge_with_prior(replace(prior, sha256=""))


@every_method
def test_weights_that_do_not_fit_are_refused(trained, prior, footage, method):
    adapter = make_toy_adapter(prior, footage, method, trained[1][method])
    wrong = [{**adapter.weights, "more": torch.zeros(1)}]
    if adapter.weights:
        name = next(iter(adapter.weights))
        wrong += [
            {},
            {**adapter.weights, name: torch.zeros(3, 2, 1, 1)},
            {**adapter.weights, name: torch.zeros(1)},  # must not be broadcast
        ]
    for weights in wrong:
        with pytest.raises(ArtefactError):
            replace(adapter, weights=weights).merge_with_prior(prior)
    assert_equal_tensors(trained[0], copy_prior_state(prior))


@every_method
def test_an_adapter_holds_its_delta_and_nothing_else(trained, prior, footage, method):
    """No base weights, no optimizer state: the files are as large as the delta and the texture."""
    result = trained[1][method]
    files = make_toy_adapter(prior, footage, method, result).to_files()
    stored = load(files[ADAPTER_WEIGHTS_FILE])
    assert stored.keys() == result.weights.keys()
    assert all(value.dtype == torch.float16 for value in stored.values())
    numbers = sum(value.numel() for value in stored.values())
    # Names and shapes take some 100 bytes of header each.
    assert len(files[ADAPTER_WEIGHTS_FILE]) <= 2 * numbers + 130 * len(stored) + 100
    assert len(files[ADAPTER_TEXTURE_FILE]) <= 2 * prior.texture.numel() + 200
    assert set(files) == ADAPTER_FILES
    base = prior.renderer.state_dict()
    for name, value in stored.items():
        assert name not in base or not torch.equal(value, base[name].half())
