"""Takes as files, and what survives: edits, other rates, other predictions."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save

from dubfew.errors import ArtefactError, DubfewError, MediaError
from dubfew.takes.edits import MotionEdit
from dubfew.takes.take import TAKE_METADATA_KEY, Take
from dubfew.utils.safetensors_io import read_tensors_and_header
from tests.takes.toys import toy_motion, toy_take


def rewritten(take: Take, change) -> bytes:
    """A file with another header."""
    data = take.to_bytes()
    _, header = read_tensors_and_header(data, TAKE_METADATA_KEY)
    change(header)
    return save(load(data), metadata={TAKE_METADATA_KEY: json.dumps(header)})


def test_a_take_comes_back_as_it_was(tmp_path):
    other = toy_take(gap=0.2).edit(MotionEdit("scale", 0.5))
    take = toy_take().edit(MotionEdit("replace", take="b", start=1.0, end=2.0), other)
    take = take.edit(MotionEdit("offset", 0.04))
    take.save(tmp_path / "a.motion")
    found = Take.load(tmp_path / "a.motion")
    assert found.to_bytes() == take.to_bytes()
    assert found.source == take.source
    assert found.phones == take.phones
    assert found.edits == take.edits
    assert (found.confidence == take.confidence).all()
    assert found.alternates["b"].edits == other.edits
    assert (found.perform().displacement == take.perform().displacement).all()


def test_edits_are_never_baked_in():
    take = toy_take().edit(MotionEdit("close")).edit(MotionEdit("scale", 2))
    assert (take.motion.displacement == toy_take().motion.displacement).all()
    assert take.without_edits(1).edits == (MotionEdit("close"),)
    assert take.without_edits().to_bytes() == toy_take().to_bytes()


def test_edits_survive_a_new_prediction():
    edits = toy_take().edit(MotionEdit("close", start=1.3, end=1.7)).edit(MotionEdit("scale", 0.5))
    gaps = toy_take(gap=0.3).with_edits_of(edits).perform().aperture()
    assert gaps[150] == pytest.approx(0, abs=1e-6)
    assert gaps[250] == pytest.approx(0.15, abs=1e-6)


def test_a_removed_replacement_takes_its_take_along():
    take = toy_take().edit(MotionEdit("replace", take="b"), toy_take())
    assert take.without_edits().alternates == {}
    with pytest.raises(DubfewError, match="not there"):
        toy_take().edit(MotionEdit("replace", take="b"))


def test_an_edit_behind_the_end_is_refused():
    with pytest.raises(DubfewError, match=r"ends at 4\.00 s"):
        toy_take().edit(MotionEdit("close", start=5.0))


def test_the_same_decisions_at_any_frame_rate():
    """Frames of 24 and 25 a second that fall together show the same mouth."""
    take = toy_take().edit(MotionEdit("offset", 0.04, 1.0, 2.0)).edit(MotionEdit("scale", 0.8))
    done = take.perform()
    film, video = (done.resample(np.arange(4 * rate) / rate) for rate in (24, 25))
    assert (film.displacement[::24] == video.displacement[::25]).all()


def test_filmed_motion_keeps_its_own_clock():
    """Rows of 29.97 frames a second are brought to the grid by interpolation."""
    times = np.arange(120) * 1001 / 30000
    take = replace(
        toy_take(kind="video"),
        motion=toy_motion().resample(times),
        confidence=np.ones(120, np.float32),
    )
    assert np.abs(take.perform().aperture()[50:60] - toy_motion().aperture()[50:60]).max() < 1e-3


def test_personal_motion_comes_before_the_edits():
    seen = []

    def personalize(motion, kind):
        seen.append(kind)
        return motion.scale_opening(2)

    other = toy_take(kind="video", gap=0.05)
    take = toy_take().edit(MotionEdit("open", 0.05, 1.3, 1.7))
    take = take.edit(MotionEdit("replace", take="b", start=2.3, end=2.7), other)
    gaps = take.perform(personalize).aperture()
    np.testing.assert_allclose(gaps[[50, 150, 250]], [0.2, 0.05, 0.1], atol=1e-6)
    assert seen == ["audio", "video"]


def test_a_changed_number_is_found():
    data = bytearray(toy_take().to_bytes())
    data[-5] ^= 1
    with pytest.raises(ArtefactError, match="checksum"):
        Take.from_bytes(bytes(data))


def _nest(header):
    for _ in range(5):
        header["alternates"] = {"a": {**header, "alternates": header["alternates"]}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: h.update(format_version=2), "update dubfew"),
        (lambda h: h.update(format_version="1"), "format version"),
        (lambda h: h.update(points=h["points"][1:]), "other mouth points"),
        (lambda h: h.update(edits=[{"operation": "melt"}]), "no edit 'melt'"),
        (lambda h: h.update(edits=7), "no mouth motion"),
        (lambda h: h.update(phones=[["?", 0, 1]]), "unknown phoneme"),
        (lambda h: h.pop("source"), "source"),
        (_nest, "no mouth motion|in each other"),
    ],
)
def test_headers_that_are_refused(change, words):
    with pytest.raises(DubfewError, match=words):
        Take.from_bytes(rewritten(toy_take(), change), "a.motion")


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.displacement.__setitem__((0, 0, 0), np.nan),
        lambda m: m.times.__setitem__(1, 0.0),
        lambda m: m.times.__setitem__(-1, 1e9),
    ],
)
def test_arrays_that_are_refused(change):
    take = toy_take()
    change(take.motion)
    with pytest.raises(ArtefactError, match="no mouth motion"):
        Take.from_bytes(take.to_bytes())


def test_files_that_are_no_takes(tmp_path):
    with pytest.raises(MediaError, match="no file"):
        Take.load(tmp_path / "none.motion")
    (tmp_path / "text.motion").write_text("hello")
    with pytest.raises(ArtefactError, match="dubfew motion"):
        Take.load(tmp_path / "text.motion")
