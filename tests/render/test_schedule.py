"""What is shown when, if sound and picture differ in length."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubfew.errors import DubfewError
from dubfew.media import Frame, VideoInfo, VideoWriter, read_frames
from dubfew.media.speech_span import SpeechSpan
from dubfew.render.schedule import FIT_MODES, LENGTH_TOLERANCE_SECONDS, schedule_frames

RATES = [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60), Fraction(10)]


def spoken(seconds: float, end: float | None = None) -> SpeechSpan:
    """Sound with speech to its end, or to another moment."""
    return SpeechSpan(seconds, 0.0, seconds if end is None else end)


def clock(count: int, fps: Fraction) -> np.ndarray:
    return np.arange(count) / float(fps)


@pytest.mark.parametrize("fit", [None, *FIT_MODES])
def test_sound_of_the_same_length_changes_nothing(fit):
    times = clock(50, Fraction(25))
    for sound in (
        None,
        spoken(2.0),
        spoken(2.0 - 0.99 * LENGTH_TOLERANCE_SECONDS),
        spoken(2.0 + 0.99 * LENGTH_TOLERANCE_SECONDS),
    ):
        shown = schedule_frames(times, Fraction(25), sound, fit)
        assert shown.scene_rows.tolist() == list(range(50))
        assert shown.times is times
        assert shown.note == ""


def test_a_held_last_frame_counts_with_its_own_length(tmp_path):
    path, fps, last = tmp_path / "held.mkv", Fraction(25), Fraction(6, 5)
    blank = Frame.from_rgb(np.zeros((32, 32, 3), np.uint8))
    with VideoWriter(path, VideoInfo(path, 32, 32, fps)) as writer:
        for number in range(5):
            length = last if number == 4 else 1 / fps
            writer.write(Frame(blank.picture, number, number / fps, length, blank.color))
    # Sound of 1.36 s lies on 0.16 s of frames and a last one of 1.2 s: nothing is missing.
    shown = schedule_frames(clock(5, fps), fps, spoken(1.36), None, last)
    assert (len(shown.scene_rows), shown.note) == (5, "")
    assert shown.end == pytest.approx(1.36)
    assert shown.holds_last_frame(fps)
    # Longer sound is followed by more frames, after that length.
    longer = schedule_frames(clock(5, fps), fps, spoken(1.6), "loop", last)
    assert longer.scene_rows.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0]
    times = [frame.time for frame in longer.iter_frames(path, fps)]
    assert np.allclose(times, longer.times)
    assert times[5] == pytest.approx(1.36)
    held = schedule_frames(clock(5, fps), fps, spoken(1.6), "hold", last)
    assert np.allclose([frame.time for frame in held.iter_frames(path, fps)], held.times)


@pytest.mark.parametrize("fit", [None, *FIT_MODES])
def test_under_shorter_sound_the_mouth_rests(fit):
    shown = schedule_frames(clock(50, Fraction(25)), Fraction(25), spoken(1.5), fit)
    assert shown.scene_rows.tolist() == list(range(50))
    assert shown.note == "the sound ends 0.5 s before the picture: the mouth rests there"


@pytest.mark.parametrize(("end", "said"), [(2.5, ", with speech in them"), (1.0, "")])
def test_a_sound_that_was_not_read_to_its_end_is_said_so(end, said):
    sound = SpeechSpan(900.0, 0.0, end, is_whole=False)
    shown = schedule_frames(clock(50, Fraction(25)), Fraction(25), sound, "trim")
    assert shown.scene_rows.tolist() == list(range(50))
    assert shown.note == (
        f"the last 898.0 s of the sound are cut{said} (--fit hold or loop keeps them)"
    )


def test_speech_is_kept_unless_asked_otherwise():
    """The sound is a second longer than the picture, and somebody speaks for half of it."""
    times, sound = clock(50, Fraction(25)), spoken(3.0, end=2.5)
    kept = schedule_frames(times, Fraction(25), sound, None)
    assert kept.scene_rows.tolist() == [*range(50), *[49] * 25]
    assert "holds its last frame for the last 1.0 s" in kept.note
    cut = schedule_frames(times, Fraction(25), sound, "trim")
    assert cut.scene_rows.tolist() == list(range(50))
    assert cut.note.startswith("the last 1.0 s of the sound are cut, with 0.5 s of speech")


def test_silence_after_the_speech_is_cut():
    for end in (0.0, 1.2, 2.0):
        shown = schedule_frames(clock(50, Fraction(25)), Fraction(25), spoken(3.0, end), None)
        assert shown.scene_rows.tolist() == list(range(50))
        assert shown.note == "the last 1.0 s of the sound, which are silent, are cut"


def test_loop_and_hold_fill_longer_sound():
    times = clock(50, Fraction(25))
    loop = schedule_frames(times, Fraction(25), spoken(5.0), "loop")
    assert loop.scene_rows.tolist() == [*range(50), *range(50), *range(25)]
    hold = schedule_frames(times, Fraction(25), spoken(5.0), "hold")
    assert hold.scene_rows.tolist() == [*range(50), *[49] * 75]
    for shown in (loop, hold):
        np.testing.assert_allclose(shown.times, clock(125, Fraction(25)), atol=1e-9)
        assert "3.0 s" in shown.note


def test_unknown_fits_are_refused():
    with pytest.raises(DubfewError, match="there are trim, loop, hold"):
        schedule_frames(clock(5, Fraction(25)), Fraction(25), spoken(5.0), "stretch")


@pytest.mark.slow
@given(
    st.integers(1, 300),
    st.sampled_from(RATES),
    st.none() | st.floats(0, 30),
    st.sampled_from([None, *FIT_MODES]),
    st.lists(st.floats(0, 0.3), max_size=20),
)
def test_every_plan_is_whole(count, fps, sound, fit, pauses):
    """Frames in order and in range, times rising, the sound covered, whatever the clock."""
    times = clock(count, fps)
    for number, pause in enumerate(pauses):  # variable frame rate: it stands still now and then
        times = times + pause * (np.arange(count) > number * count // 20)
    shown = schedule_frames(times, fps, None if sound is None else spoken(sound), fit)
    assert len(shown.scene_rows) == len(shown.times) >= count
    assert shown.scene_rows.min() == 0
    assert shown.scene_rows.max() == count - 1
    np.testing.assert_array_equal(shown.scene_rows[:count], np.arange(count))
    np.testing.assert_array_equal(shown.times[:count], times)
    assert np.all(np.diff(shown.times) > 0)
    frame = 1 / float(fps)
    length = float(times[-1]) + frame
    end = float(shown.times[-1]) + frame
    if sound is not None and sound > length + LENGTH_TOLERANCE_SECONDS and fit != "trim":
        assert abs(end - sound) <= frame / 2 + 1e-6
    else:
        assert end == pytest.approx(length)
        assert len(shown.scene_rows) == count
    steps = set(np.diff(shown.scene_rows[count - 1 :]))
    assert steps <= ({0, 1, 1 - count} if fit == "loop" else {0})


FPS = Fraction(30000, 1001)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Five grey levels; the third stands longer than the others."""
    path = tmp_path_factory.mktemp("scene") / "scene.mkv"
    info = VideoInfo(path, 32, 32, FPS)
    with VideoWriter(path, info, lossless=True) as writer:
        for number, tick in enumerate((0, 1, 2, 9, 10)):
            grey = np.full((32, 32, 3), 40 * number + 20, np.uint8)
            writer.write(Frame.from_rgb(grey, number, FPS).with_time(number, tick / FPS))
    return path


