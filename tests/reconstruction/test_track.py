from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from dubfew.errors import ArtefactError, ShapeError
from dubfew.reconstruction.track import Camera, Track


def make_track(n: int = 5) -> Track:
    rng = np.random.default_rng(0)

    def some(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return Track(
        valid=np.arange(n) != 2,
        times=np.arange(n) / 25,
        expression=some(n, 7),
        jaw=some(n, 3),
        neck=some(n, 3),
        rotation=some(n, 3),
        translation=some(n, 3),
        lighting=some(n, 9, 3),
        box=some(n, 4),
        landmarks=some(n, 478, 3),
        confidence=some(n),
        shape=some(6),
        camera=Camera(700.0, 128.0, 96.0),
        fps=Fraction(30000, 1001),
        width=256,
        height=192,
        head="lite",
        source_sha256="ab" * 32,
    )


def test_saved_and_loaded_is_the_same(tmp_path):
    track = make_track()
    track.save(tmp_path / "é track.safetensors")
    again = Track.load(tmp_path / "é track.safetensors")
    for field in dataclasses.fields(Track):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(track, field.name))


def test_rows_are_selected_together():
    part = make_track().select([3, 1])
    assert len(part) == 2
    np.testing.assert_array_equal(part.jaw, make_track().jaw[[3, 1]])
    np.testing.assert_array_equal(part.shape, make_track().shape)


def test_wrong_shape_is_an_error():
    with pytest.raises(ShapeError, match=r"jaw has shape \(4, 3\), expected \(5, 3\)"):
        dataclasses.replace(make_track(), jaw=np.zeros((4, 3), np.float32))


@pytest.mark.parametrize("damage", [b"", b"nothing", None])
def test_what_is_no_track_says_so(tmp_path, damage):
    data = make_track().to_bytes()[:-100] if damage is None else damage
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(ArtefactError, match="not a dubfew track"):
        Track.load(tmp_path / "t")


def test_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(ArtefactError, match="dubfew track"):
        Track.load(tmp_path / "none")


def test_newer_format_is_refused(tmp_path):
    data = make_track().to_bytes().replace(b'format_version\\": 1', b'format_version\\": 9')
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(ArtefactError, match="update dubfew"):
        Track.load(tmp_path / "t")


def test_camera_projects_by_the_pinhole_rule():
    camera = Camera(100.0, 50.0, 40.0)
    np.testing.assert_allclose(camera.project(np.array([[1.0, -2.0, 4.0]])), [[75.0, -10.0]])
