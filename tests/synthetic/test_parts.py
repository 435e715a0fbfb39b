"""Pieces of a body: their places in the atlas, grids of triangles, and joining."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from dubfew.reconstruction.heads.vertex_normals import compute_vertex_normals
from dubfew.reconstruction.shading_model import linear_to_srgb
from dubfew.synthetic.parts import (
    ATLAS_HEIGHT,
    ATLAS_WIDTH,
    CLOTH_TILE,
    EYE_TILE,
    FACE_TILE,
    HAIR_TILE,
    MOUTH_TILE,
    NUM_FACE_VERTICES,
    SKIN_TILE,
    atlas_pixels_from_uv,
    grid_faces,
    grid_uv,
    join_parts,
    linear_color,
    make_part,
)

TILES = (FACE_TILE, HAIR_TILE, EYE_TILE, CLOTH_TILE, SKIN_TILE, MOUTH_TILE)


def test_tiles_lie_in_the_atlas_and_do_not_overlap():
    taken = np.zeros((ATLAS_HEIGHT, ATLAS_WIDTH), int)
    for left, top, width, height in TILES:
        assert left + width <= ATLAS_WIDTH
        assert top + height <= ATLAS_HEIGHT
        taken[top : top + height, left : left + width] += 1
    assert taken.max() == 1


@pytest.mark.parametrize("tile", TILES)
def test_coordinates_stay_half_a_texel_off_the_border(tile):
    left, top, width, height = tile
    uv = np.array(list(itertools.product((-0.2, 0.0, 0.5, 1.0, 1.3), repeat=2)))
    places = atlas_pixels_from_uv(tile, uv)
    assert (places >= [left + 0.5, top + 0.5]).all()
    assert (places <= [left + width - 0.5, top + height - 0.5]).all()
    middle = atlas_pixels_from_uv(tile, np.array([[0.5, 0.5]]))[0]
    np.testing.assert_allclose(middle, [left + width / 2, top + height / 2])


@pytest.mark.parametrize(("flip", "sign"), [(False, 1), (True, -1)])
def test_grids_face_the_viewer_unless_flipped(flip, sign):
    x, y = np.meshgrid(np.arange(4.0), -np.arange(3.0))  # columns to the right, rows downwards
    points = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)
    faces = grid_faces(3, 4, flip=flip)
    assert faces.shape == (2 * 2 * 3, 3)
    normals = compute_vertex_normals(points, faces)
    np.testing.assert_allclose(normals, np.tile([0, 0, sign], (12, 1)))


def test_closed_grids_join_the_last_column_to_the_first():
    faces = grid_faces(2, 5, closed=True)
    assert faces.shape == (2 * 5, 3)
    edges = {tuple(sorted(e)) for a, b, c in faces.tolist() for e in ((a, b), (b, c), (c, a))}
    assert (0, 4) in edges
    assert (0, 4) not in {
        tuple(sorted(e)) for a, b, c in grid_faces(2, 5).tolist() for e in ((a, b), (b, c), (c, a))
    }


def test_grid_coordinates_run_from_0_to_1():
    uv = grid_uv(3, 5).reshape(3, 5, 2)
    np.testing.assert_allclose(uv[:, :, 0], np.tile(np.linspace(0, 1, 5), (3, 1)))
    np.testing.assert_allclose(uv[:, :, 1], np.tile(np.linspace(0, 1, 3)[:, None], (1, 5)))


def test_parts_spread_constants_over_their_vertices():
    part = make_part(np.array([[0, 1, 2]]), np.zeros((3, 2)), jaw_weight=1.0, body_weight=0.25)
    assert part.face_weights.shape == (3, NUM_FACE_VERTICES)
    assert part.face_weights.nnz == 0
    np.testing.assert_array_equal(part.jaw_weight, np.ones(3))
    np.testing.assert_array_equal(part.body_weight, np.full(3, 0.25))
    np.testing.assert_array_equal(part.tint, np.ones((3, 3)))
    for name in ("rest_offset", "jaw_weight", "body_weight", "uv", "tint", "gloss"):
        assert getattr(part, name).dtype == np.float32
    assert part.faces.dtype == np.int32


def test_joining_keeps_vertices_and_moves_their_numbers():
    follow = csr_matrix(np.eye(NUM_FACE_VERTICES)[[5, 6, 7]])
    first = make_part(
        np.array([[0, 1, 2]]), np.zeros((3, 2)), face_weights=follow, rest_offset=np.ones((3, 3))
    )
    second = make_part(np.array([[2, 1, 0], [0, 1, 3]]), np.ones((4, 2)), jaw_weight=1.0, gloss=3.0)
    joined = join_parts([first, second])
    np.testing.assert_array_equal(joined.faces, [[0, 1, 2], [5, 4, 3], [3, 4, 6]])
    np.testing.assert_array_equal(joined.jaw_weight, [0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(joined.gloss, [1, 1, 1, 3, 3, 3, 3])
    np.testing.assert_array_equal(joined.face_weights.toarray()[:3], follow.toarray())
    assert joined.face_weights.shape == (7, NUM_FACE_VERTICES)
    np.testing.assert_array_equal(joined.rest_offset[:, 0], [1, 1, 1, 0, 0, 0, 0])


def test_colors_are_given_as_srgb_and_kept_linear():
    np.testing.assert_allclose(linear_to_srgb(linear_color(0.0, 0.5, 1.0)), [0, 0.5, 1], atol=1e-6)
