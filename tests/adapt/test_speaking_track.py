"""Footage whose main sound track does not speak."""

from __future__ import annotations

import wave
from dataclasses import replace

import numpy as np

from dubfew.adapt.actor_footage import read_audio_between
from dubfew.media import AudioSource, VideoWriter, probe, read_audio, read_frames
from tests.footage import ACTOR


def test_the_style_is_learned_from_the_track_that_speaks(tmp_path):
    tone, path = tmp_path / "tone.wav", tmp_path / "scene.mov"
    with wave.open(str(tone), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        sine = np.sin(2 * np.pi * 1000 * np.arange(48000) / 16000)
        file.writeframes((8000 * sine).astype("<i2").tobytes())
    speech = AudioSource(ACTOR, duration=3.0)
    info = replace(probe(ACTOR), width=32, height=32)
    with VideoWriter(path, info, audio=[AudioSource(tone), speech], preset="ultrafast") as writer:
        for frame in read_frames(ACTOR, stop=3):
            writer.write(type(frame).from_rgb(frame.crop_rgb(0, 0, 32, 32), frame.index, info.fps))
    heard = read_audio_between(path, 0.5, 2.5).samples
    spoken = read_audio(ACTOR).samples[8000:40000]
    assert np.corrcoef(heard[4000:-4000], spoken[4000:-4000])[0, 1] > 0.95
