"""Toy shards of people who speak: sound and track as `dubfew prior prepare` stores them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.data.audio_io import SegmentAudio, serialize_audio
from dubfew.data.shards import serialize_header, serialize_sample
from dubfew.data.tar import write_tar_end
from dubfew.media.mel import MEL_HOP_SAMPLES, NUM_MEL_BANDS, SPEECH_SAMPLE_RATE_HZ
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.data.people import toy_track

FPS = 25


def jaw_at(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Syllables, rad; closed at the beginning."""
    return 0.25 * np.maximum(0, np.sin(2 * np.pi * 2.1 * times))


def sound_at(seconds: float) -> NDArray[np.float32]:
    """A voice that is louder the wider the jaw is open. [n]"""
    t = np.arange(int(seconds * SPEECH_SAMPLE_RATE_HZ)) / SPEECH_SAMPLE_RATE_HZ
    voice = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 20))
    return (0.8 * (jaw_at(t) + 0.004) * voice).astype(np.float32)


def sample(
    name: str,
    number: int,
    frames: NDArray[np.int64],
    *,
    has_audio: bool = True,
    shift: float = 0.0,
    **facts: Any,
) -> bytes:
    """A segment of a clip: these frames with their sound, which claims to begin ``shift`` late."""
    times = frames / FPS
    track = toy_track(len(frames))
    head = load_head_model()
    jaw = np.zeros((len(frames), 3), np.float32)
    jaw[:, 0] = jaw_at(times)
    still = np.zeros_like(track.expression)
    vertices = head.vertices(np.zeros(len(head.shape_basis), np.float32), still, jaw)
    landmarks = np.zeros((len(frames), 478, 3), np.float32)
    landmarks[:, :468] = vertices[:, :468] * np.array([1500, -1500, -1500])
    track = dataclasses.replace(track, times=times, jaw=jaw, landmarks=landmarks)
    header = {"format_version": 1, "file": f"{name}.mp4", "identity": name, "clip": name}
    header |= {"segment": number, "start": int(frames[0]), "frames": len(frames), **facts}
    files = {
        "json": serialize_header(header),
        "footage.safetensors": b"",
        "track.safetensors": track.to_bytes(),
    }
    if has_audio:
        first = int(times[0] * SPEECH_SAMPLE_RATE_HZ / MEL_HOP_SAMPLES + 1e-6) * MEL_HOP_SAMPLES
        last = round((times[-1] + 1 / FPS) * SPEECH_SAMPLE_RATE_HZ)
        samples = sound_at(times[-1] + 1)[first:last]
        mel = np.zeros((0, NUM_MEL_BANDS), np.float32)
        audio = SegmentAudio(first / SPEECH_SAMPLE_RATE_HZ + shift, samples, mel, times)
        files["audio.safetensors"] = serialize_audio(audio)
    return serialize_sample(f"{name}_{number:05d}", files)


def write_shard(folder: Path, samples: Sequence[bytes], number: int = 0) -> Path:
    """A folder with one shard."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"shard-{number:06d}.tar", "wb") as file:
        file.writelines(samples)
        write_tar_end(file)
    return folder
