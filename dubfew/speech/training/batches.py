"""Batches of training windows, drawn from synthetic, filmed and silent recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import AudioEncoder
from dubfew.speech.training.config import SpeechTrainConfig
from dubfew.speech.training.examples import LabeledRecording, sample_window, silent_recording

# Synthetic sentences that one window is cut from: two with a pause between, so that the network
# sees mouths come to rest and start again.
_SENTENCES_PER_WINDOW = 2


@dataclass(frozen=True)
class SpeechBatch:
    """Training windows, stacked.

    Attributes:
        features: features of the audio encoder. [B, T, width]
        target: displacements of the mouth points. [B, R, P, 3]
        voice_activity: 1 where there is speech, else 0. [B, R]
        is_filmed: True for windows of filmed speakers. [B]
    """

    features: Tensor
    target: Tensor
    voice_activity: Tensor
    is_filmed: Tensor


def sample_speech_batch(
    synthetic: Sequence[LabeledRecording],
    filmed: Sequence[LabeledRecording],
    config: SpeechTrainConfig,
    rng: np.random.Generator,
    encoder: AudioEncoder,
    filmed_fraction: float,
) -> SpeechBatch:
    """Draw a batch of random windows.

    Args:
        synthetic: recordings of synthetic speech, at least one.
        filmed: recordings of filmed speakers, drawn in proportion to their length; may be empty.
        config: gives the batch size and the fraction of windows without speech.
        rng: source of randomness.
        encoder: computes the features.
        filmed_fraction: fraction of windows from ``filmed``, 0 to 1; without any, they are
            synthetic.
    """
    lengths = np.array([len(recording.voice_activity) for recording in filmed], np.float64)
    windows, is_filmed = [], []
    for _ in range(config.batch_size):
        # One draw decides the source: film, silence, or synthetic speech.
        draw = rng.random()
        from_film = draw < filmed_fraction and len(filmed) > 0
        if from_film:
            recordings = [filmed[rng.choice(len(filmed), p=lengths / lengths.sum())]]
        elif draw > 1 - config.silent_fraction:
            recordings = [silent_recording(rng)]
        else:
            recordings = [
                synthetic[rng.integers(len(synthetic))] for _ in range(_SENTENCES_PER_WINDOW)
            ]
        windows.append(sample_window(recordings, rng, len(MOUTH_POINTS), encoder))
        is_filmed.append(from_film)
    return SpeechBatch(
        torch.from_numpy(np.stack([window.features for window in windows])),
        torch.from_numpy(np.stack([window.displacement for window in windows])),
        torch.from_numpy(np.stack([window.voice_activity for window in windows])),
        torch.tensor(is_filmed),
    )
