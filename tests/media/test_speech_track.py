"""Which of several sound tracks speaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import MediaError
from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter, read_audio
from dubfew.media.speech_track import find_speech_track, sounds_like_speech
from tests.footage import ACTOR
from tests.media.pictures import sine, smooth_rgb

RATE = 16000
SECONDS = 3


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return read_audio(ACTOR).samples[: SECONDS * RATE]


@pytest.fixture
def make_scene(make_wav, tmp_path: Path):
    def make(*tracks: np.ndarray) -> Path:
        path = tmp_path / "scene.mov"
        files = [
            AudioSource(make_wav(track[None], RATE, name=f"{n}.wav"))
            for n, track in enumerate(tracks)
        ]
        with VideoWriter(path, VideoInfo(path, 32, 32, 25), audio=files) as writer:
            for number in range(5):
                writer.write(Frame.from_rgb(smooth_rgb(32, 32, number), number))
        return path

    return make


def sounds() -> dict[str, np.ndarray]:
    """Sounds that are no speech."""
    rng, t = np.random.default_rng(0), np.arange(SECONDS * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * hertz * t) for hertz in (220, 277, 330)) * 0.1
    return {
        "silence": 0 * t,
        "dither": rng.standard_normal(len(t)) * 1e-4,
        "tone": sine(SECONDS, RATE, 1000.0),
        "beeps": sine(SECONDS, RATE, 1000.0) * ((t * 2) % 1 < 0.5),
        "noise": rng.standard_normal(len(t)) * 0.1,
        "steps": rng.standard_normal(len(t)) * np.exp(-((t * 1.7) % 1) * 20) * 0.3,
        "chords": chord * np.exp(-((t * 2) % 1) * 5),
    }


@pytest.mark.parametrize("name", list(sounds()))
def test_what_is_no_speech(name):
    sound = sounds()[name].astype(np.float32)
    assert not any(sounds_like_speech(second) for second in np.split(sound, SECONDS))


def test_speech_at_any_level(speech):
    for gain in (1.0, 0.02):
        found = [sounds_like_speech(gain * second) for second in np.split(speech, SECONDS)]
        assert sum(found) >= 2


@pytest.mark.parametrize("other", ["silence", "tone", "steps"])
def test_the_track_that_speaks_is_found(make_scene, speech, other):
    rest = sounds()[other].astype(np.float32)
    found = find_speech_track(make_scene(rest, rest, speech))
    assert found.number == 3
    assert "sound track 3" in found.note
    assert "--audio-track" in found.note


def test_the_main_track_stays_where_it_speaks(make_scene, speech):
    assert find_speech_track(make_scene(speech, speech[::-1].copy())).number is None
    assert find_speech_track(make_scene(speech)).number is None
    quiet = sounds()["silence"].astype(np.float32)
    assert find_speech_track(make_scene(quiet, quiet)).number is None


def test_a_named_track_is_taken_or_refused(make_scene, speech):
    scene = make_scene(speech, speech)
    assert find_speech_track(scene, 2).number == 2
    with pytest.raises(MediaError, match="no sound track 3"):
        find_speech_track(scene, 3)
