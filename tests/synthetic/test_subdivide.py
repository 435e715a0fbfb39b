"""Finer meshes: old vertices stay, flat stays flat, and smooth surfaces are hit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.synthetic.parts import NUM_FACE_VERTICES, make_part
from dubfew.synthetic.subdivide import subdivide_mesh, subdivide_part


def grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (x, y) and triangles of n x n vertices, each square split by the same diagonal."""
    x, y = np.meshgrid(np.arange(n), np.arange(n))
    faces = []
    for row in range(n - 1):
        for column in range(n - 1):
            a = row * n + column
            faces += [(a, a + 1, a + n), (a + 1, a + n + 1, a + n)]
    return np.stack([x.ravel(), y.ravel()], 1).astype(float), np.array(faces)


@pytest.mark.parametrize("smooth", [False, True])
def test_old_vertices_stay_and_planes_stay_flat(smooth):
    places, faces = grid(5)
    points = np.column_stack([places, 0.5 * places[:, 0] - places[:, 1]])
    matrix, finer = subdivide_mesh(faces, len(points), smooth=smooth)
    new = matrix @ points
    assert len(finer) == 4 * len(faces)
    np.testing.assert_array_equal(new[: len(points)], points)
    np.testing.assert_allclose(new[:, 2], 0.5 * new[:, 0] - new[:, 1], atol=1e-12)


@pytest.mark.parametrize("smooth", [False, True])
def test_weights_sum_to_one_and_every_edge_has_a_vertex(smooth):
    faces = load_head_model().faces
    faces = faces[(faces < NUM_FACE_VERTICES).all(1)]
    matrix, finer = subdivide_mesh(faces, NUM_FACE_VERTICES, smooth=smooth)
    edges = {tuple(sorted(e)) for a, b, c in faces.tolist() for e in ((a, b), (b, c), (c, a))}
    assert matrix.shape == (NUM_FACE_VERTICES + len(edges), NUM_FACE_VERTICES)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-12)
    assert sorted(set(finer.ravel())) == list(range(matrix.shape[0]))


def test_smooth_scheme_reproduces_a_paraboloid_inside():
    places, faces = grid(8)
    height = places[:, 0] ** 2 + 0.5 * places[:, 0] * places[:, 1] - places[:, 1] ** 2
    matrix, _ = subdivide_mesh(faces, len(places), smooth=True)
    x, y = (matrix @ places).T
    expected = x**2 + 0.5 * x * y - y**2
    inside = (np.minimum(x, y) >= 2) & (np.maximum(x, y) <= 5)
    assert inside.sum() > 30
    np.testing.assert_allclose((matrix @ height)[inside], expected[inside], atol=1e-9)


def test_border_follows_a_cubic_through_four_points():
    places, faces = grid(8)
    matrix, _ = subdivide_mesh(faces, len(places), smooth=True)
    x, y = (matrix @ places).T
    height = matrix @ places[:, 0] ** 3
    border = (y == 0) & (x > 1) & (x < 6)
    np.testing.assert_allclose(height[border], x[border] ** 3, atol=1e-9)


def test_area_and_orientation_of_triangles_stay():
    places, faces = grid(4)
    matrix, finer = subdivide_mesh(faces, len(places), smooth=False)

    def doubled_areas(points, triangles):
        a, b, c = (points[triangles[:, k]] for k in range(3))
        return np.cross(b - a, c - a)

    before, after = doubled_areas(places, faces), doubled_areas(matrix @ places, finer)
    np.testing.assert_allclose(after, 0.25)
    assert after.sum() == pytest.approx(before.sum())


def test_a_part_is_curved_in_space_and_flat_in_its_attributes():
    places, faces = grid(6)
    points = np.column_stack([places, places[:, 0] ** 2])
    follow = csr_matrix((len(points), NUM_FACE_VERTICES))
    part = make_part(
        faces, places, rest_offset=points, face_weights=follow, tint=points / 25, gloss=places[:, 0]
    )
    finer = subdivide_part(part)
    inside = (finer.uv.min(1) >= 2) & (finer.uv.max(1) <= 3)
    np.testing.assert_allclose(finer.rest_offset[inside, 2], finer.uv[inside, 0] ** 2, atol=1e-5)
    # The tint's third channel is interpolated linearly, so that it lies above the parabola.
    assert (finer.tint[:, 2] * 25 >= finer.uv[:, 0] ** 2 - 1e-5).all()
    assert (finer.tint[inside, 2] * 25 > finer.uv[inside, 0] ** 2 + 0.2).any()
    np.testing.assert_allclose(finer.gloss, finer.uv[:, 0], atol=1e-5)
    assert finer.face_weights.shape == (len(finer.rest_offset), NUM_FACE_VERTICES)
