"""Drives: what moves the mouth, and wishes that contradict each other."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.media import read_audio
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.progress import no_progress
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.render import driving
from dubfew.speech.model import SpeechModel
from dubfew.speech.style import SpeakingStyle
from dubfew.speech.transcript.find_phones import phones_from_audio
from dubfew.speech.visemes import Phone
from tests.data.people import toy_track

MODEL = SpeechModel.load_default()


@pytest.fixture(scope="module")
def performance() -> MouthMotion:
    return motion_from_track(toy_track(40), load_head_model())


def driven(monkeypatch, actor: MouthMotion, times: np.ndarray, opening: float = 1.0) -> MouthMotion:
    monkeypatch.setattr(driving, "track_video", lambda path, **options: toy_track(40))
    return driving.motion_from_video(
        Path("driver.mp4"), times, actor, load_head_model(), no_progress, opening=opening
    )


@pytest.mark.parametrize(("opens", "gain"), [(1.0, 1.0), (1.2, 1.2), (0.1, 0.7), (5.0, 1.4)])
def test_another_performance_gets_the_actors_spread(monkeypatch, performance, opens, gain):
    actor = MouthMotion(performance.displacement * np.float32(opens), performance.times)
    found = driven(monkeypatch, actor, performance.times)
    np.testing.assert_allclose(found.displacement, performance.displacement * gain, atol=1e-5)


def test_another_performance_on_the_scenes_clock(monkeypatch, performance):
    """Between the driver's frames it is interpolated; after its end the mouth stays."""
    times = np.arange(100) / 50
    found = driven(monkeypatch, performance, times)
    assert len(found) == 100
    np.testing.assert_allclose(found.displacement[0:80:2], performance.displacement, atol=1e-5)
    middle = (performance.displacement[3] + performance.displacement[4]) / 2
    np.testing.assert_allclose(found.displacement[7], middle, atol=1e-5)
    np.testing.assert_allclose(found.displacement[80:], found.displacement[[79] * 20], atol=1e-5)


def test_another_performance_opens_less_where_it_should(monkeypatch, performance):
    found = driven(monkeypatch, performance, performance.times, opening=0.5)
    np.testing.assert_allclose(found.aperture(), performance.aperture() / 2, atol=1e-5)


def test_silence_is_the_actors_rest_pose(silence):
    """Half a second of nothing, in the manner of somebody whose lips rest a little apart."""
    times = np.arange(10) / 25
    neutral = SpeakingStyle.neutral()
    assert (
        np.abs(driving.motion_from_audio(silence(0.5), times, neutral, MODEL).aperture()).max()
        < 0.02
    )
    flat = neutral.basis.reshape(len(neutral.basis), -1)
    apart = np.zeros_like(neutral.basis[0])
    apart[:, 1] = np.linspace(0.01, -0.01, len(apart))
    offset = (flat @ apart.ravel()).astype(np.float32)
    rest = driving.motion_from_audio(silence(0.5), times, replace(neutral, offset=offset), MODEL)
    there = driving.motion_from_audio(silence(0.5), times, neutral, MODEL).displacement
    shift = (rest.displacement - there).reshape(10, -1)
    np.testing.assert_allclose(shift, (offset @ flat)[None].repeat(10, 0), atol=1e-4)


def test_a_transcript_sharpens_what_is_heard():
    """The bundled dub with an /m/ of a quarter of a second where its lips are near each other."""
    audio, times = Path(str(files("dubfew.demo") / "dub.wav")), np.arange(50) / 25
    heard = driving.motion_from_audio(audio, times, SpeakingStyle.neutral(), MODEL)
    near = int(np.abs(heard.aperture() - 0.035).argmin())
    start = times[near]
    phones = [Phone("a", 0.0, start), Phone("m", start, start + 0.25), Phone("a", 2.0, 3.0)]
    found = driving.motion_from_audio(audio, times, SpeakingStyle.neutral(), MODEL, phones)
    assert 0.03 < heard.aperture()[near] < 0.04
    assert found.aperture()[near] < 0.015


@pytest.mark.slow
def test_recognised_sounds_are_known_sounds():
    pytest.importorskip("pocketsphinx")
    audio = Path(str(files("dubfew.demo") / "dub.wav"))
    assert phones_from_audio(audio, (), None, False) == ()
    phones = phones_from_audio(audio, (), None, True)
    assert len(phones) > 10
    assert phones[-1].end == pytest.approx(read_audio(audio).duration, abs=0.1)
    # Seconds that nobody needs are not recognized.
    assert 0 < phones_from_audio(audio, (), None, True, seconds=1.0)[-1].end <= 1.0
    times = np.arange(125) / 25
    heard, blend = (
        driving.motion_from_audio(audio, times, SpeakingStyle.neutral(), MODEL, known).aperture()
        for known in ((), phones)
    )
    # What is recognized closes lips and opens none.
    assert (heard - blend).max() < 0.08
    assert (blend - heard).max() < 1e-5


def test_recognition_needs_audio_and_no_transcript(monkeypatch):
    for name, text in (("self", None), ("audio", Path("x.txt"))):
        with pytest.raises(DubfewError, match="leave it nothing"):
            driving.check_drive(name, None, text, "en", use_recognizer=True)
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingDependencyError, match=r"dubfew\[listen\]"):
        driving.check_drive("audio", None, use_recognizer=True)


def test_contradictions():
    driving.check_drive("audio", None)
    driving.check_drive("self", None)
    driving.check_drive("video", Path("x"))
    for name, driver in (("video", None), ("audio", Path("x")), ("self", Path("x"))):
        with pytest.raises(DubfewError, match="need each other"):
            driving.check_drive(name, driver)
    text = Path("x.txt")
    driving.check_drive("audio", None, text, "de")
    driving.check_drive("audio", None, None, "de")
    with pytest.raises(DubfewError, match="needs its language"):
        driving.check_drive("audio", None, text, None)
    for name, driver in (("video", text), ("self", None)):
        with pytest.raises(DubfewError, match=f"drive '{name}' has no use"):
            driving.check_drive(name, driver, text, "de")
    with pytest.raises(DubfewError, match="there are audio, video, self"):
        driving.check_drive("", None)
