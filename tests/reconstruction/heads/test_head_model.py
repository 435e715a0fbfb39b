from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dubfew.errors import AssetError
from dubfew.reconstruction.heads.head_model import JAW_JOINT, HeadModel, load_head_model
from dubfew.reconstruction.heads.landmark_indices import (
    CHIN_LANDMARKS,
    EYE_CORNERS,
    INNER_LIPS,
    MOUTH_POINTS,
    OUTER_LIPS,
)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head_model()


def at_rest(head: HeadModel, n: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.zeros(len(head.shape_basis)),
        np.zeros((n, len(head.expression_basis)), np.float32),
        np.zeros((n, 3), np.float32),
    )


def test_the_head_at_rest_is_the_template(head):
    np.testing.assert_allclose(head.vertices(*at_rest(head))[0], head.template, atol=1e-6)


def test_a_positive_jaw_pitch_opens_the_mouth_and_leaves_the_upper_lip(head):
    shape, expression, jaw = at_rest(head)
    opened = head.vertices(shape, expression, jaw + np.array([[0.2, 0, 0]], np.float32))[0]
    moved = opened - head.template
    assert (moved[list(CHIN_LANDMARKS), 1] < -0.003).all()
    assert np.abs(moved[[13, 33, 263, 1]]).max() < 1e-3


def test_upper_face_coefficients_do_not_move_the_mouth(head):
    upper = head.expression_basis[head.mouth_expressions :]
    lips = list(OUTER_LIPS + INNER_LIPS)
    assert np.abs(upper[:, lips]).max() < 1e-6
    assert np.abs(upper).max() > 1e-4


def test_skinning_agrees_with_a_loop_over_vertices(head):
    rng = np.random.default_rng(1)
    shape = rng.standard_normal(len(head.shape_basis))
    expression = rng.standard_normal((2, len(head.expression_basis))).astype(np.float32)
    jaw = (rng.standard_normal((2, 3)) * 0.1).astype(np.float32)
    fast = head.vertices(shape, expression, jaw)
    rest = head.rest_vertices(shape)
    joint = (head.joint_regressor @ rest)[JAW_JOINT]
    for n in range(2):
        rotation = Rotation.from_rotvec(jaw[n]).as_matrix()
        for v in (0, 13, 14, 152, 470, len(rest) - 1):
            point = rest[v] + sum(
                c * head.expression_basis[k, v] for k, c in enumerate(expression[n])
            )
            w = head.skin_weights[v, JAW_JOINT]
            expected = w * (rotation @ (point - joint) + joint) + (1 - w) * point
            np.testing.assert_allclose(fast[n, v], expected, atol=2e-6)


def test_weights_add_up_to_one_and_eyes_are_nine_centimeters_apart(head):
    np.testing.assert_allclose(head.skin_weights.sum(1), 1, atol=1e-6)
    assert head.inter_ocular_distance(np.zeros(len(head.shape_basis))) == pytest.approx(
        0.09, abs=1e-4
    )


def test_point_matrix_selects_landmarks_by_number(head):
    points = head.point_matrix(MOUTH_POINTS) @ head.template
    np.testing.assert_allclose(points, head.template[list(MOUTH_POINTS)], atol=1e-6)
    assert head.point_matrix(EYE_CORNERS).shape == (2, len(head.template))


def test_every_face_has_area_in_the_texture(head):
    a, b, c = (head.uv[head.faces[:, k]].astype(np.float64) for k in range(3))
    area = np.abs(np.cross(b - a, c - a))
    assert head.uv.min() >= 0
    assert head.uv.max() <= 1
    assert (area > 1e-7).mean() > 0.99


def test_save_and_load(head, tmp_path):
    head.save(tmp_path / "h.safetensors")
    again = HeadModel.load(tmp_path / "h.safetensors")
    np.testing.assert_array_equal(again.vertices(*at_rest(head)), head.vertices(*at_rest(head)))
    assert again.name == "lite"
    assert again.mouth_expressions == head.mouth_expressions


def test_unknown_names_and_files_are_errors(tmp_path):
    with pytest.raises(AssetError, match="lite"):
        load_head_model("nobody")
    (tmp_path / "x").write_bytes(b"no")
    with pytest.raises(AssetError, match="not a dubfew head model"):
        HeadModel.load(tmp_path / "x")


def test_the_mouth_filling_lies_between_the_inner_lips():
    head = load_head_model()
    flags, height = head.mouth_filling
    inner = head.point_matrix(INNER_LIPS).argmax(1)
    assert flags.sum() == 36
    # Mouth corners are at 0, the upper lip is at -1, the lower lip at 1.
    assert height[inner[[0, 10]]].tolist() == [0, 0]
    assert set(height[inner[1:10]]) == {-1}
    assert set(height[inner[11:]]) == {1}
    # The filling has the area that the lips enclose.
    area = 0.0
    for face in head.faces[flags]:
        (ax, ay), (bx, by), (cx, cy) = head.template[face, :2]
        area += abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2
    x, y = head.template[inner, :2].T
    enclosed = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert area == pytest.approx(enclosed, rel=0.05)


def test_a_head_with_an_open_mouth_has_no_filling():
    head = load_head_model()
    between = np.full_like(head.landmark_barycentric, 1 / 3)
    flags, _ = replace(head, landmark_barycentric=between).mouth_filling
    assert not flags.any()
