"""Which frames identity is read from, and in whose basis it comes out."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from dubfew.errors import AssetError, NoFaceError
from dubfew.media import Frame
from dubfew.reconstruction.heads.flame.model import NUM_FLAME_VERTICES
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.mica import identity
from dubfew.reconstruction.heads.mica.checkpoint import MicaModel
from tests.reconstruction.heads.heads import toy_head


def _face(yaw=0.0, width=200.0, opening=0.0):
    """Landmarks of the embedded head, seen from far away."""
    head = load_head_model()
    points = np.zeros((478, 3), np.float32)
    jaw = np.array([[opening, 0, 0]])
    vertices = head.vertices(
        np.zeros(len(head.shape_basis)), np.zeros((1, len(head.expression_basis))), jaw
    )[0]
    points[head.landmark_ids] = head.landmark_matrix() @ vertices
    points = points @ Rotation.from_euler("y", yaw).as_matrix().T
    points *= width / head.inter_ocular_distance(np.zeros(len(head.shape_basis)))
    return (points * (1, -1, -1) + (320, 240, 0)).astype(np.float32)


def test_frontal_large_and_closed_is_best():
    faces = [_face(), _face(yaw=0.4), _face(yaw=-0.8), _face(width=30), _face(opening=0.3)]
    score = identity.score_face_views(np.stack(faces))
    assert score[0] == max(score)
    assert score[0] > 0.7
    assert (score[1:] < 0.7 * score[0]).all()
    assert score[1] > score[2]
    # Nothing is gained by being larger than the network's picture.
    np.testing.assert_allclose(
        identity.score_face_views(_face(width=400)[None]), score[0], rtol=1e-5
    )


def test_rows_are_spread_and_never_without_a_face():
    landmarks = np.stack([_face(yaw=0.01 * (i % 10)) for i in range(40)])
    landmarks[10:20] = np.nan
    assert identity.select_candidate_rows(landmarks, 4).tolist() == [0, 20, 30]
    assert identity.select_candidate_rows(landmarks[:2], 24).tolist() == [0, 1]
    assert not len(identity.select_candidate_rows(landmarks[10:12]))


def _frames(count, sharp):
    rng = np.random.default_rng(0)
    for i in range(count):
        noise = rng.random((480, 640, 3)) * 255
        picture = noise if i in sharp else gaussian_filter(noise, (3, 3, 0))
        yield Frame.from_rgb(picture.astype(np.uint8), i)


def test_the_sharp_ones_are_kept_and_no_more_is_read_than_needed():
    landmarks = np.stack([_face()] * 6 + [_face() * np.nan] * 4)
    read = []

    def frames():
        for frame in _frames(10, sharp={1, 4}):
            read.append(frame.index)
            yield frame

    chips = identity.select_face_chips(frames(), landmarks, num_candidates=10, num_used=2)
    assert chips.shape == (2, 112, 112, 3)
    assert (identity.measure_chip_sharpness(chips) > 1000).all()
    assert read == list(range(6))
    with pytest.raises(NoFaceError, match="no frame has a face"):
        identity.select_face_chips(_frames(2, set()), landmarks[6:])


def test_the_shape_is_the_mean_of_the_frames():
    class Fake:
        def predict_shapes(self, chips):
            return np.arange(len(chips) * 300, dtype=np.float32).reshape(-1, 300)

    landmarks = np.stack([_face()] * 3)
    shape = identity.estimate_mica_shape(_frames(3, set()), landmarks, Fake())
    np.testing.assert_allclose(shape, np.arange(300) + 300)


def _mica(head, basis):
    return MicaModel(None, None, head.template[:NUM_FLAME_VERTICES], basis)


@pytest.fixture(scope="module")
def flame():
    """With a sheet in the mouth behind FLAME's own vertices."""
    return toy_head(vertices=NUM_FLAME_VERTICES + 3, shapes=5)


def test_one_edition_of_flame_keeps_the_numbers(flame):
    more = np.ones((3, NUM_FLAME_VERTICES, 3), np.float32)
    mica = _mica(flame, np.concatenate([flame.shape_basis[:, :NUM_FLAME_VERTICES], more]))
    shape = np.arange(8, dtype=np.float32)
    np.testing.assert_array_equal(identity.convert_mica_shape(flame, mica, shape), shape[:5])
    bare = MicaModel(None, None, None, None)
    np.testing.assert_array_equal(identity.convert_mica_shape(flame, bare, shape), shape[:5])


def test_another_edition_gets_the_same_head(flame):
    mix = np.random.default_rng(0).normal(size=(5, 5)).astype(np.float32)
    basis = np.tensordot(mix, flame.shape_basis[:, :NUM_FLAME_VERTICES], 1)
    shape = np.array([1, -2, 0.5, 0, 1], np.float32)
    mica = _mica(flame, basis)
    wanted = mica.template + np.tensordot(shape, basis, 1)
    moved = dataclasses.replace(flame, template=flame.template + np.float32(0.1))
    for head in (flame, moved):
        found = head.rest_vertices(identity.convert_mica_shape(head, mica, shape))[
            :NUM_FLAME_VERTICES
        ]
        offset = (found - wanted).mean(0)
        np.testing.assert_allclose(found - offset, wanted, atol=2e-5)


def test_heads_that_are_not_flame_are_refused(flame):
    for mica in (_mica(flame, flame.shape_basis), MicaModel(None, None, None, None)):
        with pytest.raises(AssetError, match="--head flame"):
            identity.convert_mica_shape(load_head_model(), mica, np.zeros(300))
