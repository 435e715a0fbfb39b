"""The motion loss and the alignment of filmed targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dubfew.speech.network import SpeechPrediction
from dubfew.speech.training.examples import WINDOW_ROWS
from dubfew.speech.training.loss import MAX_SHIFT_ROWS, MotionLoss
from dubfew.speech.viseme_basis import load_viseme_basis


@pytest.fixture
def basis() -> np.ndarray:
    """One direction, which opens the lips with negative coefficients."""
    return load_viseme_basis()[1:2] / np.linalg.norm(load_viseme_basis()[1])


def predict(gap: Tensor, count: int = 3) -> SpeechPrediction:
    """Repeat a prediction with this motion ``count`` times."""
    coefficients = -gap[None, :, None].repeat(count, 1, 1)
    return SpeechPrediction(coefficients, torch.zeros(count, len(gap)))


@pytest.fixture
def gap() -> Tensor:
    rows = torch.arange(WINDOW_ROWS) * 0.02
    return 0.1 + 0.05 * torch.sin(9 * rows) + 0.05 * torch.sin(14 * rows + 1)


def expand(prediction: SpeechPrediction, basis: np.ndarray) -> Tensor:
    return torch.einsum("brk,kpc->brpc", prediction.coefficients, torch.from_numpy(basis))


def test_filmed_windows_move_to_where_they_agree(basis: np.ndarray, gap: Tensor) -> None:
    loss, predicted = MotionLoss(basis), predict(gap)
    true = expand(predicted, basis)
    late = torch.roll(true, 2, 1)
    moved = loss.align_target(predicted, late, torch.tensor([True, True, False]))
    torch.testing.assert_close(moved[:2], true[:2])
    torch.testing.assert_close(moved[2], late[2])


def test_targets_move_no_further_than_allowed(basis: np.ndarray, gap: Tensor) -> None:
    predicted = predict(gap, 1)
    very_late = torch.roll(expand(predicted, basis), 20, 1)
    moved = MotionLoss(basis).align_target(predicted, very_late, torch.tensor([True]))
    allowed = range(-MAX_SHIFT_ROWS, MAX_SHIFT_ROWS + 1)
    assert any(torch.equal(moved[0], torch.roll(very_late[0], k, 0)) for k in allowed)


def test_the_loss_is_least_at_the_target(basis: np.ndarray, gap: Tensor) -> None:
    loss, voice = MotionLoss(basis), torch.ones(1, WINDOW_ROWS)
    target = expand(predict(gap, 1), basis)
    values = [float(loss(predict(scale * gap, 1), target, voice)) for scale in (1.0, 0.8, 0.3)]
    assert values == sorted(values)


def test_the_gap_per_coefficient_is_linear(basis: np.ndarray) -> None:
    double = MotionLoss(2 * basis).gap_per_coefficient
    torch.testing.assert_close(double, 2 * MotionLoss(basis).gap_per_coefficient)
