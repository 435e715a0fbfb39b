"""Frames in which nothing is heard."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.evaluate.silence import find_silent_frames
from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter

FPS = Fraction(25)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Four seconds; a tone from 1.0 to 2.0 s and from 2.3 to 2.6 s; the sound ends at 3 s."""
    import wave

    time = np.arange(3 * 16000) / 16000
    heard = ((time >= 1) & (time < 2)) | ((time >= 2.3) & (time < 2.6))
    samples = np.where(heard, 0.3 * np.sin(2 * np.pi * 220 * time), 0)
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    path = tmp_path / "tone.mkv"
    sound = AudioSource(tmp_path / "tone.wav")
    with VideoWriter(path, VideoInfo(path, 64, 64, FPS), audio=sound) as writer:
        for index in range(100):
            writer.write(Frame.from_rgb(np.zeros((64, 64, 3), np.uint8), index, FPS))
    return path


def test_margins_and_short_pauses(video: Path):
    silent = find_silent_frames(video, np.arange(100) / 25)
    assert silent is not None
    # Up to 0.9 s, and from 2.7 s on; the pause of 0.3 s leaves 0.1 s, which is too short.
    assert silent[:22].all()
    assert not silent[24:66].any()
    assert silent[70:].all()


def test_no_sound_is_not_silence(tmp_path: Path):
    path = tmp_path / "mute.mkv"
    with VideoWriter(path, VideoInfo(path, 64, 64, FPS)) as writer:
        writer.write(Frame.from_rgb(np.zeros((64, 64, 3), np.uint8), 0, FPS))
    assert find_silent_frames(path, np.zeros(1)) is None