def levels(frames) -> list[int]:
    return [round((float(frame.to_rgb().mean()) - 20) / 40) for frame in frames]


@pytest.mark.parametrize("fit", FIT_MODES)
def test_frames_follow_the_plan(scene, fit):
    times = np.array([frame.time for frame in read_frames(scene)])
    shown = schedule_frames(times, FPS, spoken(0.8), fit)
    frames = list(shown.iter_frames(scene, FPS))
    assert levels(frames) == shown.scene_rows.tolist()
    assert len(frames) == {"trim": 5, "loop": 18, "hold": 18}[fit]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    np.testing.assert_allclose([frame.time for frame in frames], shown.times, atol=2e-3)
    assert all(a.stamp < b.stamp for a, b in pairwise(frames))


def test_frames_on_a_grid_stay_on_it(tmp_path):
    info = VideoInfo(tmp_path / "a.mkv", 32, 32, FPS)
    with VideoWriter(info.path, info, lossless=True) as writer:
        for number in range(3):
            writer.write(Frame.from_rgb(np.full((32, 32, 3), 99, np.uint8), number, FPS))
    shown = schedule_frames(clock(3, FPS), FPS, spoken(0.5), "loop")
    stamps = [frame.stamp for frame in shown.iter_frames(info.path, FPS)]
    assert stamps == [number / FPS for number in range(15)]


def test_looped_frames_can_be_written(scene, tmp_path):
    times = np.array([frame.time for frame in read_frames(scene)])
    shown = schedule_frames(times, FPS, spoken(0.8), "loop")
    out = tmp_path / "out.mkv"
    with VideoWriter(out, VideoInfo(out, 32, 32, FPS), lossless=True) as writer:
        for frame in shown.iter_frames(scene, FPS):
            writer.write(frame)
    assert levels(read_frames(out)) == shown.scene_rows.tolist()


def test_a_scene_that_ends_early_ends_the_output(scene):
    shown = schedule_frames(clock(9, FPS), FPS, None, None)
    assert levels(shown.iter_frames(scene, FPS)) == [0, 1, 2, 3, 4]
