"""Training all weights: the delta is a difference."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from tests.adapt.toys import make_toy_adapter, render_pixels

pytestmark = pytest.mark.slow


@pytest.mark.slow
def test_the_delta_has_the_shapes_of_the_renderer(trained, prior):
    delta = trained[1]["full"].weights
    own = {name: value.shape for name, value in prior.renderer.state_dict().items()}
    assert {name: value.shape for name, value in delta.items()} == own
    assert any(bool(value.abs().max() > 0) for value in delta.values())


def test_merged_equals_the_sum(trained, prior, footage, sample):
    result = trained[1]["full"]
    merged = make_toy_adapter(prior, footage, "full", result).merge_with_prior(prior)
    plain = deepcopy(prior.renderer)
    with torch.no_grad():
        for name, value in plain.named_parameters():
            value += result.weights[name]
    torch.testing.assert_close(
        render_pixels(plain.eval(), result.texture, sample),
        render_pixels(merged, result.texture, sample),
        atol=1e-5,
        rtol=0,
    )
