"""Tracks whose identity is given."""

from fractions import Fraction

import numpy as np
import pytest

from dubfew.errors import ShapeError
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import fit_track
from tests.reconstruction.fitting.test_landmark_fit import CAMERA, known_face


def _fit(head, landmarks, shape=None):
    return fit_track(
        landmarks,
        np.arange(len(landmarks)) / 25,
        head,
        CAMERA,
        fps=Fraction(25),
        frame_size=(512, 512),
        source="a test",
        sha256="",
        shape=shape,
    )


@pytest.mark.slow
def test_a_given_shape_is_held_and_said(tmp_path):
    head, true_shape, true_pose, landmarks = known_face(9)
    given = _fit(head, landmarks, true_shape)
    assert given.shape_from == "mica"
    np.testing.assert_allclose(given.shape, true_shape, atol=1e-6)
    given.save(tmp_path / "t.safetensors")
    assert Track.load(tmp_path / "t.safetensors").shape_from == "mica"

    fitted = _fit(head, landmarks)
    assert fitted.shape_from == "landmarks"

    def error(track):
        wanted = head.vertices(true_shape, true_pose.expression, true_pose.jaw)
        return np.abs(head.vertices(track.shape, track.expression, track.jaw) - wanted).mean()

    assert error(given) < error(fitted)


def test_a_shape_of_another_head_is_refused():
    head, _, _, landmarks = known_face(2)
    with pytest.raises(ShapeError, match=r"shape has \[3\] coefficients"):
        _fit(head, landmarks, np.zeros(3))
