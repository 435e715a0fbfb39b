"""What surrounds the face: closed without seams, symmetric, and around the face."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.vertex_normals import compute_vertex_normals
from dubfew.synthetic.body import build_ears, build_neck, build_torso
from dubfew.synthetic.canvas import face_uv_px
from dubfew.synthetic.hair import (
    HAIR_MAX_POLAR_RADIANS,
    build_hair_cap,
    build_hair_curtain,
    hairline_polar_angle,
)
from dubfew.synthetic.parts import FACE_TILE, HAIR_TILE, NUM_FACE_VERTICES
from dubfew.synthetic.skull import (
    FACE_OVAL,
    SUPERELLIPSOID_EXPONENT,
    build_head_skin,
    fit_skull,
    jaw_shadow_factor,
)


@pytest.fixture(scope="module")
def face():
    """The mean face, which is symmetric. [468, 3]"""
    return load_head_model().template[:NUM_FACE_VERTICES].astype(np.float64)


@pytest.fixture(scope="module")
def skull(face):
    return fit_skull(face)


@pytest.fixture(scope="module")
def skin(face, skull):
    head = load_head_model()
    faces = head.faces[(head.faces < NUM_FACE_VERTICES).all(1)]
    return build_head_skin(face, faces, face_uv_px(head, FACE_TILE[2]), skull)


def place(part, face):
    """A part's vertices around a face. [V, 3]"""
    return part.face_weights @ face + part.rest_offset


def mirrored_distance(points):
    """Largest distance from a point's mirror image to the nearest point."""
    mirror = points * [-1, 1, 1]
    return np.linalg.norm(mirror[:, None] - points[None], axis=-1).min(1).max()


def radii(skull, points):
    """The superellipsoid's equation: 1 on the surface, less inside."""
    scaled = np.abs((points - skull.center) / skull.semi_axes)
    return (scaled**SUPERELLIPSOID_EXPONENT).sum(-1) ** (1 / SUPERELLIPSOID_EXPONENT)


def test_rays_end_on_the_superellipsoid(skull):
    directions = np.random.default_rng(0).normal(size=(100, 3))
    np.testing.assert_allclose(radii(skull, skull.surface_points(directions)), 1, atol=1e-9)
    # Rays of any length end at the same place; an offset goes outwards along them.
    np.testing.assert_allclose(
        skull.surface_points(directions), skull.surface_points(3 * directions), atol=1e-12
    )
    grown = np.linalg.norm(skull.surface_points(directions, 0.01) - skull.center, axis=1)
    bare = np.linalg.norm(skull.surface_points(directions) - skull.center, axis=1)
    np.testing.assert_allclose(grown - bare, 0.01, atol=1e-12)


def test_skull_is_as_large_as_a_head(face, skull):
    width, height, depth = 2 * skull.semi_axes
    assert 0.13 < width < 0.18
    assert 0.15 < height < 0.22
    assert 0.16 < depth < 0.25
    # The top is above the forehead, the back behind the ears.
    assert skull.center[1] + skull.semi_axes[1] > face[10, 1] + 0.03
    assert skull.center[2] - skull.semi_axes[2] < face[[234, 454], 2].min() - 0.08


def test_skin_begins_with_the_live_face(face, skin):
    moved = face + np.random.default_rng(1).normal(0, 0.002, face.shape)
    np.testing.assert_allclose(place(skin, moved)[:NUM_FACE_VERTICES], moved, atol=1e-7)


def test_skin_follows_the_face_at_its_edge_and_stays_behind(face, skin):
    moved = place(skin, face - np.array([0, 0.01, 0])) - place(skin, face)
    rings = moved[NUM_FACE_VERTICES:].reshape(-1, len(FACE_OVAL), 3)[..., 1]
    assert (np.diff(np.abs(rings).mean(1)) <= 0).all()
    assert np.abs(rings[0]).min() > 0.007
    np.testing.assert_allclose(rings[-1], 0, atol=1e-9)


