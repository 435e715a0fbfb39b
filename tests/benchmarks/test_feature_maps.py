"""Mean feature maps of DINet and IPTalker."""

from __future__ import annotations

import pytest
import torch

from benchmarks.feature_maps import feature_pictures, join_pictures, mean_map
from dubfew.prior.renderers import make_renderer
from tests.data.clips import noise_inputs


def test_a_map_is_stretched_to_its_own_range():
    features = torch.zeros(1, 4, 2, 2)
    features[0, :, 0, 1] = torch.tensor([0.0, 2.0, 4.0, 6.0])
    features[0, :, 1, 1] = -1.0
    found = mean_map(features, (4, 4))
    assert found.shape == (3, 4, 4)
    # 0, 3 and -1 become a fourth, all and nothing.
    assert found[0, 0].tolist() == [0.25, 0.25, 1, 1]
    assert found[1, 3].tolist() == [0.25, 0.25, 0, 0]


@pytest.mark.parametrize("name", ["dinet", "iptalker"])
def test_the_row_ends_with_what_is_painted(name):
    torch.manual_seed(0)
    sizes = {"shrink": 4, "narrow": 16, "references": 2, "sound": "mel16"}
    sizes |= {"units": 1, "heads": 2} if name == "iptalker" else {}
    renderer = make_renderer(name, sizes).eval()
    inputs = noise_inputs(renderer.config)
    pictures = feature_pictures(renderer, inputs)
    torch.testing.assert_close(pictures[0], inputs.scene[0, 0])
    torch.testing.assert_close(pictures[-1], renderer(inputs)[0, 0].detach())
    assert join_pictures(pictures).shape == (104, 6 * 80, 3)
