"""Pixels from rasterized meshes: texture, light, hair over skin, antialiasing.

Every sample is lit by spherical harmonics (diffuse) and one lamp (highlights), in linear light.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.rasterizer.base import RasterizedMesh
from dubfew.reconstruction.shading_model import SH_NORMALIZATION, linear_to_srgb
from dubfew.synthetic.lighting import SceneLight
from dubfew.synthetic.parts import MeshPart
from dubfew.utils.arrays import FloatArray
from dubfew.utils.jit import njit_cached

# Samples per pixel along each axis. 2 gives four samples, enough for edges without stairs; 3 would
# take more than twice the time. The loop of `_shade_pixels` is written for 2.
SUPERSAMPLING_FACTOR = 2
# Layout of a row of vertex materials, [V, 6]: position in the atlas (px), tint, gloss.
ATLAS_COLUMNS, _TINT_COLUMNS, _GLOSS_COLUMN = slice(0, 2), slice(2, 5), 5
# The shader carries normal and position behind the materials, [V, 12]. First columns of each:
_ATLAS, _TINT, _GLOSS, _NORMAL, _POSITION = 0, 2, 5, 6, 9
# Channels of a texel of the atlas behind linear RGB, [A, B, 5], and of a shaded point: alpha, then
# gloss or, once shaded, depth (m).
_TEXEL_ALPHA, _TEXEL_GLOSS, _POINT_ALPHA, _POINT_DEPTH = 3, 4, 3, 4
# Diffuse light never falls below this, so that no part of a person is quite black: the nine
# harmonics of a scene dip below zero in its deepest shadow.
_MIN_DIFFUSE = np.float32(0.02)
# Strengths of the three highlights of a surface of gloss 1: skin's broad sheen (a cosine lobe to
# the 16th power), the narrow glint of wet surfaces (to the 64th), and light grazing an outline.
_SHEEN_GAIN, _GLINT_GAIN, _RIM_GAIN = np.float32(0.07), np.float32(0.16), np.float32(0.10)
# Depth of the background, m: everything lies before it.
_FAR_DEPTH = np.float32(1e9)
# Linear light that is shown unchanged; brighter light approaches 1 smoothly instead of clipping.
_TONE_KNEE = 0.75
# Resolution of the table that tone-maps light from 0 to 2: steps of a sixteenth of an 8-bit level.
_TONE_TABLE_SIZE = 8192


def pack_vertex_materials(parts: Sequence[MeshPart]) -> FloatArray:
    """Lay out what the shader reads of every vertex: atlas position, tint and gloss. [V, 6]"""
    return np.concatenate([np.concatenate([p.uv, p.tint, p.gloss[:, None]], 1) for p in parts])


def shade_samples(
    solid_raster: RasterizedMesh,  # [2H, 2W]
    hair_raster: RasterizedMesh,  # [2H, 2W]
    vertices: FloatArray,  # [V, 3] camera space
    faces: NDArray[np.int32],  # [F, 3]
    hair_faces: NDArray[np.int32],  # [G, 3]
    vertex_materials: FloatArray,  # [V, 6]
    atlas: FloatArray,  # [A, B, 5]
    light: SceneLight,
    background: FloatArray,  # [H, W, 3]
) -> FloatArray:  # [H, W, 3]
    """Shade every sample and average samples to pixels.

    Args:
        solid_raster: opaque meshes at ``SUPERSAMPLING_FACTOR`` times the picture's resolution.
            [2H, 2W]
        hair_raster: hair at the same resolution; it is blended by its alpha where it is nearer.
            [2H, 2W]
        vertices: all vertices, camera space, m. [V, 3]
        faces: corner indices of the opaque meshes. [F, 3]
        hair_faces: corner indices of the hair. [G, 3]
        vertex_materials: atlas position (px), tint (linear) and gloss of every vertex, as
            `pack_vertex_materials` lays them out. [V, 6]
        atlas: linear RGB, alpha and gloss of every texel. [A, B, 5]
        light: light of the scene.
        background: linear RGB where no mesh is. [H, W, 3]

    Returns:
        Linear RGB, above 1 in highlights. [H, W, 3]
    """
    normals = _compute_vertex_normals(vertices, np.concatenate([faces, hair_faces]))
    attributes = np.concatenate([vertex_materials, normals, vertices], 1)
    out = np.empty_like(background)
    harmonics = light.sh_coefficients * SH_NORMALIZATION[:, None].astype(np.float32)
    _shade_pixels(
        solid_raster.face_id, solid_raster.barycentric, faces,
        hair_raster.face_id, hair_raster.barycentric, hair_faces,
        attributes, atlas, harmonics, light.direction, light.color, background, out,
    )  # fmt: skip
    return out


def tone_map_to_srgb(linear_rgb: FloatArray) -> FloatArray:
    """Convert linear light to sRGB, compressing highlights instead of clipping them.

    Args:
        linear_rgb: linear light; all from 2 upwards is shown alike. [H, W, 3]

    Returns:
        sRGB in [0, 1), exact below ``_TONE_KNEE``. [H, W, 3]
    """
    table = _tone_map_table()
    index = np.clip(linear_rgb, 0, 1.9999) * np.float32(len(table) / 2)
    return table[index.astype(np.int32)]


def _tone_map_table() -> FloatArray:
    """Tabulate the tone curve at the middles of equal steps from 0 to 2. [_TONE_TABLE_SIZE]"""
    value = np.linspace(0, 2, _TONE_TABLE_SIZE, endpoint=False) + 1 / _TONE_TABLE_SIZE
    headroom = 1 - _TONE_KNEE
    shoulder = _TONE_KNEE + headroom * np.tanh((value - _TONE_KNEE) / headroom)
    return linear_to_srgb(np.where(value < _TONE_KNEE, value, shoulder)).astype(np.float32)


def _compute_vertex_normals(points: FloatArray, faces: NDArray[np.int32]) -> FloatArray:
    """Area-weighted unit normals [V, 3], zero where a vertex has no area.

    The compiled twin of ``heads.vertex_normals.compute_vertex_normals``: a frame's 30,000 faces
    take it a tenth of the time. Sums run face by face, so that last bits differ.
    """
    normals = np.zeros_like(points)
    _accumulate_vertex_normals(points, faces, normals)
    return normals


@njit_cached
def _accumulate_vertex_normals(points, faces, normals):
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = points[i, 0], points[i, 1], points[i, 2]
        ux, uy, uz = points[j, 0] - ax, points[j, 1] - ay, points[j, 2] - az
        vx, vy, vz = points[k, 0] - ax, points[k, 1] - ay, points[k, 2] - az
        # The cross product of two edges: its length is twice the face's area.
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for n in (i, j, k):
            normals[n, 0] += nx
            normals[n, 1] += ny
            normals[n, 2] += nz
    for n in range(normals.shape[0]):
        length = np.sqrt(normals[n, 0] ** 2 + normals[n, 1] ** 2 + normals[n, 2] ** 2)
        if length > 0:
            normals[n] /= length


@njit_cached
def _interpolate(attributes, corners, weights, column):
    """One column of the vertices' attributes at a point of a face."""
    return (
        weights[0] * attributes[corners[0], column]
        + weights[1] * attributes[corners[1], column]
        + weights[2] * attributes[corners[2], column]
    )


