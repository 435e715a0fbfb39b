"""Least-squares losses of generator and critic."""

from __future__ import annotations

import pytest
import torch

from dubfew.prior.losses import least_squares_critic_loss, least_squares_generator_loss


def test_the_generators_loss_is_zero_where_its_images_pass_for_real():
    assert least_squares_generator_loss(torch.ones(2, 1, 3, 3)) == 0
    assert least_squares_generator_loss(torch.zeros(2, 1, 3, 3)) == 1


def test_the_critics_loss_is_half_of_each_side():
    one, zero = torch.ones(2, 1), torch.zeros(2, 1)
    assert least_squares_critic_loss(one, zero) == 0
    assert least_squares_critic_loss(zero, zero) == 0.5
    assert least_squares_critic_loss(zero, 2 * one) == 2.5


def test_outputs_at_several_sizes_count_alike():
    small, large = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 8, 8)
    assert least_squares_generator_loss([small, large]) == 0.5
    assert least_squares_critic_loss([large, small], [small, small]) == 0.25


def test_as_many_outputs_are_needed_for_both():
    with pytest.raises(ValueError, match="zip"):
        least_squares_critic_loss([torch.ones(1)], [torch.ones(1)] * 2)


def test_gradient():
    fake = torch.full((2, 1), 0.25, requires_grad=True)
    least_squares_generator_loss(fake).backward()
    torch.testing.assert_close(fake.grad, torch.full((2, 1), -0.75))  # 2 (x - 1) / 2
