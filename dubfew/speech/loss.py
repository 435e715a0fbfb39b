"""What the speech model is trained to do."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.reconstruction.points import INNER_LIPS, MOUTH_POINTS, OUTER_LIPS
from dubfew.speech.motion import CORNERS, INNER_PAIRS, rows_of


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

    def __call__(self, raw: Tensor, voice_logit: Tensor, wanted: Tensor, voice: Tensor) -> Tensor:
        gated = raw * torch.sigmoid(voice_logit)[..., None]
        motion = (gated @ self._basis).unflatten(-1, (-1, 3))
        points = F.smooth_l1_loss(motion, wanted, beta=0.02, reduction="none") * self._weight
        gap, wanted_gap = self._gap(motion), self._gap(wanted)
        width, wanted_width = self._width(motion), self._width(wanted)
        # Closures are short and few, and a /b/ with open lips is the fault that everybody sees.
        closed = 1 + 5 * voice * torch.exp(-wanted_gap.clamp_min(0) / 0.012)
        shape = 3 * closed * (gap - wanted_gap).abs() + (width - wanted_width).abs()
        speed = ((gap.diff(dim=1) - wanted_gap.diff(dim=1)).abs()).mean()
        # Averages of several answers are small motions; agreement in time and in spread is
        # asked for by itself, or the mouth would hedge.
        a = gap - gap.mean(dim=1, keepdim=True)
        b = wanted_gap - wanted_gap.mean(dim=1, keepdim=True)
        spread_a, spread_b = a.pow(2).mean(1).add(1e-6).sqrt(), b.pow(2).mean(1).add(1e-6).sqrt()
        moves = (spread_b > 0.01).float()
        r = (a * b).mean(dim=1) / (spread_a * spread_b)
        dynamics = (moves * ((1 - r) + 0.4 * (spread_a / spread_b).log().abs())).mean()
        gate = F.binary_cross_entropy_with_logits(voice_logit, voice)
        return 3 * points.mean() + shape.mean() + 2 * speed + 0.03 * dynamics + 0.05 * gate

    def _gap(self, motion: Tensor) -> Tensor:
        return (motion[:, :, self._upper, 1] - motion[:, :, self._lower, 1]).mean(dim=-1)

    def _width(self, motion: Tensor) -> Tensor:
        return motion[:, :, self._corners[1], 0] - motion[:, :, self._corners[0], 0]
