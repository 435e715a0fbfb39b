"""Recordings put end to end, whose clocks start anew."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.media import AudioSource, VideoWriter, probe, read_audio, read_frames
from dubfew.media.joins import JoinedClock, read_join_shifts
from tests.media.pictures import sine


@pytest.fixture
def make_join(make_video, tmp_path: Path):
    """Two broadcast recordings of 1 s with a tone each, one behind the other."""

    def make(second_start: float = 0.0) -> Path:
        parts = []
        for number, hertz in enumerate((400.0, 1500.0)):
            start = second_start if number else 0.0
            tone = sine(1.0, 48000, hertz)[None]
            parts.append(
                make_video(
                    f"{number}.ts",
                    count=25,
                    ticks=range(round(start * 25), round(start * 25) + 25),
                    audio=tone,
                    audio_delay=start,
                )
            )
        path = tmp_path / "joined.ts"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        return path

    return make


def pitch(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * 16000 / len(samples))


@pytest.mark.slow
@pytest.mark.parametrize("second_start", [0.0, 60.0])
def test_picture_and_sound_go_on(make_join, second_start):
    path = make_join(second_start)
    times = [frame.time for frame in read_frames(path)]
    assert np.allclose(np.diff(times), 0.04)
    assert len(times) == 50
    sound = read_audio(path).samples
    assert len(sound) == pytest.approx(32000, abs=1500)
    assert pitch(sound[4000:12000]) == pytest.approx(400, abs=5)
    assert pitch(sound[20000:28000]) == pytest.approx(1500, abs=5)


@pytest.mark.slow
def test_a_copy_holds_both_parts(make_join, tmp_path):
    path, copy = make_join(), tmp_path / "copy.mp4"
    with VideoWriter(copy, probe(path), audio=AudioSource(path)) as writer:
        for frame in read_frames(path):
            writer.write(frame)
    assert pitch(read_audio(copy).samples[20000:28000]) == pytest.approx(1500, abs=5)


@pytest.mark.slow
def test_shifts_follow_the_picture(make_join):
    shifts = read_join_shifts(make_join())
    assert [float(each) for each in shifts] == pytest.approx([1.0], abs=0.05)


def test_sound_alone_goes_on_where_it_was(make_wav):
    clock = JoinedClock(make_wav(sine(0.1, 16000)[None], 16000), leaps=False)
    step = Fraction(1, 10)
    times = [clock.follow(n * step, step) for n in (20, 21, 0, 1)]
    assert times == [2, Fraction(21, 10), Fraction(22, 10), Fraction(23, 10)]


def test_a_long_gap_is_no_join_in_other_containers(make_wav):
    clock = JoinedClock(make_wav(sine(0.1, 16000)[None], 16000), leaps=False)
    assert [clock.follow(Fraction(n), Fraction(1)) for n in (0, 100)] == [0, 100]
