"""The detector of speech: it tells sounds by how their features change over two seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ, RecordingChannel
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import ROW_SAMPLES
from dubfew.speech.model import MotionSpace, SpeechModel
from dubfew.speech.network import SpeechEnsemble, SpeechNetworkConfig
from dubfew.speech.training import speech_detector
from dubfew.speech.training.examples import LabeledRecording
from dubfew.speech.training.speech_detector import fit_speech_detector


@dataclass
class LoudnessEncoder:
    """Stands for an encoder: one feature, the level of each row."""

    samples: np.ndarray
    stride: int = 1

    def encode(self, samples: np.ndarray, channel: RecordingChannel) -> LoudnessEncoder:
        return LoudnessEncoder(samples)

    def frames(self, start: int, stop: int) -> np.ndarray:
        rows = len(self.samples) // ROW_SAMPLES
        level = np.abs(self.samples[: rows * ROW_SAMPLES]).reshape(rows, -1).mean(axis=1)
        padded = np.pad(level, (-start, stop - rows))
        return padded[: stop - start, None].astype(np.float32)


def _syllables(rng: np.random.Generator) -> np.ndarray:
    """Noise whose loudness rises and falls four times a second. [48000]"""
    t = np.arange(3 * SPEECH_SAMPLE_RATE_HZ) / SPEECH_SAMPLE_RATE_HZ
    loudness = np.sin(2 * np.pi * 4 * t + rng.uniform(0, 6)) > 0
    return (loudness * rng.standard_normal(len(t))).astype(np.float32)


def test_steady_sounds_are_told_from_syllables(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    # Plain noise without speech: what is drawn in a training takes seconds.
    steady = lambda length, rng: rng.standard_normal(length).astype(np.float32)  # noqa: E731
    for name in ("instrument_music", "music_noise", "colored_noise", "breath_noise"):
        monkeypatch.setattr(speech_detector, name, steady)
    for name in ("augment_audio", "add_reverberation"):
        monkeypatch.setattr(speech_detector, name, lambda samples, rng: samples)
    config = SpeechNetworkConfig(
        components=2, members=1, inputs=1, stride=1, channels=4, detects_speech=True
    )
    ensemble = SpeechEnsemble(config, torch.ones(2)).eval()
    activity = np.ones(150, np.float32)
    target = np.zeros((150, 1, 3), np.float32)
    speech = [LabeledRecording(_syllables(rng), target, activity) for _ in range(12)]
    fit_speech_detector(ensemble, LoudnessEncoder(np.zeros(0)), speech, 12, rng)  # type: ignore
    assert ensemble.detector is not None
    with torch.no_grad():
        spoken, still = (
            ensemble.detector(torch.from_numpy(LoudnessEncoder(sound).frames(0, 150))[None])[0]
            for sound in (_syllables(rng), steady(48000, rng))
        )
    assert (spoken[20:130] > 0.5).all()
    assert (still[20:130] < -0.5).all()
    # Long steady sounds rest, although the networks hear a voice in them; short ones do not.
    model = SpeechModel(
        ensemble,
        MotionSpace(np.ones((2, len(MOUTH_POINTS), 3), np.float32), np.ones(2, np.float32), 1.0),
        LoudnessEncoder(np.zeros(0)),  # type: ignore[arg-type]
    )
    sound = np.zeros(12 * SPEECH_SAMPLE_RATE_HZ, np.float32)
    sound[16000:32000], sound[64000:160000] = steady(16000, rng), steady(96000, rng)
    detected = np.full(600, 9.0, np.float32)
    detected[50:100] = detected[200:500] = -9
    gate = model._compute_speech_gate(sound, 0.0, np.full(600, 9.0, np.float32), detected)
    assert gate[60:90].min() > 0.9
    assert gate[230:470].max() < 0.1
