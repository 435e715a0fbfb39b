"""Batches of training windows, drawn from synthetic, filmed and silent recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import AudioEncoder
from dubfew.speech.training.config import SpeechTrainConfig
from dubfew.speech.training.examples import LabeledRecording, sample_window, silent_recording


@dataclass(frozen=True)
class SpeechBatch:
    """Windows to train on.

    Attributes:
        features: the encoder's. [B, T, width]
        target: displacements. [B, R, P, 3]
        voice_activity: 1 where somebody speaks. [B, R]
        is_filmed: which windows are of filmed speakers. [B]
    """

    features: Tensor
    target: Tensor
    voice_activity: Tensor
    is_filmed: Tensor


def sample_speech_batch(
    synthetic: list[LabeledRecording],
    filmed: list[LabeledRecording],
    config: SpeechTrainConfig,
    rng: np.random.Generator,
    encoder: AudioEncoder,
    filmed_fraction: float,
) -> SpeechBatch:
    """Random windows.

    Args:
        synthetic: to draw from.
        filmed: to draw from, may be empty.
        config: says how many, and how many of them silent.
        rng: that draws.
        encoder: that the network hears by.
        filmed_fraction: of the windows that come from ``filmed``, if there is any.
    """
    lengths = np.array([len(take.voice_activity) for take in filmed], np.float64)
    examples, real = [], []
    for _ in range(config.batch_size):
        draw = rng.random()
        is_real = draw < filmed_fraction and len(filmed) > 0
        if is_real:
            takes = [filmed[rng.choice(len(filmed), p=lengths / lengths.sum())]]
        elif draw > 1 - config.silent_fraction:
            takes = [silent_recording(rng)]
        else:
            takes = [synthetic[rng.integers(len(synthetic))] for _ in range(2)]
        examples.append(sample_window(takes, rng, len(MOUTH_POINTS), encoder))
        real.append(is_real)
    return SpeechBatch(
        torch.from_numpy(np.stack([example.features for example in examples])),
        torch.from_numpy(np.stack([example.displacement for example in examples])),
        torch.from_numpy(np.stack([example.voice_activity for example in examples])),
        torch.tensor(real),
    )
