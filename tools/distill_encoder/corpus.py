"""The utterances: files of sound, and of the teacher's features and the mel bands for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from dubfew.errors import DubfewError
from dubfew.media.audio import read_audio
from dubfew.media.mel import log_mel
from dubfew.speech.encoders import MEL_FRAMES_PER_ROW, ROW_SAMPLES
from dubfew.speech.training.augmentation import augment_audio
from dubfew.utils.files import write_atomic
from tools.distill_encoder.revoicing import change_speed, change_voice
from tools.distill_encoder.teacher import Teacher

# Length to which recordings are cut, and the shortest piece that is kept, s. Longer pieces would
# weigh more in the choice of an utterance.
_PIECE_SECONDS, _MIN_PIECE_SECONDS = 10, 2
# Versions of a recording beside the original: at other speeds, and in other voices at other speeds.
_SPEED_VERSIONS, _VOICE_VERSIONS = 3, 3
# Half range of the logarithm of synthetic voices' speed.
_SYNTHETIC_SPEED_RANGE = 0.13
# Longest silence that is put before and behind synthetic utterances, s, and the level of the noise
# that half of them get, as of a recorder, in powers of ten of full scale.
_MAX_SILENCE_SECONDS, _NOISE_EXPONENTS = 0.7, (-4.5, -3.0)
_PEAK = 0.7  # of every utterance


@dataclass(frozen=True)
class Utterance:
    """What the student learns from.

    Attributes:
        mel: mel bands of the clean sound, float16. [2 R, 80]
        augmented_mel: the same in a room or noise; None if it was not made.
        features: the teacher's features of the clean sound, float16. [R, F]
    """

    mel: NDArray[np.float16]
    augmented_mel: NDArray[np.float16] | None
    features: NDArray[np.float16]


def read_recordings(
    clips: Path | None, recordings: Path | None, left_out: frozenset[str]
) -> Iterator[NDArray[np.float32]]:
    """Read the sound of clips that may be trained on, and of further files.

    Args:
        clips: folder of clips with ``manifest.json``; entries with ``split: train``,
            ``weights_may_ship: true`` and ``audio: true`` are read.
        recordings: folder of ``.wav`` files.
        left_out: names of files that must not be read, such as recordings of people on whom the
            encoder is measured.

    Yields:
        Mono samples at 16 kHz. [n]
    """
    paths = []
    if clips is not None:
        entries = json.loads((clips / "manifest.json").read_text("utf-8"))
        paths += [
            clips / entry["file"]
            for entry in entries
            if entry["split"] == "train" and entry["weights_may_ship"] and entry["audio"]
        ]
    if recordings is not None:
        paths += sorted(recordings.glob("*.wav"))
    for path in paths:
        if path.name not in left_out:
            yield read_audio(path).samples


def cut_and_vary(
    samples: NDArray[np.float32], rng: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    """Cut a recording into pieces, and yield each at several speeds and in several voices."""
    size = _PIECE_SECONDS * 16000
    for start in range(0, len(samples), size):
        piece = _normalize(samples[start : start + size])
        if piece is None or len(piece) < _MIN_PIECE_SECONDS * 16000:
            continue
        yield piece
        for _ in range(_SPEED_VERSIONS):
            yield change_speed(piece, rng)
        for _ in range(_VOICE_VERSIONS):
            yield change_speed(change_voice(piece, rng), rng)


def vary_synthetic(
    samples: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """Change the speed of a synthetic utterance and put silence around it; None if it is silent."""
    piece = _normalize(samples)
    if piece is None:
        return None
    piece = change_speed(piece, rng, _SYNTHETIC_SPEED_RANGE)
    before, after = (rng.uniform(0, _MAX_SILENCE_SECONDS, 2) * 16000).astype(int)
    piece = np.pad(piece, (before, after))
    if rng.random() < 0.5:
        noise = rng.standard_normal(len(piece)) * 10 ** rng.uniform(*_NOISE_EXPONENTS)
        piece = piece + noise.astype(np.float32)
    return piece


def _normalize(samples: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Scale sound to the usual peak; None if it is silent."""
    peak = np.abs(samples).max(initial=0.0)
    return None if peak < 0.01 else (samples * np.float32(_PEAK / peak)).astype(np.float32)


def save_sounds(path: Path, sounds: list[NDArray[np.float32]]) -> None:
    """Write utterances to one file, atomically."""
    tensors = {
        "samples": np.concatenate([np.clip(s, -1, 1) * 32767 for s in sounds]).astype(np.int16),
        "lengths": np.array([len(sound) for sound in sounds]),
    }
    write_atomic(path, save(tensors))


def load_sounds(path: Path) -> list[NDArray[np.float32]]:
    """Read a file that `save_sounds` wrote."""
    tensors = load_file(str(path))
    ends = np.cumsum(tensors["lengths"])[:-1]
    return [part.astype(np.float32) / 32767 for part in np.split(tensors["samples"], ends)]


def save_utterances(
    path: Path, sounds: list[NDArray[np.float32]], teacher: Teacher, rng: np.random.Generator
) -> None:
    """Compute mel bands and the teacher's features of utterances, and write them atomically.

    Args:
        path: the file.
        sounds: mono samples at 16 kHz. [n] each
        teacher: the teacher, its `Teacher.place_mean` measured.
        rng: source of randomness.
    """
    parts: dict[str, list[NDArray]] = {"mel": [], "augmented_mel": [], "features": []}
    rows = []
    for sound in sounds:
        sound = sound[: (teacher.max_rows - 1) * ROW_SAMPLES]
        sound = sound[: len(sound) // ROW_SAMPLES * ROW_SAMPLES]
        rows.append(len(sound) // ROW_SAMPLES)
        frames = MEL_FRAMES_PER_ROW * rows[-1]
        noisy = np.clip(augment_audio(sound, rng), -1, 1)
        parts["mel"].append(log_mel(sound)[:frames])
        parts["augmented_mel"].append(log_mel(noisy)[:frames])
        parts["features"].append(teacher.encode(sound, rng))
    tensors = {name: np.concatenate(part).astype(np.float16) for name, part in parts.items()}
    write_atomic(path, save(tensors | {"rows": np.array(rows)}))


def load_utterances(path: Path) -> list[Utterance]:
    """Read a file that `save_utterances` wrote.

    Raises:
        DubfewError: The file has no utterance.
    """
    tensors = load_file(str(path))
    edges = np.concatenate([[0], np.cumsum(tensors["rows"])])
    if len(edges) < 2:
        raise DubfewError(f"{path} has no utterance: delete it and run the tool again")
    return [
        Utterance(
            tensors["mel"][MEL_FRAMES_PER_ROW * start : MEL_FRAMES_PER_ROW * stop],
            tensors["augmented_mel"][MEL_FRAMES_PER_ROW * start : MEL_FRAMES_PER_ROW * stop],
            tensors["features"][start:stop],
        )
        for start, stop in pairwise(edges)
    ]
