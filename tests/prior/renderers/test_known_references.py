"""References that a render encodes once give the pictures of references that are encoded anew."""

from __future__ import annotations

import pytest
import torch

from dubfew.data.clip_inputs import ClipInputs
from dubfew.data.sound_features import SOUND_FEATURES
from dubfew.prior.renderers import RENDERERS, make_renderer
from tests.prior.renderers.painting import shaken


def make_inputs(config, seed: int) -> ClipInputs:
    """A window of two frames of noise, of the layout's size."""
    layout, sound = config.load_layout(), SOUND_FEATURES.load(config.sound)
    torch.manual_seed(seed)
    pictures = torch.rand(1, 2 + config.references, 3, layout.height, layout.width)
    nothing = torch.zeros(1, 2, 1, layout.height, layout.width)
    return ClipInputs(
        scene=pictures[:, :2],
        mask=nothing,
        references=pictures[:, 2:],
        sound=torch.randn(1, 2, sound.bands, sound.length),
        uv=torch.zeros(1, 2, layout.height, layout.width, 2),
        mesh_mask=nothing,
        texture=nothing[:, :, :0],
        actor_index=torch.zeros(1, dtype=torch.int64),
    )


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", ["dinet", "iptalker", "sidgan"])
def test_the_picture_is_the_same_and_no_reference_is_encoded_again(name: str) -> None:
    network = shaken(make_renderer(name, RENDERERS[name].tiny)).eval()
    inputs, others = make_inputs(network.config, 1), make_inputs(network.config, 2)
    known = network.encode_references(inputs.references)
    expected = network(inputs)
    network.reference_encoder.register_forward_hook(lambda *_: pytest.fail("encoded again"))
    for layer in network.reference_encoder:  # sidgan calls its layers one by one
        layer.register_forward_hook(lambda *_: pytest.fail("encoded again"))
    torch.testing.assert_close(network(inputs, known), expected)
    # What is known counts, not the references of the inputs.
    mixed = ClipInputs(**{**vars(others), "references": inputs.references})
    torch.testing.assert_close(network(others, known), network(mixed, known), atol=1e-6, rtol=0)
    assert (network(others, known) - expected).abs().max() > 1e-4
