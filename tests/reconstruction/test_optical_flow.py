"""Optical flow: known shifts are found, and compiled loops give the values of torch's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dubfew.errors import ShapeError
from dubfew.reconstruction.optical_flow import lucas_kanade_flow, warp_by_flow


def shifted_pair(batch: int = 2, size: tuple[int, int] = (64, 48)) -> tuple[Tensor, Tensor, Tensor]:
    """Smooth pictures, the same pictures moved by a smooth flow, and that flow."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, size[0] // 6, size[1] // 6, generator=draw)
    observed = F.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)
    flow = F.interpolate(torch.randn(batch, 2, 3, 3, generator=draw), size=size, mode="bilinear")
    return observed, warp_by_flow(observed, flow), flow


@torch.no_grad()
def test_a_known_shift_is_found_to_a_fifth_of_a_pixel():
    observed, predicted, flow = shifted_pair()
    found = lucas_kanade_flow(observed, predicted, torch.ones(2, 1, 64, 48))
    assert flow.abs().mean() > 0.4
    assert (found - flow)[..., 6:-6, 6:-6].abs().mean() < 0.2


def test_compiled_loops_give_what_torch_gives():
    observed, predicted, _ = shifted_pair()
    predicted = (predicted * 0.9 + 0.05).contiguous(memory_format=torch.channels_last)
    mask = (torch.rand(2, 1, 64, 48, generator=torch.Generator().manual_seed(1)) > 0.2).float()
    by_torch = lucas_kanade_flow(observed, predicted, mask)  # gradients are on
    with torch.no_grad():
        by_loops = lucas_kanade_flow(observed, predicted, mask)
    assert by_torch.abs().max() > 0.5
    torch.testing.assert_close(by_loops, by_torch, atol=2e-4, rtol=0)
    # A picture that nothing is known of does not move.
    with torch.no_grad():
        assert not lucas_kanade_flow(observed, predicted, 0 * mask).any()


def test_gradients_reach_the_prediction():
    observed, predicted, _ = shifted_pair(1, (16, 16))
    predicted = predicted.clone().requires_grad_()
    lucas_kanade_flow(observed, predicted, torch.ones(1, 1, 16, 16)).sum().backward()
    assert predicted.grad is not None
    assert predicted.grad.abs().sum() > 0


def test_sizes_must_agree():
    with pytest.raises(ShapeError, match="multiple of 4"):
        lucas_kanade_flow(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 20), torch.ones(1, 1))
    with pytest.raises(ShapeError, match="multiple of 4"):
        lucas_kanade_flow(torch.rand(1, 3, 18, 16), torch.rand(1, 3, 18, 16), torch.ones(1, 1))
