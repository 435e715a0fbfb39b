"""One moment of a person before a camera, as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.fitting.landmark_fit import FLIP
from dubfew.reconstruction.heads.head_model import JAW
from dubfew.reconstruction.rasterizer.raster import rasterise
from dubfew.reconstruction.track import Camera
from dubfew.synthetic.eyes import shape_patches
from dubfew.synthetic.lighting import Light
from dubfew.synthetic.noise import cloud_noise
from dubfew.synthetic.parts import Part, linear
from dubfew.synthetic.person import SyntheticPerson
from dubfew.synthetic.shader import SAMPLES, shade, to_display

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Moment:
    """A person at one moment.

    Attributes:
        face: live face, head space, m. [468, 3]
        jaw: jaw rotation, axis-angle, rad. [3]
        rotation: head, axis-angle, rad. [3]
        translation: head origin in camera space, m. [3]
        body_rotation: [3]
        body_translation: [3]
        gaze: right and up, rad. [2]
    """

    face: FloatArray
    jaw: FloatArray
    rotation: FloatArray
    translation: FloatArray
    body_rotation: FloatArray
    body_translation: FloatArray
    gaze: FloatArray


class Studio:
    """A person in their light before their background, seen by one camera."""

    def __init__(
        self, person: SyntheticPerson, camera: Camera, light: Light, background: FloatArray
    ) -> None:
        """``background`` is linear RGB of the picture's size. [H, W, 3]"""
        self._person = person
        self._camera = camera
        self._light = light
        self._background = background
        anatomy = person.anatomy
        self._hair_faces = (anatomy.hair.faces + len(anatomy.solid.rest)).astype(np.int32)
        parts = (anatomy.solid, anatomy.hair)
        self._surface = np.concatenate(
            [np.concatenate([p.uv, p.tint, p.gloss[:, None]], 1) for p in parts]
        )

    def picture(self, moment: Moment) -> FloatArray:
        """Render a moment. sRGB in [0, 1], [H, W, 3]"""
        height, width = self._background.shape[:2]
        points = self._camera_points(moment)
        fine = self._camera.project(points) * np.float32(SAMPLES)
        screen = np.concatenate([fine, points[:, 2:]], 1).astype(np.float32)
        solid_faces = self._person.anatomy.solid.faces
        size = (height * SAMPLES, width * SAMPLES)
        solid = rasterise(screen, solid_faces, *size)
        hair = rasterise(screen, self._hair_faces, *size)
        lit = shade(
            solid, hair, points, solid_faces, self._hair_faces, self._surface,
            self._person.atlas, self._light, self._background,
        )  # fmt: skip
        return to_display(lit)

    def _camera_points(self, moment: Moment) -> FloatArray:
        """All vertices in camera space, m; moves the eyes' texture on the way. [V, 3]"""
        anatomy, head = self._person.anatomy, self._person.head
        hinge = head.joint_regressor[JAW] @ head.shaped(self._person.shape)
        turn = Rotation.from_rotvec(moment.jaw).as_matrix()
        solid = _place(anatomy.solid, moment.face, turn, hinge)
        eyes = 2 * anatomy.eyes
        shaped, uv = shape_patches(solid[:eyes].reshape(2, -1, 3), anatomy.balls, moment.gaze)
        solid[:eyes] = shaped.reshape(-1, 3)
        self._surface[:eyes, :2] = uv.reshape(-1, 2)
        points = np.concatenate([solid, _place(anatomy.hair, moment.face, turn, hinge)])
        body = np.concatenate([anatomy.solid.body, anatomy.hair.body])[:, None]
        with_head = _pose(points, moment.rotation, moment.translation)
        with_body = _pose(points, moment.body_rotation, moment.body_translation)
        return ((1 - body) * with_head + body * with_body).astype(np.float32)


def _place(part: Part, face: FloatArray, turn: NDArray, hinge: NDArray) -> NDArray:
    """A part's vertices in head space. [V, 3]"""
    points = part.follow @ face + part.rest
    on_jaw = part.jaw > 0
    points[on_jaw] = (points[on_jaw] - hinge) @ turn.T + hinge
    return points


def _pose(points: NDArray, rotation: NDArray, translation: NDArray) -> NDArray:
    """Head space to camera space."""
    return points @ Rotation.from_rotvec(rotation).as_matrix().T @ FLIP + translation


def draw_background(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """A room out of focus: a wall in two tones, lamps, furniture. Linear RGB, [H, W, 3]"""
    wall = rng.uniform(0.15, 0.75) * (1 + rng.normal(0, 0.10, 3))
    floor = wall * rng.uniform(0.35, 0.9)
    down = np.linspace(0, 1, height)[:, None, None]
    picture = np.clip(wall, 0.02, 0.95) * (1 - down) + np.clip(floor, 0.02, 0.95) * down
    picture = np.repeat(picture, width, 1)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(int(rng.integers(2, 7))):
        top, left = rng.uniform(-0.1, 1, 2) * (height, width)
        tall, wide = rng.uniform(0.1, 0.7, 2) * (height, width)
        colour = rng.uniform(0.05, 0.85) * (1 + rng.normal(0, 0.22, 3))
        inside = (rows > top) & (rows < top + tall) & (columns > left) & (columns < left + wide)
        picture[inside] = 0.3 * picture[inside] + 0.7 * np.clip(colour, 0.02, 0.95)
    for _ in range(int(rng.integers(0, 4))):
        centre = rng.uniform(0, 1, 2) * (height * 0.6, width)
        distance = np.hypot(rows - centre[0], columns - centre[1]) / (0.05 * height)
        picture += np.clip(1.5 - distance, 0, 1)[..., None] * rng.uniform(0.2, 0.6)
    picture = ndimage.gaussian_filter(picture, (height / 42, width / 42, 0))
    picture *= 1 + 0.03 * cloud_noise(rng, height, width, height / 3)[..., None]
    return linear(*np.clip(np.moveaxis(picture, -1, 0), 0, 1)).transpose(1, 2, 0).astype(np.float32)
