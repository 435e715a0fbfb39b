"""The space that a model in training predicts motion in, and what it predicts there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dubfew.media import Audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import ROW_SECONDS, AudioEncoder
from dubfew.speech.model import MotionSpace, SpeechModel
from dubfew.speech.network import SpeechEnsemble
from dubfew.speech.training.examples import LabeledRecording
from dubfew.utils.arrays import FloatArray


def compute_motion_basis(
    synthetic: Sequence[LabeledRecording], filmed: Sequence[LabeledRecording], num_components: int
) -> FloatArray:
    """Principal directions of motion about rest, both sources weighing alike. [K, P, 3]"""
    gram = np.zeros((len(MOUTH_POINTS) * 3,) * 2)
    for takes in (synthetic, filmed):
        if takes:
            flat = np.concatenate([t.displacement.reshape(len(t.displacement), -1) for t in takes])
            gram += flat.T.astype(np.float64) @ flat / len(flat)
    _, vectors = np.linalg.eigh(gram)
    basis = vectors.T[::-1][:num_components]
    return np.ascontiguousarray(basis.reshape(num_components, -1, 3), np.float32)


def build_speech_model(
    network: SpeechEnsemble,
    basis: FloatArray,
    recordings: Sequence[LabeledRecording],
    encoder: AudioEncoder | None = None,
) -> SpeechModel:
    """The networks with the statistics of what it predicts for these recordings."""
    nothing = MotionSpace(basis, np.ones(len(basis), np.float32), 1.0)
    model = SpeechModel(network, nothing, encoder)
    predicted, speaking = [], []
    for take in recordings[:60]:
        rows = model.predict_coefficients(Audio(take.samples, SPEECH_SAMPLE_RATE_HZ))[
            : len(take.voice_activity)
        ]
        predicted.append(rows)
        speaking.append(take.voice_activity[: len(rows)] > 0)
    spoken = np.concatenate(predicted)[np.concatenate(speaking)]
    times = np.arange(len(spoken)) * ROW_SECONDS
    gap = nothing.reconstruct(spoken, times).aperture()
    typical = np.sqrt((spoken**2).mean(axis=0)).astype(np.float32)
    space = MotionSpace(basis, typical, float(np.quantile(gap, 0.95)))
    return SpeechModel(network, space, encoder)
