"""Batches of training windows, drawn from synthetic, filmed and silent recordings."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dubfew.reconstruction.points import MOUTH_POINTS
from dubfew.speech.examples import Take, example_of, silent_take
from dubfew.speech.inputs import Encoder
from dubfew.speech.train_config import TrainConfig


def draw_batch(
    synthetic: list[Take],
    filmed: list[Take],
    config: TrainConfig,
    rng: np.random.Generator,
    encoder: Encoder,
) -> tuple[Tensor, Tensor, Tensor]:
    """The encoder's frames [B, T, width], wanted motion [B, R, P, 3], voice [B, R]."""
    lengths = np.array([len(take.voice) for take in filmed], np.float64)
    examples = []
    for _ in range(config.batch):
        draw = rng.random()
        is_real = draw < config.real_share and len(filmed) > 0
        if draw > 1 - config.silent_share:
            takes = [silent_take(rng)]
        elif is_real:
            takes = [filmed[rng.choice(len(filmed), p=lengths / lengths.sum())]]
        else:
            takes = [synthetic[rng.integers(len(synthetic))] for _ in range(2)]
        examples.append(example_of(takes, rng, len(MOUTH_POINTS), encoder))
    return (
        torch.from_numpy(np.stack([example.frames for example in examples])),
        torch.from_numpy(np.stack([example.displacement for example in examples])),
        torch.from_numpy(np.stack([example.voice for example in examples])),
    )
