"""DINet's critics of frames and of clips."""

from __future__ import annotations

import pytest
import torch

from dubfew.prior.critics.dinet import DINetCritic, DINetCriticConfig


@pytest.mark.parametrize(("frames", "millions"), [(1, 2.63), (5, 2.65)])
def test_parameters_are_those_of_the_published_sizes(frames, millions):
    critic = DINetCritic(DINetCriticConfig(frames))
    assert sum(p.numel() for p in critic.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_larger_crops_have_more_patches():
    critic = DINetCritic(DINetCriticConfig(5, (4, 4, 4, 4)))
    assert critic(torch.rand(1, 5, 3, 53, 53)).shape == (1, 1, 1, 1)
    assert critic(torch.rand(2, 5, 3, 104, 80)).shape == (2, 1, 7, 4)
    assert critic(torch.rand(1, 5, 3, 208, 160)).shape == (1, 1, 20, 14)


def test_gradient_reaches_every_weight_and_the_frames():
    torch.manual_seed(0)
    critic = DINetCritic(DINetCriticConfig(2, (4, 4, 4, 4)))
    frames = torch.rand(1, 2, 3, 104, 80, requires_grad=True)
    critic(frames).square().mean().backward()
    assert [n for n, p in critic.named_parameters() if not p.grad.any()] == []
    # Every frame counts.
    assert frames.grad.abs().sum((0, 2, 3, 4)).min() > 0


def test_it_judges_what_changes_between_frames():
    torch.manual_seed(0)
    critic = DINetCritic(DINetCriticConfig(2, (4, 4, 4, 4)))
    frames = torch.rand(1, 2, 3, 104, 80)
    assert not torch.allclose(critic(frames), critic(frames.flip(1)))
