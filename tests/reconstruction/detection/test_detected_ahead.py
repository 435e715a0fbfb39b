"""People of a clip that are looked for in a thread while something else runs."""

from __future__ import annotations

import threading
from fractions import Fraction

import numpy as np
import pytest

from dubfew.errors import MediaError
from dubfew.media import Frame, VideoInfo, VideoWriter
from dubfew.media.stated_aspect import stated_aspect
from dubfew.reconstruction.detection import detected_ahead
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.detection.detected_ahead import (
    detecting_ahead,
    find_people,
    is_detected,
    take_people,
)
from dubfew.utils.files import sha256_file
from tests.people import person_frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("ahead") / "clip.mp4"
    frames = person_frames(3)[:12]
    height, width = frames[0].shape[:2]
    with VideoWriter(path, VideoInfo(path, width, height, Fraction(25))) as writer:
        for number, rgb in enumerate(frames):
            writer.write(Frame.from_rgb(rgb, number))
    return path


@pytest.fixture
def searched_now(monkeypatch):
    """Paths that were searched by the calling thread."""
    paths = []

    def search(path, **options):
        if threading.current_thread() is threading.main_thread():
            paths.append(path)
        return detect_people(path, **options)

    monkeypatch.setattr(detected_ahead, "detect_people", search)
    return paths


def test_what_is_found_ahead_is_what_is_found_otherwise(clip, searched_now):
    steps = []
    with detecting_ahead(clip):
        found = find_people(clip, steps.append)
        assert not searched_now
        assert (steps[-1].stage, steps[-1].done, steps[-1].total) == ("track", 12, 12)
        find_people(clip)
        assert searched_now == [clip]  # it is taken once
    expected = detect_people(clip)
    np.testing.assert_array_equal(found.people[0].landmarks, expected.people[0].landmarks)
    np.testing.assert_array_equal(found.times, expected.times)


def test_nothing_is_taken_where_nothing_is_looked_for(clip, searched_now):
    assert take_people(clip) is None
    with detecting_ahead(clip):
        assert take_people(clip.with_name("other.mp4")) is None
        assert len(take_people(clip).times) == 12
        assert take_people(clip) is None
    assert not searched_now


def test_a_clip_that_is_read_otherwise_is_searched_anew(clip, searched_now):
    with detecting_ahead(clip), stated_aspect(clip, Fraction(3, 2)):
        assert not is_detected(clip)
        found = find_people(clip)
    assert searched_now == [clip]
    assert found.frame_size[0] > found.frame_size[1]


def test_a_known_clip_is_not_searched_ahead(clip, searched_now):
    with detecting_ahead(clip, sha256_file(clip)):
        assert find_people(clip).people
    assert searched_now == [clip]


def test_the_error_of_a_search_is_raised_where_its_result_is_taken(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("no video at all")
    with detecting_ahead(path), pytest.raises(MediaError, match="cannot be read"):
        find_people(path)


def test_a_search_that_nobody_takes_ends_with_the_block(clip, monkeypatch):
    began, ended = threading.Event(), []

    def search(path, progress):
        began.set()
        try:
            while True:
                progress(detected_ahead.Progress("track", 1))
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    monkeypatch.setattr(detected_ahead, "detect_people", search)
    with detecting_ahead(clip):
        assert began.wait(60)
        assert not is_detected(clip)
    assert ended == ["_SearchStoppedError"]
    assert not is_detected(clip)
