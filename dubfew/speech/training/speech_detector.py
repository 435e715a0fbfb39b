"""Weights of the detector of speech by logistic regression on speech, music and noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ, estimate_channel
from dubfew.speech.encoders import ROW_SAMPLES, AudioEncoder
from dubfew.speech.network import SPEECH_DETECTOR_REACH_ROWS, SpeechEnsemble
from dubfew.speech.training.augmentation import (
    add_reverberation,
    augment_audio,
    breath_noise,
    colored_noise,
    music_noise,
)
from dubfew.speech.training.examples import Recording
from dubfew.speech.training.instruments import instrument_music
from dubfew.speech.training.logistic_regression import fit_logistic
from dubfew.utils.arrays import FloatArray

# Sounds without speech are this long, s: as long as a sentence.
_NOISE_SECONDS = 5
# One recording of speech in two has music under it, which is softer by this much, dB: speech over
# music is speech.
_MUSIC_PROBABILITY, _MUSIC_RANGE_DB = 0.5, (0.0, 18.0)
# Rows that one recording may give, and weight of the mean squared weights.
_MAX_ROWS, _RIDGE = 80, 0.003


def fit_speech_detector(
    ensemble: SpeechEnsemble,
    encoder: AudioEncoder,
    speech: Sequence[Recording],
    num_sounds: int,
    rng: np.random.Generator,
) -> None:
    """Set the weights of an ensemble's detector from speech and from sounds without any.

    Args:
        ensemble: ensemble whose detector is set, in place; its projection is used.
        encoder: computes the features.
        speech: recordings with speech, synthetic and filmed.
        num_sounds: number of sounds without speech: seven of ten are instrumental music.
        rng: source of randomness.
    """
    detector = ensemble.detector
    assert detector is not None
    columns, labels = [], []
    for samples, is_speech, label in _draw_sounds(speech, num_sounds, rng):
        # Context beyond the recording is the silence that a prediction sees there, too.
        rows, reach = len(is_speech), SPEECH_DETECTOR_REACH_ROWS
        encoded = encoder.encode(samples, estimate_channel(samples))
        frames = encoded.frames(-reach * encoder.stride, (rows + reach) * encoder.stride)
        with torch.no_grad():
            projected = ensemble.projection(torch.from_numpy(frames)[None])
            features = detector.summarize(projected)[0, reach : reach + rows]
        chosen = np.flatnonzero(is_speech)
        chosen = rng.choice(chosen, min(_MAX_ROWS, len(chosen)), replace=False)
        columns.append(features[torch.from_numpy(chosen)])
        labels.append(torch.full((len(chosen),), label))
    x, y = torch.cat(columns), torch.cat(labels)
    mean, size = x.mean(0), x.std(0) + 1e-3
    weights = fit_logistic((x - mean) / size, y, _RIDGE)
    with torch.no_grad():
        detector.map.weight.copy_((weights[:-1] / size)[None])
        detector.map.bias.copy_(weights[-1:] - (weights[:-1] / size) @ mean)


def _draw_sounds(
    speech: Sequence[Recording], num_sounds: int, rng: np.random.Generator
) -> Iterator[tuple[FloatArray, FloatArray, float]]:
    """Yield augmented sounds, which rows of them count, and 1 for speech or 0."""
    for recording in speech:
        samples = recording.samples
        if rng.random() < _MUSIC_PROBABILITY:
            music = instrument_music(len(samples), rng)
            power = float((samples**2).mean()) / (float((music**2).mean()) + 1e-9)
            softer = 10 ** (-rng.uniform(*_MUSIC_RANGE_DB) / 20)
            samples = samples + np.float32(np.sqrt(power) * softer) * music
        if rng.random() < 0.5:
            samples = augment_audio(samples, rng)
        yield samples, recording.voice_activity, 1.0
    length = _NOISE_SECONDS * SPEECH_SAMPLE_RATE_HZ
    others = (music_noise, colored_noise, breath_noise)
    for number in range(num_sounds):
        kind = number % 10 - 7
        sound = instrument_music(length, rng) if kind < 0 else others[kind](length, rng)
        if rng.random() < 0.5:
            sound = add_reverberation(sound, rng)
        if rng.random() < 0.5:
            sound = augment_audio(sound, rng)
        yield sound, np.ones(length // ROW_SAMPLES, np.float32), 0.0