@njit_cached
def _sample_atlas(atlas, x, y, texel):
    """Look up all channels of the atlas at a place (px), bilinear; write them to ``texel`` [5]."""
    # Texel centers are at +0.5; the last 0.01 px keeps the right and lower neighbor inside.
    u = min(max(x - np.float32(0.5), np.float32(0)), np.float32(atlas.shape[1] - 1.01))
    v = min(max(y - np.float32(0.5), np.float32(0)), np.float32(atlas.shape[0] - 1.01))
    x0, y0 = int(u), int(v)
    fx, fy = u - np.float32(x0), v - np.float32(y0)
    one = np.float32(1)
    w00, w01 = (one - fx) * (one - fy), fx * (one - fy)
    w10, w11 = (one - fx) * fy, fx * fy
    upper, lower = atlas[y0], atlas[y0 + 1]
    for channel in range(5):
        texel[channel] = (
            w00 * upper[x0, channel]
            + w01 * upper[x0 + 1, channel]
            + w10 * lower[x0, channel]
            + w11 * lower[x0 + 1, channel]
        )


@njit_cached
def _highlight(normal_dot_half, normal_dot_eye):
    """Strength of the lamp's reflection: sheen and glint (Blinn 1977), and a brighter outline."""
    power = max(normal_dot_half, np.float32(0))
    # Squared again and again: four times to the 16th power, six times to the 64th.
    power = power * power
    power = power * power
    power = power * power
    sheen = power * power
    glint = sheen * sheen
    glint = glint * glint
    rim = np.float32(1) - normal_dot_eye
    rim = rim * rim * rim
    return _SHEEN_GAIN * sheen + _GLINT_GAIN * glint + _RIM_GAIN * rim


