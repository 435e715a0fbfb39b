"""The builder of the embedded head model, on faces that the shipped model itself makes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from tools.build_lite_head import (
    MEAN_INTER_OCULAR_METERS,
    MESH_VERTEX_COUNT,
    align_faces,
    build_graph_laplacian,
    build_head_model,
    compute_principal_components,
    find_mirror_vertices,
    load_mesh_triangles,
    main,
    measure_lip_gap,
    solve_harmonic_field,
)


def film(seed: int, frames: int = 24) -> np.ndarray:
    """Landmarks of one person who speaks and turns, one frame without a face. [N, 478, 3] px"""
    rng, lite = np.random.default_rng(seed), load_head_model()
    jaw = np.zeros((frames, 3))
    jaw[:, 0] = np.abs(rng.normal(0, 0.1, frames))
    faces = lite.vertices(
        rng.normal(0, 0.5, len(lite.shape_basis)),
        rng.normal(0, 0.6, (frames, len(lite.expression_basis))),
        jaw,
    )[:, :MESH_VERTEX_COUNT]
    turn = Rotation.from_euler("xyz", rng.normal(0, 0.1, (frames, 3))).as_matrix()
    landmarks = np.zeros((frames, 478, 3), np.float32)
    turned = np.einsum("nab,nvb->nva", turn, faces)
    landmarks[:, :MESH_VERTEX_COUNT] = turned * 3000 * [1, -1, -1] + [256, 256, 0]
    landmarks[3] = np.nan
    return landmarks


@pytest.fixture(scope="module")
def built() -> HeadModel:
    return build_head_model({str(seed): film(seed) for seed in range(4)})


@pytest.mark.slow
def test_head_resembles_the_one_that_made_the_faces(built):
    lite = load_head_model()
    assert built.template.shape == lite.template.shape
    away = np.linalg.norm(built.template - lite.template, axis=1)[:MESH_VERTEX_COUNT]
    assert away.mean() < 0.003  # four people are not everybody
    np.testing.assert_array_equal(np.sort(built.faces[:800], 1), np.sort(lite.faces[:800], 1))


@pytest.mark.slow
def test_mean_head_is_symmetric_and_has_its_unit(built):
    face = built.template[:MESH_VERTEX_COUNT].astype(float)
    mirror = find_mirror_vertices(face)
    np.testing.assert_array_equal(mirror[mirror], np.arange(MESH_VERTEX_COUNT))
    np.testing.assert_allclose(face[mirror] * [-1, 1, 1], face, atol=1e-4)
    zeros = np.zeros(len(built.shape_basis))
    assert built.inter_ocular_distance(zeros) == pytest.approx(MEAN_INTER_OCULAR_METERS, rel=1e-3)


def test_jaw_opens_the_mouth_and_nothing_above_it(built):
    still = np.zeros((1, len(built.expression_basis)), np.float32)
    zeros = np.zeros(len(built.shape_basis))
    opened = built.vertices(zeros, still, np.array([[0.2, 0, 0]]))[0]
    assert measure_lip_gap(opened[None])[0] > measure_lip_gap(built.template[None])[0] + 0.01
    upper = [10, 151, 9, 168, 33, 263, 13]
    np.testing.assert_allclose(opened[upper], built.template[upper], atol=1e-6)


def test_first_expressions_move_the_lower_face_alone(built):
    mouth = built.expression_basis[: built.mouth_expressions]
    rest = built.expression_basis[built.mouth_expressions :]
    brows, chin = [105, 334, 10], [152, 199]
    assert np.abs(mouth[:, brows]).max() < 1e-6
    assert np.abs(mouth[:, chin]).max() > 1e-4
    assert np.abs(rest[:, chin]).max() < 1e-6


def test_texture_has_room_for_every_vertex(built):
    assert built.uv.min() >= 0.01 - 1e-6
    assert built.uv.max() <= 0.99 + 1e-6
    # The mouth's filling has texels of its own.
    upper, lower = built.uv[13], built.uv[14]
    assert lower[1] - upper[1] > 0.05


@pytest.mark.slow
def test_short_clips_are_left_out():
    people = {str(seed): film(seed) for seed in range(2)}
    with_short = {**people, "short": film(9, frames=10)}
    np.testing.assert_array_equal(
        build_head_model(with_short).template, build_head_model(people).template
    )


def test_triangles_are_those_of_the_mesh():
    triangles = load_mesh_triangles()
    lite = load_head_model()
    known = lite.faces[(lite.faces < MESH_VERTEX_COUNT).all(1)]
    assert {tuple(t) for t in triangles.tolist()} <= {tuple(sorted(t)) for t in known.tolist()}
    assert len(np.unique(triangles)) == MESH_VERTEX_COUNT


def test_alignment_undoes_a_similarity_transform():
    rng = np.random.default_rng(0)
    template, weights = rng.normal(size=(30, 3)), rng.uniform(0.1, 1, 30)
    turn = Rotation.from_euler("xyz", (0.3, -0.2, 1.0)).as_matrix()
    moved = 2.5 * template @ turn.T + [1, 2, 3]
    np.testing.assert_allclose(align_faces(moved[None], template, weights)[0], template, atol=1e-9)
    # A mirror image stays one.
    flipped = align_faces(template[None] * [-1, 1, 1], template, weights)[0]
    assert np.abs(flipped - template).max() > 0.1


def test_harmonic_field_is_the_mean_of_its_neighbors():
    # A path of five vertices as a strip of triangles would be uneven: use a square instead.
    faces = np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4], [3, 5, 4]])
    laplacian = build_graph_laplacian(faces, 6)
    field = solve_harmonic_field(laplacian, (0,), (5,))
    assert field[0] == 1
    assert field[5] == 0
    np.testing.assert_allclose((laplacian @ field)[1:5], 0, atol=1e-12)
    assert ((field[1:5] > 0) & (field[1:5] < 1)).all()


def test_principal_components_are_those_of_known_modes():
    rng = np.random.default_rng(0)
    modes = np.linalg.qr(rng.normal(size=(12, 2)))[0].T.reshape(2, 4, 3)
    coefficients = rng.normal(size=(4000, 2)) * [3.0, 0.5]
    found = compute_principal_components(np.tensordot(coefficients, modes, 1), np.ones(4), 2)
    lengths = np.linalg.norm(found.reshape(2, -1), axis=1)
    np.testing.assert_allclose(lengths, [3, 0.5], rtol=0.05)
    assert abs((found[0] / lengths[0] * modes[0]).sum()) == pytest.approx(1, abs=1e-3)
    # Weights change which error counts, not the units of the result.
    weighted = compute_principal_components(
        np.tensordot(coefficients, modes, 1), np.array([1.0, 2, 3, 4]), 2
    )
    assert np.linalg.norm(weighted[0]) == pytest.approx(3, rel=0.1)


@pytest.mark.slow
def test_command_line_uses_the_clips_that_may_ship(tmp_path, monkeypatch):
    (tmp_path / "manifest.json").write_text(
        '[{"file": "a.mp4", "split": "train", "weights_may_ship": true},'
        ' {"file": "b.mp4", "split": "test", "weights_may_ship": true},'
        ' {"file": "c.mp4", "split": "train", "weights_may_ship": false},'
        ' {"file": "d.mp4", "split": "train", "weights_may_ship": true}]'
    )
    seen = []

    def detect(path):
        seen.append(path.name)
        return film(len(seen))

    monkeypatch.setattr("tools.build_lite_head.detect_clip_landmarks", detect)
    main([str(tmp_path), "-o", str(tmp_path / "head.safetensors")])
    assert seen == ["a.mp4", "d.mp4"]
    assert HeadModel.load(tmp_path / "head.safetensors").name == "lite"
