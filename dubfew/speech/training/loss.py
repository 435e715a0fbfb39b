"""The loss of the speech model, and the alignment of filmed targets in time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, MOUTH_CORNERS, mouth_point_rows
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, MOUTH_POINTS, OUTER_LIPS
from dubfew.speech.network import SpeechPrediction

# Rows (20 ms) by which the target of a filmed window may be moved, at most, and the gain of
# correlation that each row must bring. A larger range would let targets move to syllables nearby.
MAX_SHIFT_ROWS, SHIFT_PENALTY_PER_ROW = 3, 0.01
# Weights of the mouth points in the position loss: lips count most, inner lips twice as much.
_FACE_WEIGHT, _OUTER_LIP_WEIGHT, _INNER_LIP_WEIGHT = 0.4, 1.0, 2.0
# Position errors above this (inter-ocular distances) count linearly, below it quadratically.
_POSITION_BETA = 0.02
# Extra weight of closed lips in the gap loss, and the gap at which it has fallen to a third
# (inter-ocular distances). Closures are short and few, and a /b/ with open lips is the error that
# every viewer notices.
_CLOSURE_WEIGHT, _CLOSURE_GAP = 5, 0.012
# Standard deviation of the lip gap above which a window counts as moving.
_MIN_MOVING_STD = 0.01
# Weights of the terms of the loss: positions, lip gap, speed of the lip gap, correlation and spread
# of the lip gap over time (and of the spread within it), voice activity. They bring the terms to
# similar sizes.
_POSITION_TERM, _GAP_TERM, _SPEED_TERM = 3, 3, 2
_DYNAMICS_TERM, _SPREAD_TERM, _VOICE_TERM = 0.03, 0.4, 0.1


class MotionLoss:
    """Distance of a predicted motion from its target, and error of the voice activity."""

    def __init__(self, basis: NDArray[np.float32]) -> None:
        """Prepare the loss for a space of motion.

        Args:
            basis: displacement per unit of each coefficient. [K, P, 3]
        """
        self._basis = torch.from_numpy(basis.reshape(len(basis), -1))
        weight = np.full(len(MOUTH_POINTS), _FACE_WEIGHT, np.float32)
        weight[mouth_point_rows(OUTER_LIPS)] = _OUTER_LIP_WEIGHT
        weight[mouth_point_rows(INNER_LIPS)] = _INNER_LIP_WEIGHT
        self._point_weights = torch.from_numpy(weight / weight.mean())[:, None]
        upper, lower = np.array([mouth_point_rows(pair) for pair in INNER_LIP_PAIRS]).T
        self._upper_lip, self._lower_lip = torch.from_numpy(upper), torch.from_numpy(lower)
        self._mouth_corners = mouth_point_rows(MOUTH_CORNERS)

    def to(self, device: torch.device) -> MotionLoss:
        """Move to a device, in place."""
        for name in ("_basis", "_point_weights", "_upper_lip", "_lower_lip"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    @property
    def gap_per_coefficient(self) -> Tensor:
        """Compute the lip gap per unit of each coefficient. [K]"""
        return self._lip_gap(self._basis.unflatten(-1, (-1, 3))[None])[0]

    def __call__(
        self, predicted: SpeechPrediction, target: Tensor, voice_activity: Tensor
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            predicted: prediction of a network.
            target: displacements. [B, R, P, 3]
            voice_activity: 1 where there is speech, else 0. [B, R]

        Returns:
            Loss. []
        """
        motion = self._expand_coefficients(predicted.coefficients)
        points = (
            F.smooth_l1_loss(motion, target, beta=_POSITION_BETA, reduction="none")
            * self._point_weights
        )
        gap, target_gap = self._lip_gap(motion), self._lip_gap(target)
        width, target_width = self._mouth_width(motion), self._mouth_width(target)
        closed = 1 + _CLOSURE_WEIGHT * voice_activity * torch.exp(
            -target_gap.clamp_min(0) / _CLOSURE_GAP
        )
        shape = _GAP_TERM * closed * (gap - target_gap).abs() + (width - target_width).abs()
        speed = ((gap.diff(dim=1) - target_gap.diff(dim=1)).abs()).mean()
        # The mean of several plausible motions is a small one. A loss on correlation and spread
        # over time keeps the network from hedging with it.
        a, b = _center(gap), _center(target_gap)
        std_a, std_b = _temporal_std(a), _temporal_std(b)
        is_moving = (std_b > _MIN_MOVING_STD).float()
        r = (a * b).mean(dim=1) / (std_a * std_b)
        spread_error = (std_a / std_b).log().abs()
        dynamics = (is_moving * ((1 - r) + _SPREAD_TERM * spread_error)).mean()
        voice = F.binary_cross_entropy_with_logits(predicted.voice_logits, voice_activity)
        return (
            _POSITION_TERM * points.mean()
            + shape.mean()
            + _SPEED_TERM * speed
            + _DYNAMICS_TERM * dynamics
            + _VOICE_TERM * voice
        )

    @torch.no_grad()
    def align_target(
        self, predicted: SpeechPrediction, target: Tensor, is_filmed: Tensor
    ) -> Tensor:
        """Move the targets of filmed windows in time to where they agree best with the prediction.

        A picture is rarely known to be in sync with its sound to the frame. Without this step a
        network learns the mean of several times, which is a blur. Targets move by up to
        `MAX_SHIFT_ROWS` rows.

        (The shift-invariant learning of SIDGAN, Muaz et al. 2023, is another idea: it tolerates
        shifts of pixels in space.)

        Args:
            predicted: prediction of the network in training.
            target: displacements. [B, R, P, 3]
            is_filmed: True for windows of filmed speakers; the others stay. [B]

        Returns:
            Displacements. [B, R, P, 3]
        """
        # Rolling wraps around, so rows near the ends are not compared.
        edge = MAX_SHIFT_ROWS + 2
        gap = _center(
            self._lip_gap(self._expand_coefficients(predicted.coefficients))[:, edge:-edge]
        )
        # Small shifts first: argmax takes the first of equal values.
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
        """Compute displacements [..., P, 3] from coefficients [..., K]."""
        return (coefficients @ self._basis).unflatten(-1, (-1, 3))

    def _lip_gap(self, motion: Tensor) -> Tensor:
        """Compute the lip gap. [B, R]"""
        return (motion[:, :, self._upper_lip, 1] - motion[:, :, self._lower_lip, 1]).mean(dim=-1)

    def _mouth_width(self, motion: Tensor) -> Tensor:
        """Compute the change of the mouth's width. [B, R]"""
        return motion[:, :, self._mouth_corners[1], 0] - motion[:, :, self._mouth_corners[0], 0]


def _center(gap: Tensor) -> Tensor:
    """Subtract the mean over time."""
    return gap - gap.mean(dim=1, keepdim=True)


def _temporal_std(centered: Tensor) -> Tensor:
    """Compute the standard deviation over time, never 0."""
    return centered.pow(2).mean(dim=1).add(1e-6).sqrt()