@njit_cached
def _diffuse(harmonics, channel, nx, ny, nz):
    """Diffuse light on a unit normal; ``harmonics`` [9, 3] have the basis' constants in them."""
    s = harmonics[:, channel]
    light = (
        s[0] + s[1] * ny + s[2] * nz + s[3] * nx + s[4] * (nx * ny) + s[5] * (ny * nz)
        + s[6] * (np.float32(3) * nz * nz - np.float32(1)) + s[7] * (nx * nz)
        + s[8] * (nx * nx - ny * ny)
    )  # fmt: skip
    return max(light, _MIN_DIFFUSE)


@njit_cached
def _shade_point(
    face, weights, faces, attributes, atlas, harmonics, lamp_direction, lamp_color, texel, point
):
    """Light a point of a face; write color (linear), alpha and depth to ``point`` [5]."""
    corners = faces[face]
    _sample_atlas(
        atlas,
        _interpolate(attributes, corners, weights, _ATLAS),
        _interpolate(attributes, corners, weights, _ATLAS + 1),
        texel,
    )
    gloss = texel[_TEXEL_GLOSS] * _interpolate(attributes, corners, weights, _GLOSS)

    # Camera space has y down and z into the scene; light has y up and z towards the camera.
    nx = _interpolate(attributes, corners, weights, _NORMAL)
    ny = -_interpolate(attributes, corners, weights, _NORMAL + 1)
    nz = -_interpolate(attributes, corners, weights, _NORMAL + 2)
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-9)
    nx, ny, nz = nx / length, ny / length, nz / length

    # Direction to the eye, which is the origin of camera space.
    px = _interpolate(attributes, corners, weights, _POSITION)
    py = _interpolate(attributes, corners, weights, _POSITION + 1)
    depth = _interpolate(attributes, corners, weights, _POSITION + 2)
    length = np.sqrt(px * px + py * py + depth * depth)
    ex, ey, ez = -px / length, py / length, depth / length

    # A normal that looks away (inside of a sheet, or bent at an outline) is mirrored back.
    facing = nx * ex + ny * ey + nz * ez
    if facing < 0:
        nx, ny, nz = nx - 2 * facing * ex, ny - 2 * facing * ey, nz - 2 * facing * ez
        facing = -facing

    # The half vector between lamp and eye: where it is the normal, the lamp is reflected.
    hx, hy, hz = lamp_direction[0] + ex, lamp_direction[1] + ey, lamp_direction[2] + ez
    length = np.sqrt(hx * hx + hy * hy + hz * hz)
    highlight = gloss * _highlight((nx * hx + ny * hy + nz * hz) / length, facing)

    for channel in range(3):
        albedo = texel[channel] * _interpolate(attributes, corners, weights, _TINT + channel)
        diffuse = _diffuse(harmonics, channel, nx, ny, nz)
        point[channel] = albedo * diffuse + highlight * lamp_color[channel]
    point[_POINT_ALPHA] = texel[_TEXEL_ALPHA]
    point[_POINT_DEPTH] = depth


@njit_cached
def _shade_pixels(
    solid_face_ids, solid_weights, faces, hair_face_ids, hair_weights, hair_faces,
    attributes, atlas, harmonics, lamp_direction, lamp_color, background, out,
):  # fmt: skip
    """Average the four samples of every pixel; write linear RGB to ``out`` [H, W, 3]."""
    height, width = out.shape[:2]
    # Scratch space: a texel of the atlas, a shaded point, and the colors of a sample and a pixel.
    texel, point = np.empty(5, np.float32), np.empty(5, np.float64)
    color, total = np.empty(3, np.float64), np.empty(3, np.float64)
    for row in range(height):
        for column in range(width):
            total[:] = 0
            for sample in range(4):
                y, x = 2 * row + sample // 2, 2 * column + sample % 2
                color[:] = background[row, column]
                depth = _FAR_DEPTH
                face = solid_face_ids[y, x]
                if face >= 0:
                    _shade_point(
                        face, solid_weights[y, x], faces,
                        attributes, atlas, harmonics, lamp_direction, lamp_color, texel, point,
                    )  # fmt: skip
                    color[:] = point[:3]
                    depth = point[_POINT_DEPTH]
                face = hair_face_ids[y, x]
                if face >= 0:
                    _shade_point(
                        face, hair_weights[y, x], hair_faces,
                        attributes, atlas, harmonics, lamp_direction, lamp_color, texel, point,
                    )  # fmt: skip
                    if point[_POINT_DEPTH] < depth:
                        for channel in range(3):
                            color[channel] += point[_POINT_ALPHA] * (
                                point[channel] - color[channel]
                            )
                for channel in range(3):
                    total[channel] += color[channel]
            for channel in range(3):
                out[row, column, channel] = total[channel] * np.float32(0.25)
