"""The shader against closed forms, on a few triangles that fill a small picture."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.reconstruction.heads.vertex_normals import compute_vertex_normals
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.reconstruction.shading_model import linear_to_srgb, sh_basis
from dubfew.synthetic.lighting import SceneLight, sample_light
from dubfew.synthetic.parts import make_part
from dubfew.synthetic.shader import (
    SUPERSAMPLING_FACTOR,
    _compute_vertex_normals,
    pack_vertex_materials,
    shade_samples,
    tone_map_to_srgb,
)
from tests.synthetic.toys import EVEN_LIGHT, camera_for

SIZE = 16
FAR = 100.0  # m: so far away, all eye rays are parallel to the axis


def square(depth: float, turn: float = 0.0) -> np.ndarray:
    """Corners of a square around the axis, larger than the picture, turned about y. [4, 3]

    Its normal in view axes is (sin(turn), 0, cos(turn)).
    """
    half = 0.25 * depth
    corners = np.array([[-half, -half, 0], [-half, half, 0], [half, half, 0], [half, -half, 0]])
    x, z = corners[:, 0] * np.cos(turn), corners[:, 0] * np.sin(turn)
    return np.stack([x, corners[:, 1], z + depth], 1)


def shade(
    points,
    materials,
    atlas,
    light=EVEN_LIGHT,
    background=0.0,
    hair_points=None,
    hair_materials=None,
):
    """Shade one square, and perhaps a square of hair. Linear RGB [SIZE, SIZE, 3]"""
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    hair_faces = faces + 4 if hair_points is not None else np.zeros((0, 3), np.int32)
    vertices = points if hair_points is None else np.concatenate([points, hair_points])
    all_materials = (
        materials if hair_points is None else np.concatenate([materials, hair_materials])
    )
    vertices = vertices.astype(np.float32)
    camera = camera_for(SIZE)
    fine = camera.project(vertices) * SUPERSAMPLING_FACTOR
    screen = np.concatenate([fine, vertices[:, 2:]], 1).astype(np.float32)
    edge = SIZE * SUPERSAMPLING_FACTOR
    return shade_samples(
        rasterize_mesh(screen, faces, edge, edge),
        rasterize_mesh(screen, hair_faces, edge, edge),
        vertices,
        faces,
        hair_faces,
        all_materials.astype(np.float32),
        atlas.astype(np.float32),
        light,
        np.full((SIZE, SIZE, 3), background, np.float32),
    )


def plain(color=(1.0, 1.0, 1.0), alpha=1.0, gloss=0.0):
    """A texture of one texel's content."""
    return np.tile(np.array([*color, alpha, gloss], np.float32), (8, 8, 1))


def materials(tint=(1.0, 1.0, 1.0), gloss=1.0, places=((4.0, 4.0),) * 4):
    return np.array([[*place, *tint, gloss] for place in places])


def test_diffuse_light_is_that_of_the_shading_model():
    light = sample_light(np.random.default_rng(0))
    matte = SceneLight(light.sh_coefficients, light.direction, 0 * light.color)
    for turn in (-0.9, 0.0, 0.6):
        seen = shade(square(FAR, turn), materials((0.5, 0.4, 0.3)), plain((0.9, 0.8, 0.7)), matte)
        normal = np.array([np.sin(turn), 0, np.cos(turn)])
        diffuse = sh_basis(normal) @ light.sh_coefficients
        expected = diffuse * [0.5 * 0.9, 0.4 * 0.8, 0.3 * 0.7]
        np.testing.assert_allclose(seen[8, 8], expected, rtol=4e-3)


def test_light_never_falls_to_black():
    dark = SceneLight(-EVEN_LIGHT.sh_coefficients, EVEN_LIGHT.direction, EVEN_LIGHT.color)
    seen = shade(square(FAR), materials(), plain(), dark)
    np.testing.assert_allclose(seen, 0.02, rtol=1e-5)


def test_the_back_of_a_sheet_is_lit_as_its_front():
    light = sample_light(np.random.default_rng(1))
    matte = SceneLight(light.sh_coefficients, light.direction, 0 * light.color)
    front = shade(square(FAR), materials(), plain(), matte)
    back = shade(square(FAR)[::-1], materials(), plain(), matte)
    # The pixel is a little off the axis, at which the back's normal is mirrored.
    np.testing.assert_allclose(front[8, 8], back[8, 8], rtol=0.03)
    away = sh_basis(np.array([0.0, 0, -1])) @ light.sh_coefficients
    assert (back[8, 8] > 1.5 * away).all()


