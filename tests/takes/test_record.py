"""Takes from the bundled sound and from a tracked clip."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import dubfew
from dubfew.errors import DubfewError, MediaError
from dubfew.media import Audio, read_audio
from dubfew.render.driving import motion_from_audio, motion_from_take
from dubfew.speech.model import SpeechModel
from dubfew.speech.style import SpeakingStyle
from dubfew.takes import record
from tests.data.people import toy_track
from tests.takes.toys import toy_motion, toy_take

LINE = Path(str(files("dubfew.demo") / "dub.wav"))


@pytest.fixture(scope="module")
def take() -> dubfew.Take:
    return dubfew.record_motion(LINE)


@pytest.mark.parametrize("fps", [24, 25, 30000 / 1001])
def test_an_unedited_take_moves_as_its_sound_does(take, fps):
    style = SpeakingStyle.neutral()
    times = np.arange(round(fps * 3)) / fps
    heard = motion_from_audio(LINE, times, style, SpeechModel.load_default())
    shown = motion_from_take(take, times, style, toy_motion())
    # The model's rows lie on the take's, and between them both are linear.
    assert np.abs(shown.displacement - heard.displacement).max() < 1e-5
    assert heard.aperture().max() > 0.05


def test_the_source_is_known_by_its_content(take):
    assert (take.source.kind, take.source.name) == ("audio", "dub.wav")
    assert len(take.source.sha256) == len(take.source.speech_model) == 64
    assert take.seconds == pytest.approx(read_audio(LINE).duration + record.REST_SECONDS, abs=0.02)
    # At its end the mouth rests.
    assert np.abs(take.motion.displacement[-1]).max() < 1e-3


def test_sound_in_memory():
    sound = read_audio(LINE)
    short = dubfew.record_motion(Audio(sound.samples[: sound.rate // 2], sound.rate))
    assert short.seconds == pytest.approx(1.0, abs=0.02)


def test_a_filmed_mouth(monkeypatch, tmp_path):
    monkeypatch.setattr(record, "track_video", lambda path, **options: toy_track(40))
    clip = Path(str(files("dubfew.demo") / "actor.mp4"))
    filmed = record.record_motion(clip)
    assert filmed.source.kind == "video"
    assert len(filmed.motion) == 40
    # Its openings are brought to the actor's.
    performed = motion_from_take(
        filmed, np.arange(30) / 25, SpeakingStyle.neutral(), toy_motion(gap=1.0)
    )
    np.testing.assert_allclose(
        performed.aperture().max(), 1.4 * filmed.motion.aperture()[:30].max(), rtol=0.02
    )
    with pytest.raises(DubfewError, match="filmed mouth"):
        record.record_motion(clip, recognise=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"transcript": "a.txt"}, "language"),
        ({"transcript": "a.txt", "language": "de", "recognise": True}, "leave out one"),
        ({"drive": "self"}, "audio, video"),
    ],
)
def test_options_that_do_not_fit(options, words):
    with pytest.raises(DubfewError, match=words):
        dubfew.record_motion(LINE, **options)
    with pytest.raises(MediaError, match="no file"):
        dubfew.record_motion("none.wav")


def test_toy_takes_are_what_they_say():
    assert toy_take().perform().aperture().max() == pytest.approx(0.1, abs=1e-6)
