"""What the speech model is trained to do."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.motion.mouth_motion import CORNERS, INNER_PAIRS, rows_of
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, MOUTH_POINTS, OUTER_LIPS
from dubfew.speech.network import Predicted

# By so many rows (20 ms) a filmed window may be moved against its sound; every row has to bring so
# much correlation.
LARGEST_SHIFT, SHIFT_COST = 3, 0.01


class MotionLoss:
    """How far predicted motion is from the wanted, and how well the gate knows speech."""

    def __init__(self, basis: NDArray[np.float32]) -> None:
        self._basis = torch.from_numpy(basis.reshape(len(basis), -1))
        weight = np.full(len(MOUTH_POINTS), 0.4, np.float32)
        weight[rows_of(OUTER_LIPS)] = 1.0
        weight[rows_of(INNER_LIPS)] = 2.0
        self._weight = torch.from_numpy(weight / weight.mean())[:, None]
        upper, lower = np.array([rows_of(pair) for pair in INNER_PAIRS]).T
        self._upper, self._lower = torch.from_numpy(upper), torch.from_numpy(lower)
        self._corners = rows_of(CORNERS)

    @property
    def opening(self) -> Tensor:
        """Gap between the lips per unit of each coefficient. [K]"""
        return self._gap(self._basis.unflatten(-1, (-1, 3))[None])[0]

    def __call__(self, predicted: Predicted, wanted: Tensor, voice: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            predicted: by a network.
            wanted: displacements. [B, R, P, 3]
            voice: 1 where somebody speaks. [B, R]
        """
        motion = self._motion(predicted.motion)
        points = F.smooth_l1_loss(motion, wanted, beta=0.02, reduction="none") * self._weight
        gap, wanted_gap = self._gap(motion), self._gap(wanted)
        width, wanted_width = self._width(motion), self._width(wanted)
        # Closures are short and few, and a /b/ with open lips is the fault that everybody sees.
        closed = 1 + 5 * voice * torch.exp(-wanted_gap.clamp_min(0) / 0.012)
        shape = 3 * closed * (gap - wanted_gap).abs() + (width - wanted_width).abs()
        speed = ((gap.diff(dim=1) - wanted_gap.diff(dim=1)).abs()).mean()
        # Averages of several answers are small motions; agreement in time and in spread is
        # asked for by itself, or the mouth would hedge.
        a, b = _centred(gap), _centred(wanted_gap)
        spread_a, spread_b = _spread(a), _spread(b)
        moves = (spread_b > 0.01).float()
        r = (a * b).mean(dim=1) / (spread_a * spread_b)
        dynamics = (moves * ((1 - r) + 0.4 * (spread_a / spread_b).log().abs())).mean()
        gate = F.binary_cross_entropy_with_logits(predicted.voice, voice)
        return 3 * points.mean() + shape.mean() + 2 * speed + 0.03 * dynamics + 0.1 * gate

    @torch.no_grad()
    def synchronised(self, predicted: Predicted, wanted: Tensor, filmed: Tensor) -> Tensor:
        """Wanted motion of filmed windows, moved by up to ``LARGEST_SHIFT`` rows to where it agrees
        best with what is predicted.

        A picture is seldom known to be in step with its sound to the frame. Without this a network
        learns the mean of several moments, which is a blur.

        Args:
            predicted: by the network in training.
            wanted: displacements. [B, R, P, 3]
            filmed: which windows are filmed. [B]

        Source: the idea of shift-invariant learning is paper 002's (SIDGAN, sec. 3.2).
        """
        edge = LARGEST_SHIFT + 2
        gap = _centred(self._gap(self._motion(predicted.motion))[:, edge:-edge])
        shifts = sorted(range(-LARGEST_SHIFT, LARGEST_SHIFT + 1), key=abs)
        r = []
        for shift in shifts:
            other = _centred(self._gap(torch.roll(wanted, shift, 1))[:, edge:-edge])
            agreement = (gap * other).mean(dim=1) / (_spread(gap) * _spread(other))
            r.append(agreement - SHIFT_COST * abs(shift))
        best = torch.stack(r).argmax(dim=0)
        moved = [
            torch.roll(each, shifts[int(row)], 0) for each, row in zip(wanted, best, strict=True)
        ]
        return torch.where(filmed[:, None, None, None], torch.stack(moved), wanted)

    def _motion(self, coefficients: Tensor) -> Tensor:
        return (coefficients @ self._basis).unflatten(-1, (-1, 3))

    def _gap(self, motion: Tensor) -> Tensor:
        return (motion[:, :, self._upper, 1] - motion[:, :, self._lower, 1]).mean(dim=-1)

    def _width(self, motion: Tensor) -> Tensor:
        return motion[:, :, self._corners[1], 0] - motion[:, :, self._corners[0], 0]


def _centred(gap: Tensor) -> Tensor:
    return gap - gap.mean(dim=1, keepdim=True)


def _spread(centred: Tensor) -> Tensor:
    return centred.pow(2).mean(dim=1).add(1e-6).sqrt()
