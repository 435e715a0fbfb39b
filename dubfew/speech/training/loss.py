"""What the speech model is trained to do."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, MOUTH_CORNERS, mouth_point_rows
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, MOUTH_POINTS, OUTER_LIPS
from dubfew.speech.network import SpeechPrediction

# By so many rows (20 ms) a filmed window may be moved against its sound; every row has to bring so
# much correlation.
MAX_SHIFT_ROWS, SHIFT_PENALTY_PER_ROW = 3, 0.01


class MotionLoss:
    """How far predicted motion is from the wanted, and how well the gate knows speech."""

    def __init__(self, basis: NDArray[np.float32]) -> None:
        self._basis = torch.from_numpy(basis.reshape(len(basis), -1))
        weight = np.full(len(MOUTH_POINTS), 0.4, np.float32)
        weight[mouth_point_rows(OUTER_LIPS)] = 1.0
        weight[mouth_point_rows(INNER_LIPS)] = 2.0
        self._point_weights = torch.from_numpy(weight / weight.mean())[:, None]
        upper, lower = np.array([mouth_point_rows(pair) for pair in INNER_LIP_PAIRS]).T
        self._upper_lip, self._lower_lip = torch.from_numpy(upper), torch.from_numpy(lower)
        self._mouth_corners = mouth_point_rows(MOUTH_CORNERS)

    @property
    def gap_per_coefficient(self) -> Tensor:
        """Gap between the lips per unit of each coefficient. [K]"""
        return self._lip_gap(self._basis.unflatten(-1, (-1, 3))[None])[0]

    def __call__(
        self, predicted: SpeechPrediction, target: Tensor, voice_activity: Tensor
    ) -> Tensor:
        """Loss of a batch.

        Args:
            predicted: by a network.
            target: displacements. [B, R, P, 3]
            voice_activity: 1 where somebody speaks. [B, R]
        """
        motion = self._expand_coefficients(predicted.coefficients)
        points = F.smooth_l1_loss(motion, target, beta=0.02, reduction="none") * self._point_weights
        gap, wanted_gap = self._lip_gap(motion), self._lip_gap(target)
        width, wanted_width = self._mouth_width(motion), self._mouth_width(target)
        # Closures are short and few, and a /b/ with open lips is the fault that everybody sees.
        closed = 1 + 5 * voice_activity * torch.exp(-wanted_gap.clamp_min(0) / 0.012)
        shape = 3 * closed * (gap - wanted_gap).abs() + (width - wanted_width).abs()
        speed = ((gap.diff(dim=1) - wanted_gap.diff(dim=1)).abs()).mean()
        # Averages of several answers are small motions; agreement in time and in spread is
        # asked for by itself, or the mouth would hedge.
        a, b = _center(gap), _center(wanted_gap)
        spread_a, spread_b = _temporal_std(a), _temporal_std(b)
        moves = (spread_b > 0.01).float()
        r = (a * b).mean(dim=1) / (spread_a * spread_b)
        dynamics = (moves * ((1 - r) + 0.4 * (spread_a / spread_b).log().abs())).mean()
        gate = F.binary_cross_entropy_with_logits(predicted.voice_logits, voice_activity)
        return 3 * points.mean() + shape.mean() + 2 * speed + 0.03 * dynamics + 0.1 * gate

    @torch.no_grad()
    def align_target(
        self, predicted: SpeechPrediction, target: Tensor, is_filmed: Tensor
    ) -> Tensor:
        """Wanted motion of filmed windows, moved by up to ``MAX_SHIFT_ROWS`` rows to where it
        agrees best with what is predicted.

        A picture is seldom known to be in step with its sound to the frame. Without this a network
        learns the mean of several moments, which is a blur.

        Args:
            predicted: by the network in training.
            target: displacements. [B, R, P, 3]
            is_filmed: which windows are filmed. [B]

        Source: the idea of shift-invariant learning is paper 002's (SIDGAN, sec. 3.2).
        """
        edge = MAX_SHIFT_ROWS + 2
        gap = _center(
            self._lip_gap(self._expand_coefficients(predicted.coefficients))[:, edge:-edge]
        )
        shifts = sorted(range(-MAX_SHIFT_ROWS, MAX_SHIFT_ROWS + 1), key=abs)
        r = []
        for shift in shifts:
            other = _center(self._lip_gap(torch.roll(target, shift, 1))[:, edge:-edge])
            agreement = (gap * other).mean(dim=1) / (_temporal_std(gap) * _temporal_std(other))
            r.append(agreement - SHIFT_PENALTY_PER_ROW * abs(shift))
        best = torch.stack(r).argmax(dim=0)
        moved = [
            torch.roll(each, shifts[int(row)], 0) for each, row in zip(target, best, strict=True)
        ]
        return torch.where(is_filmed[:, None, None, None], torch.stack(moved), target)

    def _expand_coefficients(self, coefficients: Tensor) -> Tensor:
        return (coefficients @ self._basis).unflatten(-1, (-1, 3))

    def _lip_gap(self, motion: Tensor) -> Tensor:
        return (motion[:, :, self._upper_lip, 1] - motion[:, :, self._lower_lip, 1]).mean(dim=-1)

    def _mouth_width(self, motion: Tensor) -> Tensor:
        return motion[:, :, self._mouth_corners[1], 0] - motion[:, :, self._mouth_corners[0], 0]


def _center(gap: Tensor) -> Tensor:
    return gap - gap.mean(dim=1, keepdim=True)


def _temporal_std(centered: Tensor) -> Tensor:
    return centered.pow(2).mean(dim=1).add(1e-6).sqrt()
