from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import ArtefactError, ShapeError
from dubfew.reconstruction.track import (
    FLAG_MOUTH_COVERED,
    FLAG_NO_FACE,
    FLAG_OTHER_PERSON,
    FLAG_TURNED_AWAY,
    Camera,
    Track,
)

FIXTURES = Path(__file__).parent / "fixtures"


def make_track(n: int = 5) -> Track:
    rng = np.random.default_rng(0)

    def random_array(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return Track(
        valid=np.arange(n) != 2,
        times=np.arange(n) / 25,
        expression=random_array(n, 7),
        jaw=random_array(n, 3),
        neck=random_array(n, 3),
        rotation=random_array(n, 3),
        translation=random_array(n, 3),
        lighting=random_array(n, 9, 3),
        box=random_array(n, 4),
        landmarks=random_array(n, 478, 3),
        confidence=random_array(n),
        shape=random_array(6),
        camera=Camera(700.0, 128.0, 96.0),
        fps=Fraction(30000, 1001),
        width=256,
        height=192,
        head="lite",
        source_sha256="ab" * 32,
        flags=np.array(
            [0, FLAG_TURNED_AWAY, FLAG_NO_FACE, FLAG_TURNED_AWAY | FLAG_MOUTH_COVERED, 0], np.uint8
        )[:n],
        shot=np.arange(n, dtype=np.int32) // 3,
        method="photometric",
        shape_from="mica",
        face=1,
    )


def test_save_and_load(tmp_path):
    track = make_track()
    track.save(tmp_path / "é track.safetensors")
    again = Track.load(tmp_path / "é track.safetensors")
    for field in dataclasses.fields(Track):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(track, field.name))


def test_select_cuts_all_fields_with_a_row_per_frame():
    part = make_track().select([3, 1])
    assert len(part) == 2
    np.testing.assert_array_equal(part.jaw, make_track().jaw[[3, 1]])
    np.testing.assert_array_equal(part.shape, make_track().shape)


def test_wrong_shape_is_an_error():
    with pytest.raises(ShapeError, match=r"jaw has shape \(4, 3\), expected \(5, 3\)"):
        dataclasses.replace(make_track(), jaw=np.zeros((4, 3), np.float32))


@pytest.mark.parametrize("damage", [b"", b"nothing", None])
def test_a_damaged_file_is_an_error(tmp_path, damage):
    data = make_track().to_bytes()[:-100] if damage is None else damage
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(ArtefactError, match="not a dubfew track"):
        Track.load(tmp_path / "t")


def test_a_missing_file_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(ArtefactError, match="dubfew track"):
        Track.load(tmp_path / "none")


def test_newer_format_is_refused(tmp_path):
    data = make_track().to_bytes().replace(b'format_version\\": 2', b'format_version\\": 9')
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(ArtefactError, match="update dubfew"):
        Track.load(tmp_path / "t")


def test_camera_is_a_pinhole():
    camera = Camera(100.0, 50.0, 40.0)
    np.testing.assert_allclose(camera.project(np.array([[1.0, -2.0, 4.0]])), [[75.0, -10.0]])


def test_format_1_has_only_the_flag_of_missing_faces():
    track = Track.load(FIXTURES / "track-1.safetensors")
    np.testing.assert_array_equal(track.valid, [True, True, False])
    np.testing.assert_array_equal(track.flags, [0, 0, FLAG_NO_FACE])
    np.testing.assert_array_equal(track.shot, [0, 0, 0])
    assert (track.method, track.shape_from, track.face) == ("landmarks", "landmarks", 0)
    np.testing.assert_array_equal(Track.from_bytes(track.to_bytes(), "again").flags, track.flags)


def test_flagged_frames_are_not_usable():
    track = make_track()
    np.testing.assert_array_equal(track.usable, [True, False, False, False, True])
    assert track.reasons() == {"no face": 1, "turned away": 2, "mouth covered": 1}
    # A frame of somebody else is told once, and counts for its other reasons.
    other = dataclasses.replace(
        track, flags=track.flags | np.uint8(FLAG_OTHER_PERSON) * ~track.usable
    )
    assert other.reasons() == {"turned away": 2, "mouth covered": 1, "only somebody else": 3}
