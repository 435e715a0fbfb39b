"""Synthetic people in plain colors, which are made in a moment and easy to find in a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.projection import rotvecs_to_matrices
from dubfew.reconstruction.track import Camera
from dubfew.synthetic import SyntheticPerson
from dubfew.synthetic.canvas import face_uv_px
from dubfew.synthetic.lighting import SceneLight
from dubfew.synthetic.motion import PersonMotion
from dubfew.synthetic.parts import (
    ATLAS_HEIGHT,
    ATLAS_WIDTH,
    FACE_TILE,
    HAIR_TILE,
    NUM_FACE_VERTICES,
)

# The albedo that even light of 1 shows as it is; dark enough for the tone curve's straight part.
BRIGHT, DARK = 0.6, 0.05
# A face without highlights in light that is the same from all sides.
EVEN_LIGHT = SceneLight(
    np.outer(np.eye(9)[0] / 0.282095, np.ones(3)).astype(np.float32),
    np.array([0, 0, 1], np.float32),
    np.zeros(3, np.float32),
)


def flat_atlas(**color_by_tile: tuple[tuple[int, int, int, int], tuple[float, ...]]) -> NDArray:
    """An atlas without gloss or hair: dark but for the tiles given as ``name=(tile, RGB)``."""
    atlas = np.zeros((ATLAS_HEIGHT, ATLAS_WIDTH, 5), np.float32)
    atlas[..., :3], atlas[..., 3] = DARK, 1
    left, top, width, height = HAIR_TILE
    atlas[top : top + height, left : left + width, 3] = 0
    for (left, top, width, height), color in color_by_tile.values():
        atlas[top : top + height, left : left + width, :3] = color
    return atlas


def with_atlas(seed: int, atlas: NDArray) -> SyntheticPerson:
    """A person whose texture is ``atlas``; painting the real one takes seconds."""
    person = SyntheticPerson(seed)
    person.__dict__["texture_atlas"] = atlas
    return person


def mark_vertex(atlas: NDArray, person: SyntheticPerson, vertex: int, radius_px: float) -> None:
    """Paint a bright disk around a vertex of the face, in place."""
    x, y = face_uv_px(person.head, FACE_TILE[2])[vertex]
    rows, columns = np.mgrid[:ATLAS_HEIGHT, :ATLAS_WIDTH] + 0.5
    atlas[np.hypot(columns - x, rows - y) < radius_px, :3] = BRIGHT


def still_motion(
    person: SyntheticPerson,
    *,
    jaw: float = 0.0,
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0),
    body_rotation: tuple[float, float, float] = (0.0, 0.0, 0.0),
    gaze: tuple[float, float] = (0.0, 0.0),
) -> PersonMotion:
    """One frame of a relaxed face in the middle of the picture, its jaw open by ``jaw`` rad."""
    head = person.head
    expression = np.zeros((1, len(head.expression_basis)), np.float32)
    jaws = np.array([[jaw, 0, 0]], np.float32)
    place = np.array([[0, -0.034, 0.83]], np.float32)
    return PersonMotion(
        times=np.zeros(1),
        expression=expression,
        jaw=jaws,
        face_vertices=head.vertices(person.shape, expression, jaws)[:, :NUM_FACE_VERTICES],
        rotation=np.array([rotation], np.float32),
        translation=place,
        body_rotation=np.array([body_rotation], np.float32),
        body_translation=place,
        gaze=np.array([gaze], np.float32),
    )


def camera_for(size: int) -> Camera:
    return Camera(2.6 * size, size / 2, size / 2)


def project(motion: PersonMotion, camera: Camera) -> NDArray:
    """The face's vertices in the picture, written out from ``docs/conventions.md``. [N, 468, 2]"""
    turned = motion.face_vertices @ rotvecs_to_matrices(motion.rotation).transpose(0, 2, 1)
    x, y, z = np.moveaxis(turned * [1, -1, -1] + motion.translation[:, None], -1, 0)
    return np.stack([camera.focal * x / z + camera.cx, camera.focal * y / z + camera.cy], -1)


def center_of_light(picture: NDArray, around: NDArray, radius: int) -> NDArray:
    """Center of what is bright within ``radius`` px of a place, (x, y) px."""
    left, top = np.round(around).astype(int) - radius
    window = picture[top : top + 2 * radius + 1, left : left + 2 * radius + 1].astype(np.float64)
    weight = np.clip(window.mean(-1) - np.median(window), 0, None)
    rows, columns = np.mgrid[top : top + len(window), left : left + len(window)] + 0.5
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
