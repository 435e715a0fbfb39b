"""Pixels from rasterised meshes: texture, light, hair over skin, antialiasing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.rasterizer.raster import RasterizedMesh
from dubfew.reconstruction.shading_model import SH_NORMALIZATION, linear_to_srgb
from dubfew.synthetic.lighting import SceneLight
from dubfew.utils.arrays import FloatArray
from dubfew.utils.jit import njit_cached

SUPERSAMPLING_FACTOR = 2  # per pixel and axis


def _vertex_normals(points: FloatArray, faces: NDArray[np.int32]) -> FloatArray:
    """Area-weighted unit normals of vertices [V, 3]; zero where a vertex has no area. [V, 3]"""
    normals = np.zeros_like(points)
    _accumulate_vertex_normals(points, faces, normals)
    return normals


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
    """Light every sample and average samples to pixels.

    Args:
        solid_raster: opaque meshes, at ``SUPERSAMPLING_FACTOR`` times the picture's resolution.
        hair_raster: the hair, the same; it is laid over by its alpha where it is nearer.
        vertices: all vertices, camera space, m. [V, 3]
        faces: of the opaque meshes. [F, 3]
        hair_faces: [G, 3]
        vertex_materials: per vertex: atlas position (2, px), tint (3, linear), gloss (1). [V, 6]
        atlas: linear RGB, alpha, gloss. [A, B, 5]
        light: of the scene.
        background: linear RGB. [H, W, 3]

    Returns:
        Linear RGB. [H, W, 3]
    """
    normals = _vertex_normals(vertices, np.concatenate([faces, hair_faces]))
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
    """Linear light to sRGB with a soft shoulder instead of clipped highlights. Both [H, W, 3]"""
    table = _tone_map_table()
    index = np.clip(linear_rgb, 0, 1.9999) * np.float32(len(table) / 2)
    return table[index.astype(np.int32)]


def _tone_map_table() -> FloatArray:
    value = np.linspace(0, 2, 8192, endpoint=False) + 2 / 16384
    knee = 0.75
    soft = np.where(value < knee, value, knee + (1 - knee) * np.tanh((value - knee) / (1 - knee)))
    return linear_to_srgb(soft).astype(np.float32)


@njit_cached
def _accumulate_vertex_normals(points, faces, normals):
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = points[i, 0], points[i, 1], points[i, 2]
        ux, uy, uz = points[j, 0] - ax, points[j, 1] - ay, points[j, 2] - az
        vx, vy, vz = points[k, 0] - ax, points[k, 1] - ay, points[k, 2] - az
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
def _shade_point(f, a, b, c, faces, attributes, atlas, harmonics, lamp_direction, lamp_color):
    """Colour (linear), alpha and depth of a point of a face."""
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    u = a * attributes[i, 0] + b * attributes[j, 0] + c * attributes[k, 0] - np.float32(0.5)
    v = a * attributes[i, 1] + b * attributes[j, 1] + c * attributes[k, 1] - np.float32(0.5)
    u = min(max(u, np.float32(0)), np.float32(atlas.shape[1] - 1.01))
    v = min(max(v, np.float32(0)), np.float32(atlas.shape[0] - 1.01))
    x0, y0 = int(u), int(v)
    fx, fy = u - np.float32(x0), v - np.float32(y0)
    one = np.float32(1)
    w00, w01 = (one - fx) * (one - fy), fx * (one - fy)
    w10, w11 = (one - fx) * fy, fx * fy
    p, q = atlas[y0], atlas[y0 + 1]
    x1 = x0 + 1
    red = w00 * p[x0, 0] + w01 * p[x1, 0] + w10 * q[x0, 0] + w11 * q[x1, 0]
    green = w00 * p[x0, 1] + w01 * p[x1, 1] + w10 * q[x0, 1] + w11 * q[x1, 1]
    blue = w00 * p[x0, 2] + w01 * p[x1, 2] + w10 * q[x0, 2] + w11 * q[x1, 2]
    alpha = w00 * p[x0, 3] + w01 * p[x1, 3] + w10 * q[x0, 3] + w11 * q[x1, 3]
    gloss = w00 * p[x0, 4] + w01 * p[x1, 4] + w10 * q[x0, 4] + w11 * q[x1, 4]
    red *= a * attributes[i, 2] + b * attributes[j, 2] + c * attributes[k, 2]
    green *= a * attributes[i, 3] + b * attributes[j, 3] + c * attributes[k, 3]
    blue *= a * attributes[i, 4] + b * attributes[j, 4] + c * attributes[k, 4]
    gloss *= a * attributes[i, 5] + b * attributes[j, 5] + c * attributes[k, 5]
    # Camera space has y down and z into the scene; light has y up and z towards the camera.
    nx = a * attributes[i, 6] + b * attributes[j, 6] + c * attributes[k, 6]
    ny = -(a * attributes[i, 7] + b * attributes[j, 7] + c * attributes[k, 7])
    nz = -(a * attributes[i, 8] + b * attributes[j, 8] + c * attributes[k, 8])
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-9)
    nx, ny, nz = nx / length, ny / length, nz / length
    px = a * attributes[i, 9] + b * attributes[j, 9] + c * attributes[k, 9]
    py = a * attributes[i, 10] + b * attributes[j, 10] + c * attributes[k, 10]
    depth = a * attributes[i, 11] + b * attributes[j, 11] + c * attributes[k, 11]
    length = np.sqrt(px * px + py * py + depth * depth)
    ex, ey, ez = -px / length, py / length, depth / length
    # A normal that looks away (inside of a sheet, or bent at an outline) is mirrored back.
    facing = nx * ex + ny * ey + nz * ez
    if facing < 0:
        nx, ny, nz = nx - 2 * facing * ex, ny - 2 * facing * ey, nz - 2 * facing * ez
        facing = -facing
    hx, hy, hz = lamp_direction[0] + ex, lamp_direction[1] + ey, lamp_direction[2] + ez
    length = np.sqrt(hx * hx + hy * hy + hz * hz)
    shine = max((nx * hx + ny * hy + nz * hz) / length, np.float32(0))
    shine = shine * shine
    shine = shine * shine
    shine = shine * shine
    broad = shine * shine  # to the 16th: skin's sheen
    tight = broad * broad
    tight = tight * tight  # to the 64th: wet
    edge = one - facing
    edge = edge * edge * edge
    sheen = gloss * (np.float32(0.07) * broad + np.float32(0.16) * tight + np.float32(0.10) * edge)
    xy, yz, zz = nx * ny, ny * nz, np.float32(3) * nz * nz - one
    xz, xx = nx * nz, nx * nx - ny * ny
    dark = np.float32(0.02)
    s = harmonics
    red *= max(
        s[0, 0] + s[1, 0] * ny + s[2, 0] * nz + s[3, 0] * nx + s[4, 0] * xy + s[5, 0] * yz
        + s[6, 0] * zz + s[7, 0] * xz + s[8, 0] * xx,
        dark,
    )  # fmt: skip
    green *= max(
        s[0, 1] + s[1, 1] * ny + s[2, 1] * nz + s[3, 1] * nx + s[4, 1] * xy + s[5, 1] * yz
        + s[6, 1] * zz + s[7, 1] * xz + s[8, 1] * xx,
        dark,
    )  # fmt: skip
    blue *= max(
        s[0, 2] + s[1, 2] * ny + s[2, 2] * nz + s[3, 2] * nx + s[4, 2] * xy + s[5, 2] * yz
        + s[6, 2] * zz + s[7, 2] * xz + s[8, 2] * xx,
        dark,
    )  # fmt: skip
    return (
        red + sheen * lamp_color[0],
        green + sheen * lamp_color[1],
        blue + sheen * lamp_color[2],
        alpha,
        depth,
    )


@njit_cached
def _shade_pixels(
    solid_face_ids, solid_weights, faces, hair_face_ids, hair_weights, hair_faces,
    attributes, atlas, harmonics, lamp_direction, lamp_color, background, out,
):  # fmt: skip
    height, width = out.shape[:2]
    share = np.float32(0.25)
    for row in range(height):
        for column in range(width):
            red = green = blue = np.float32(0)
            for sample in range(4):
                y, x = 2 * row + sample // 2, 2 * column + sample % 2
                r = background[row, column, 0]
                g = background[row, column, 1]
                b = background[row, column, 2]
                depth = np.float32(1e9)
                f = solid_face_ids[y, x]
                if f >= 0:
                    w = solid_weights[y, x]
                    r, g, b, _, depth = _shade_point(
                        f,
                        w[0],
                        w[1],
                        w[2],
                        faces,
                        attributes,
                        atlas,
                        harmonics,
                        lamp_direction,
                        lamp_color,
                    )
                f = hair_face_ids[y, x]
                if f >= 0:
                    w = hair_weights[y, x]
                    hr, hg, hb, alpha, near = _shade_point(
                        f,
                        w[0],
                        w[1],
                        w[2],
                        hair_faces,
                        attributes,
                        atlas,
                        harmonics,
                        lamp_direction,
                        lamp_color,
                    )
                    if near < depth:
                        r += alpha * (hr - r)
                        g += alpha * (hg - g)
                        b += alpha * (hb - b)
                red += r
                green += g
                blue += b
            out[row, column, 0] = red * share
            out[row, column, 1] = green * share
            out[row, column, 2] = blue * share
