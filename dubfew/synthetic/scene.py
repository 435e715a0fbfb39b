"""Pictures of a person before a camera, one frame at a time, and a background behind them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.heads.head_model import JAW_JOINT
from dubfew.reconstruction.projection import HEAD_TO_CAMERA_AXES
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.reconstruction.track import Camera
from dubfew.synthetic.eyes import project_eye_patches
from dubfew.synthetic.lighting import SceneLight
from dubfew.synthetic.motion import PersonMotion
from dubfew.synthetic.noise import fractal_noise
from dubfew.synthetic.parts import MeshPart, linear_color
from dubfew.synthetic.person import SyntheticPerson
from dubfew.synthetic.shader import (
    ATLAS_COLUMNS,
    SUPERSAMPLING_FACTOR,
    pack_vertex_materials,
    shade_samples,
    tone_map_to_srgb,
)
from dubfew.utils.arrays import FloatArray


class PersonRenderer:
    """Renders one person in one light before one background, seen by one camera.

    Args:
        person: person to render.
        camera: camera of all frames.
        light: light of all frames.
        background: linear RGB; its size is that of the pictures. [H, W, 3]
    """

    def __init__(
        self, person: SyntheticPerson, camera: Camera, light: SceneLight, background: FloatArray
    ) -> None:
        self._person = person
        self._camera = camera
        self._light = light
        self._background = background
        anatomy = person.body_meshes
        self._hair_faces = (anatomy.hair.faces + len(anatomy.solid.rest_offset)).astype(np.int32)
        parts = (anatomy.solid, anatomy.hair)
        self._vertex_materials = pack_vertex_materials(parts)

    def render_frame(self, moment: PersonMotion) -> FloatArray:
        """Render one frame.

        Args:
            moment: state of the person, as ``PersonMotion.select`` gives it.

        Returns:
            sRGB in [0, 1). [H, W, 3]
        """
        height, width = self._background.shape[:2]
        points, eye_positions_uv = self._place_vertices(moment)
        materials = self._vertex_materials.copy()
        materials[: len(eye_positions_uv), ATLAS_COLUMNS] = eye_positions_uv
        # Everything is drawn at twice the size; `shade_samples` averages four samples to a pixel.
        fine = self._camera.project(points) * np.float32(SUPERSAMPLING_FACTOR)
        screen = np.concatenate([fine, points[:, 2:]], 1).astype(np.float32)
        solid_faces = self._person.body_meshes.solid.faces
        size = (height * SUPERSAMPLING_FACTOR, width * SUPERSAMPLING_FACTOR)
        # Hair is see-through, so it has a buffer of its own beside that of the opaque meshes.
        solid = rasterize_mesh(screen, solid_faces, *size)
        hair = rasterize_mesh(screen, self._hair_faces, *size)
        lit = shade_samples(
            solid, hair, points, solid_faces, self._hair_faces, materials,
            self._person.texture_atlas, self._light, self._background,
        )  # fmt: skip
        return tone_map_to_srgb(lit)

    def _place_vertices(self, moment: PersonMotion) -> tuple[FloatArray, FloatArray]:
        """Put all vertices in camera space, m [V, 3], and the eyes' in the atlas, px [2K, 2]."""
        meshes, head = self._person.body_meshes, self._person.head
        hinge = head.joint_regressor[JAW_JOINT] @ head.rest_vertices(self._person.shape)
        turn = Rotation.from_rotvec(moment.jaw).as_matrix()
        solid = _pose_part(meshes.solid, moment.face_vertices, turn, hinge)
        # The eyes' patches come first: they lie on the eyeballs and slide over their texture.
        num_eye_vertices = 2 * meshes.num_patch_vertices
        patches, uv = project_eye_patches(
            solid[:num_eye_vertices].reshape(2, -1, 3), meshes.eyeballs, moment.gaze
        )
        solid[:num_eye_vertices] = patches.reshape(-1, 3)
        hair = _pose_part(meshes.hair, moment.face_vertices, turn, hinge)
        points = np.concatenate([solid, hair])
        # Shoulders move less than the head; neck and long hair go with both in part.
        body = np.concatenate([meshes.solid.body_weight, meshes.hair.body_weight])[:, None]
        with_head = _to_camera_space(points, moment.rotation, moment.translation)
        with_body = _to_camera_space(points, moment.body_rotation, moment.body_translation)
        blended = ((1 - body) * with_head + body * with_body).astype(np.float32)
        return blended, uv.reshape(-1, 2)


def _pose_part(
    part: MeshPart, face: FloatArray, jaw_rotation: NDArray, jaw_joint: NDArray
) -> NDArray:
    """Put a part's vertices in head space, jaw included. [V, 3]"""
    points = part.face_weights @ face + part.rest_offset
    on_jaw = part.jaw_weight > 0
    points[on_jaw] = (points[on_jaw] - jaw_joint) @ jaw_rotation.T + jaw_joint
    return points


def _to_camera_space(points: NDArray, rotation: NDArray, translation: NDArray) -> NDArray:
    """Move points [V, 3] from head space to camera space by an axis-angle vector and a shift."""
    return points @ Rotation.from_rotvec(rotation).as_matrix().T @ HEAD_TO_CAMERA_AXES + translation


def sample_background(rng: np.random.Generator, height: int, width: int) -> FloatArray:
    """Paint a room out of focus: a wall in two tones, furniture and lamps.

    Args:
        rng: source of colors and places.
        height: height of the picture, px.
        width: width of the picture, px.

    Returns:
        Linear RGB. [H, W, 3]
    """
    # Colors are drawn in sRGB, in which they look evenly spread, and converted at the end.
    wall = rng.uniform(0.15, 0.75) * (1 + rng.normal(0, 0.10, 3))
    floor = wall * rng.uniform(0.35, 0.9)
    down = np.linspace(0, 1, height)[:, None, None]
    picture = np.clip(wall, 0.02, 0.95) * (1 - down) + np.clip(floor, 0.02, 0.95) * down
    picture = np.repeat(picture, width, 1)
    rows, columns = np.mgrid[:height, :width]
    # Furniture: rectangles that let a third of the wall through, some cut by the picture's edge.
    for _ in range(int(rng.integers(2, 7))):
        top, left = rng.uniform(-0.1, 1, 2) * (height, width)
        tall, wide = rng.uniform(0.1, 0.7, 2) * (height, width)
        color = rng.uniform(0.05, 0.85) * (1 + rng.normal(0, 0.22, 3))
        inside = (rows > top) & (rows < top + tall) & (columns > left) & (columns < left + wide)
        picture[inside] = 0.3 * picture[inside] + 0.7 * np.clip(color, 0.02, 0.95)
    # Lamps: bright disks in the upper part.
    for _ in range(int(rng.integers(0, 4))):
        center = rng.uniform(0, 1, 2) * (height * 0.6, width)
        distance = np.hypot(rows - center[0], columns - center[1]) / (0.05 * height)
        picture += np.clip(1.5 - distance, 0, 1)[..., None] * rng.uniform(0.2, 0.6)
    # Out of focus by a fortieth of the picture; then plaster.
    picture = ndimage.gaussian_filter(picture, (height / 42, width / 42, 0))
    picture *= 1 + 0.03 * fractal_noise(rng, height, width, height / 3)[..., None]
    return (
        linear_color(*np.clip(np.moveaxis(picture, -1, 0), 0, 1))
        .transpose(1, 2, 0)
        .astype(np.float32)
    )