def test_the_lamp_is_reflected_where_angles_are_equal():
    # A lamp 0.8 rad to the side is reflected by a surface turned half as far towards it.
    lamp = np.array([np.sin(0.8), 0, np.cos(0.8)], np.float32)
    light = SceneLight(0 * EVEN_LIGHT.sh_coefficients, lamp, np.ones(3, np.float32))
    turns = np.linspace(-0.8, 0.8, 17)
    shine = [
        shade(square(FAR, turn), materials(), plain((0, 0, 0), gloss=1.0), light)[8, 8, 0]
        for turn in turns
    ]
    assert turns[np.argmax(shine)] == pytest.approx(0.4, abs=0.06)
    matte = shade(square(FAR, 0.4), materials(gloss=0.0), plain((0, 0, 0), gloss=1.0), light)
    assert matte.max() == 0


def test_textures_are_bilinear_with_texel_centers_at_a_half():
    atlas = plain((0, 0, 0))
    atlas[..., 0] = np.arange(8) + 0.5  # red is the place itself
    atlas[..., 1] = (np.arange(8) + 0.5)[:, None]
    for place in ((2.5, 3.5), (3.0, 4.25), (5.75, 1.0)):
        seen = shade(square(FAR), materials(places=(place,) * 4), atlas)
        np.testing.assert_allclose(seen[8, 8, :2], place, rtol=1e-3)
    # Beyond the middle of the last texel the border is repeated.
    outside = shade(square(FAR), materials(places=((-3.0, 20.0),) * 4), atlas)
    np.testing.assert_allclose(outside[8, 8, :2], [0.5, 7.5], atol=0.02)


def test_edges_are_averaged_over_four_samples():
    half = np.array([[-1, -1, 0], [-1, 1, 0], [0.0, 1, 0], [0.0, -1, 0]]) * 50 + [0, 0, FAR]
    seen = shade(half, materials(), plain(), background=0.0)[8, :, 0]
    np.testing.assert_allclose(seen[:8], 1, rtol=1e-3)
    np.testing.assert_allclose(seen[8:], 0, atol=1e-6)
    # Moved by half a pixel, one pixel is half covered.
    half[:, 0] += 0.5 * FAR / camera_for(SIZE).focal
    moved = shade(half, materials(), plain())[8, :, 0]
    assert moved[8] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_hair_is_blended_by_its_alpha_where_it_is_nearer(alpha):
    atlas = plain((0.2, 0.2, 0.2), alpha)
    skin, hair = materials((1.0, 1, 1)), materials((4.0, 0, 0))
    near = shade(square(FAR), skin, atlas, hair_points=square(0.9 * FAR), hair_materials=hair)[8, 8]
    far = shade(square(FAR), skin, atlas, hair_points=square(1.1 * FAR), hair_materials=hair)[8, 8]
    expected = (1 - alpha) * np.full(3, 0.2) + alpha * np.array([0.8, 0, 0])
    np.testing.assert_allclose(near, expected, atol=1e-4)
    np.testing.assert_allclose(far, 0.2, rtol=1e-4)


def test_background_shows_where_nothing_is():
    away = square(FAR) + np.array([1000.0, 0, 0])
    np.testing.assert_array_equal(
        shade(away, materials(), plain(), background=0.4), np.float32(0.4)
    )


def test_compiled_normals_are_those_of_the_reference():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 3)).astype(np.float32)
    faces = rng.integers(0, 58, (150, 3)).astype(np.int32)
    compiled = _compute_vertex_normals(points, faces)
    np.testing.assert_allclose(compiled, compute_vertex_normals(points, faces), atol=2e-5)
    assert not compiled[58:].any()  # on no face


def test_tone_curve_is_srgb_below_its_knee_and_never_reaches_white():
    light = np.linspace(0, 0.74, 200, dtype=np.float32)
    np.testing.assert_allclose(tone_map_to_srgb(light), linear_to_srgb(light), atol=2e-3)
    bright = tone_map_to_srgb(np.linspace(0, 5, 3000, dtype=np.float32))
    assert (np.diff(bright) >= 0).all()
    assert 0.97 < bright[-1] < 1
    assert tone_map_to_srgb(np.float32([-1.0, 0.0])).max() < 0.002
    # No kink at the knee: slopes just below and above differ little.
    below, above = (tone_map_to_srgb(np.float32([x, x + 0.02])) for x in (0.72, 0.76))
    assert np.diff(above) == pytest.approx(np.diff(below), rel=0.15)


def test_materials_are_packed_in_the_shaders_order():
    uv = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    part = make_part(np.array([[0, 1, 2]]), uv, tint=(0.1, 0.2, 0.3), gloss=0.7)
    packed = pack_vertex_materials([part, part])
    assert packed.shape == (6, 6)
    np.testing.assert_allclose(packed[4], [3, 4, 0.1, 0.2, 0.3, 0.7], rtol=1e-6)
