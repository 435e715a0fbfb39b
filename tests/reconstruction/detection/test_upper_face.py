"""The descriptor of the upper face: it tells people apart, whatever the light."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.reconstruction.detection.face_descriptors import crop_face
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.detection.upper_face import FaceAtlas, UpperFaceDescriptor
from tests.people import person_frames

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def faces() -> dict[int, list]:
    """Two pictures of each of two synthetic people, with their landmarks."""
    found: dict[int, list] = {}
    with FaceLandmarker(use_tracking=False) as landmarker:
        for person in (3, 4):
            first, *_, last = person_frames(person)[:10]
            found[person] = [crop_face(f, landmarker(f)) for f in (first, last)]
    return found


def test_the_atlas_that_ships() -> None:
    atlas = FaceAtlas.load()
    count = int(atlas.mask.sum())
    assert atlas.vertices.shape == atlas.weights.shape == (count, 3)
    assert atlas.mean.shape == (count,)
    assert (atlas.vertices >= 0).all()
    assert (atlas.vertices < 468).all()
    np.testing.assert_allclose(atlas.weights.sum(1), 1, atol=1e-5)
    # A mean of unit vectors: shorter than one of them, far from nothing.
    assert 0.5 < np.linalg.norm(atlas.mean) < 1
    # Neither lips nor chin: landmarks of the mesh's lower face.
    assert not np.isin([13, 14, 17, 152], atlas.vertices).any()


def test_people_are_told_apart_in_any_light(faces) -> None:
    describe = UpperFaceDescriptor()
    (image, points), later = faces[3]
    own = describe(image, points)
    assert np.linalg.norm(own) == pytest.approx(1, abs=1e-5)
    # Darker, in another color, lit from the side.
    ramp = np.linspace(0.5, 1.2, image.shape[1])[None, :, None] * [0.7, 0.6, 0.4]
    relit = (image * ramp).astype(np.uint8)
    same = [np.linalg.norm(own - describe(*f)) for f in (later, (relit, points))]
    strangers = [np.linalg.norm(own - describe(*f)) for f in faces[4]]
    assert max(same) < describe.same_person_distance
    assert min(strangers) > max(same) * 1.5


def test_a_picture_without_contrast(faces) -> None:
    _, points = faces[3][0]
    vector = UpperFaceDescriptor()(np.full((160, 160, 3), 120, np.uint8), points)
    assert np.isfinite(vector).all()
