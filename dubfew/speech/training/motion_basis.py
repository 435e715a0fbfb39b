"""The space of predicted motion: its basis, and statistics of what a model predicts in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dubfew.media import Audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import ROW_SECONDS, AudioEncoder
from dubfew.speech.model import MotionSpace, SpeechModel
from dubfew.speech.network import SpeechEnsemble
from dubfew.speech.training.examples import Recording
from dubfew.utils.arrays import FloatArray

# Recordings that statistics of predicted motion are measured on: enough for percentiles, and few
# enough that it takes a second.
_NUM_MEASURED_RECORDINGS = 60


def compute_motion_basis(
    synthetic: Sequence[Recording], filmed: Sequence[Recording], num_components: int
) -> FloatArray:
    """Compute principal directions of motion about rest, with equal weight for both sources.

    Args:
        synthetic: recordings of synthetic speech, may be empty.
        filmed: recordings of filmed speakers, may be empty.
        num_components: number K of directions.

    Returns:
        Orthonormal directions, the strongest first. [K, P, 3]
    """
    # Each source's mean of outer products counts once, however long it is.
    gram = np.zeros((len(MOUTH_POINTS) * 3,) * 2)
    for recordings in (synthetic, filmed):
        # One recording after the other, so that only one of them is in memory.
        products, num_rows = np.zeros_like(gram), 0
        for recording in recordings:
            rows = recording.displacement
            flat = rows.reshape(len(rows), -1).astype(np.float64)
            products += flat.T @ flat
            num_rows += len(flat)
        gram += products / max(num_rows, 1)
    _, vectors = np.linalg.eigh(gram)
    basis = vectors.T[::-1][:num_components]
    return np.ascontiguousarray(basis.reshape(num_components, -1, 3), np.float32)


def build_speech_model(
    network: SpeechEnsemble,
    basis: FloatArray,
    recordings: Sequence[Recording],
    encoder: AudioEncoder | None = None,
) -> SpeechModel:
    """Make a `SpeechModel` whose motion statistics are measured on recordings.

    Args:
        network: trained networks.
        basis: directions of motion. [K, P, 3]
        recordings: recordings to predict and measure, at least one with speech.
        encoder: audio encoder of the network; None is the default.
    """
    # Predict with a space of unit statistics, then measure them where there is speech.
    unit_space = MotionSpace(basis, np.ones(len(basis), np.float32), 1.0)
    model = SpeechModel(network, unit_space, encoder)
    predicted, is_speech = [], []
    for recording in recordings[:_NUM_MEASURED_RECORDINGS]:
        audio = Audio(recording.samples, SPEECH_SAMPLE_RATE_HZ)
        rows = model.predict_coefficients(audio)[: len(recording.voice_activity)]
        predicted.append(rows)
        is_speech.append(recording.voice_activity[: len(rows)] > 0)
    spoken = np.concatenate(predicted)[np.concatenate(is_speech)]
    times = np.arange(len(spoken)) * ROW_SECONDS
    gap = unit_space.reconstruct(spoken, times).aperture()
    coefficient_rms = np.sqrt((spoken**2).mean(axis=0)).astype(np.float32)
    space = MotionSpace(basis, coefficient_rms, float(np.quantile(gap, 0.95)))
    return SpeechModel(network, space, encoder)