def test_skin_has_no_seam_and_no_fold(face, skin):
    points = place(skin, face)
    edges = Counter(edge for a, b, c in skin.faces.tolist() for edge in ((a, b), (b, c), (c, a)))
    # One surface of one orientation runs through every edge once in each direction at most. The
    # head model itself has one triangle turned over at each corner of the mouth.
    twice = {vertex for edge, times in edges.items() if times > 1 for vertex in edge}
    assert twice <= {62, 78, 96, 292, 308, 325}
    assert max(Counter(frozenset(edge) for edge in edges.elements()).values()) == 2
    # Between the face's edge and the first ring nothing is left open.
    oval = list(FACE_OVAL)
    assert all((i, j) in edges and (j, i) in edges for i, j in pairwise(oval))
    normals = compute_vertex_normals(points, skin.faces)
    outwards = ((points - [0, points[:, 1].mean(), -0.05]) * normals).sum(1)
    assert (outwards > 0).mean() > 0.85
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "build", [build_ears, lambda face: build_neck(), lambda face: build_torso()]
)
def test_ears_neck_and_shoulders_are_symmetric(face, build):
    part = build(face)
    assert mirrored_distance(place(part, face)) < 0.002
    assert np.isfinite(part.rest_offset).all()


def test_ears_stand_off_the_head_at_its_sides(face):
    points = place(build_ears(face), face)
    right, left = points[points[:, 0] > 0], points[points[:, 0] < 0]
    assert len(right) == len(left)
    assert right[:, 0].max() > face[:, 0].max()
    assert 0.05 < np.ptp(right[:, 1]) < 0.08  # an ear is about 6 cm high


def test_neck_reaches_from_the_head_into_the_shirt(face):
    neck, torso = build_neck(), build_torso()
    assert neck.rest_offset[:, 1].max() > face[152, 1]
    assert neck.rest_offset[:, 1].min() < torso.rest_offset[:, 1].max() - 0.01
    # It turns from head to body on the way.
    top, bottom = neck.rest_offset[:, 1].argmax(), neck.rest_offset[:, 1].argmin()
    assert neck.body_weight[top] < 0.1
    assert neck.body_weight[bottom] > 0.9
    np.testing.assert_array_equal(torso.body_weight, 1)
    assert 0.38 < np.ptp(torso.rest_offset[:, 0]) < 0.52  # shoulder width


def test_shadow_of_the_jaw_fades_smoothly_upwards():
    heights = np.linspace(-0.3, 0, 100)
    shadow = jaw_shadow_factor(heights)
    assert shadow.min() == pytest.approx(0.5)
    assert shadow.max() == pytest.approx(0.98)
    assert np.abs(np.diff(shadow)).max() < 0.06


def test_hairline_is_symmetric_continuous_and_moves_with_its_shift():
    azimuth = np.linspace(-np.pi, np.pi, 721)
    line = hairline_polar_angle(azimuth, 0.0)
    np.testing.assert_allclose(line, line[::-1], atol=1e-12)
    assert np.abs(np.diff(line)).max() < 0.04
    higher = hairline_polar_angle(azimuth, 0.1)
    assert line[360] - higher[360] == pytest.approx(0.1)  # in front
    assert higher[0] == pytest.approx(line[0], abs=1e-6)  # not behind
    assert line.max() < HAIR_MAX_POLAR_RADIANS


@pytest.mark.parametrize("thickness", [0.003, 0.02])
def test_hair_lies_on_the_skull_no_thicker_than_it_is(face, skull, thickness):
    cap = build_hair_cap(skull, thickness, 0.0, np.random.default_rng(0))
    points = place(cap, face)
    out = np.linalg.norm(points - skull.center, axis=1) - np.linalg.norm(
        skull.surface_points(points - skull.center) - skull.center, axis=1
    )
    assert out.min() > 0.0014
    assert out.max() < 0.0016 + 1.4 * thickness
    left, top, _, height = HAIR_TILE
    assert (cap.uv[:, 0] >= left).all()
    assert (cap.uv[:, 1] <= top + height / 2).all()  # the texture's upper half


@pytest.mark.slow
def test_long_hair_hangs_as_far_as_its_length_and_leaves_the_face_open(face, skull):
    curtain = build_hair_curtain(skull, 0.2)
    points = place(curtain, face)
    assert np.ptp(points[:, 1]) == pytest.approx(0.225, abs=0.001)
    assert points[:, 2].max() < face[[234, 454], 2].max() + 0.05
    assert mirrored_distance(points) < 1e-6
    # Its lower end lies on the shoulders and goes with them in part.
    assert curtain.body_weight[points[:, 1].argmin()] == pytest.approx(0.3)
    assert curtain.body_weight[points[:, 1].argmax()] == 0
