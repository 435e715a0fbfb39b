"""Toy shards of people who speak: sound and track as `dubfew prior prepare` stores them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.data.audio_io import Sound, sound_bytes
from dubfew.data.shards import header_bytes, sample_bytes
from dubfew.data.tar import end_tar
from dubfew.media.mel import BANDS, HOP, RATE
from dubfew.reconstruction.heads.head_model import load_head
from tests.data.people import toy_track

FPS = 25


def jaw_at(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Syllables, rad; closed at the beginning."""
    return 0.25 * np.maximum(0, np.sin(2 * np.pi * 2.1 * times))


def sound_at(seconds: float) -> NDArray[np.float32]:
    """A voice that is louder the wider the jaw is open. [n]"""
    t = np.arange(int(seconds * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 20))
    return (0.8 * (jaw_at(t) + 0.004) * voice).astype(np.float32)


def sample(
    name: str,
    number: int,
    frames: NDArray[np.int64],
    *,
    heard: bool = True,
    shift: float = 0.0,
    **facts: Any,
) -> bytes:
    """A segment of a clip: these frames with their sound, which claims to begin ``shift`` late."""
    times = frames / FPS
    track = toy_track(len(frames))
    head = load_head()
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
        "json": header_bytes(header),
        "footage.safetensors": b"",
        "track.safetensors": track.to_bytes(),
    }
    if heard:
        first = int(times[0] * RATE / HOP + 1e-6) * HOP
        last = round((times[-1] + 1 / FPS) * RATE)
        samples = sound_at(times[-1] + 1)[first:last]
        mel = np.zeros((0, BANDS), np.float32)
        sound = Sound(first / RATE + shift, samples, mel, times)
        files["audio.safetensors"] = sound_bytes(sound)
    return sample_bytes(f"{name}_{number:05d}", files)


def write_shard(folder: Path, samples: Sequence[bytes], number: int = 0) -> Path:
    """A folder with one shard."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"shard-{number:06d}.tar", "wb") as file:
        file.writelines(samples)
        end_tar(file)
    return folder
