"""Batches of training windows, drawn from synthetic, filmed and silent recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders.encoder import Encoder
from dubfew.speech.training.config import TrainConfig
from dubfew.speech.training.examples import Take, example_of, silent_take


@dataclass(frozen=True)
class Batch:
    """Windows to train on.

    Attributes:
        frames: the encoder's. [B, T, width]
        wanted: displacements. [B, R, P, 3]
        voice: 1 where somebody speaks. [B, R]
        filmed: which windows are of filmed speakers. [B]
    """

    frames: Tensor
    wanted: Tensor
    voice: Tensor
    filmed: Tensor


def draw_batch(
    synthetic: list[Take],
    filmed: list[Take],
    config: TrainConfig,
    rng: np.random.Generator,
    encoder: Encoder,
    real_share: float,
) -> Batch:
    """Random windows.

    Args:
        synthetic: to draw from.
        filmed: to draw from, may be empty.
        config: says how many, and how many of them silent.
        rng: that draws.
        encoder: that the network hears by.
        real_share: of the windows that come from ``filmed``, if there is any.
    """
    lengths = np.array([len(take.voice) for take in filmed], np.float64)
    examples, real = [], []
    for _ in range(config.batch):
        draw = rng.random()
        is_real = draw < real_share and len(filmed) > 0
        if is_real:
            takes = [filmed[rng.choice(len(filmed), p=lengths / lengths.sum())]]
        elif draw > 1 - config.silent_share:
            takes = [silent_take(rng)]
        else:
            takes = [synthetic[rng.integers(len(synthetic))] for _ in range(2)]
        examples.append(example_of(takes, rng, len(MOUTH_POINTS), encoder))
        real.append(is_real)
    return Batch(
        torch.from_numpy(np.stack([example.frames for example in examples])),
        torch.from_numpy(np.stack([example.displacement for example in examples])),
        torch.from_numpy(np.stack([example.voice for example in examples])),
        torch.tensor(real),
    )
