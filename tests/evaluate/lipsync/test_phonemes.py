"""A mouth against its own sound, both made so that the answer is known."""

from __future__ import annotations

import math
import wave as sound_files
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.evaluate.lipsync import phonemes
from dubfew.evaluate.lipsync.phonemes import measure_phoneme_sync
from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter
from dubfew.reconstruction.heads.head_model import load_head_model

FPS = 25


def landmarks(opening: np.ndarray) -> np.ndarray:
    """A face before the camera that opens its jaw so far, rad."""
    head = load_head_model()
    rotation = np.zeros((len(opening), 3), np.float32)
    rotation[:, 0] = opening
    none = np.zeros((len(opening), len(head.expression_basis)))
    vertices = head.vertices(np.zeros(len(head.shape_basis)), none, rotation)
    points = np.zeros((len(opening), 478, 3), np.float32)
    points[:, :468] = vertices[:, :468]
    return points * np.float32([2000, -2000, -2000]) + np.float32([300, 300, 0])


def wave(times: np.ndarray) -> np.ndarray:
    """Something that does not repeat."""
    return 0.1 * (1.2 + np.sin(7 * times) + 0.8 * np.sin(3 * times + np.sin(times)))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """One grey frame with a second of silence."""
    with sound_files.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(32000))
    info = VideoInfo(tmp_path / "v.mp4", 64, 64, Fraction(FPS))
    with VideoWriter(info.path, info, audio=AudioSource(tmp_path / "a.wav")) as writer:
        writer.write(Frame.from_rgb(np.full((64, 64, 3), 128, np.uint8), 0))
    return info.path


@pytest.mark.parametrize("late", [-0.12, 0.0, 0.2])
def test_the_lag_that_was_put_in_is_found(monkeypatch, video, late):
    monkeypatch.setattr(phonemes, "recognize_lip_gap", lambda blocks, times: wave(times))
    times = np.arange(150) / FPS
    found = measure_phoneme_sync(video, landmarks(wave(times - late)), times)
    assert found.heard_r_best > 0.95
    assert found.heard_lag_ms == pytest.approx(late * 1000, abs=15)
    assert (found.heard_r > 0.95) == (late == 0)


def test_a_mouth_that_does_not_follow_its_sound_has_no_lag(monkeypatch, video):
    monkeypatch.setattr(phonemes, "recognize_lip_gap", lambda blocks, times: wave(times))
    times = np.arange(150) / FPS
    noise = np.random.default_rng(0).uniform(0.05, 0.3, len(times))
    found = measure_phoneme_sync(video, landmarks(noise), times)
    assert 0 < found.heard_r_best < 0.35
    assert math.isnan(found.heard_lag_ms)


def test_frames_without_a_face_are_left_out(monkeypatch, video):
    monkeypatch.setattr(phonemes, "recognize_lip_gap", lambda blocks, times: wave(times))
    times = np.arange(150) / FPS
    seen = landmarks(wave(times))
    seen[40:80] = np.nan
    assert measure_phoneme_sync(video, seen, times).heard_r > 0.98


def test_nothing_to_compare(monkeypatch, video):
    pytest.importorskip("pocketsphinx")
    times = np.arange(25) / FPS
    moving = landmarks(wave(times))
    assert math.isnan(measure_phoneme_sync(video, moving, times).heard_r)  # silence
    assert math.isnan(measure_phoneme_sync(video, np.full_like(moving, np.nan), times).heard_lag_ms)
    monkeypatch.setattr(phonemes, "recognize_lip_gap", lambda blocks, times: wave(times))
    assert math.isnan(measure_phoneme_sync(video, landmarks(np.zeros(25)), times).heard_r_best)
