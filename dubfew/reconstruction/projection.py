"""Projection: points of a posed head in camera space and in the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.track import Camera, Track

# Flip from head space (y up, z towards the camera) to camera space, which is OpenCV's (x right,
# y down, z into the scene).
HEAD_TO_CAMERA_AXES = np.diag([1.0, -1.0, -1.0])


def project_head_points(head_points: NDArray, track: Track) -> NDArray[np.float32]:
    """Project head-space points by the pose and camera of a track.

    Args:
        head_points: points of each frame, m. [N, V, 3]
        track: track of N frames.

    Returns:
        Image x and y in px, depth in m. [N, V, 3]
    """
    return project_posed_points(
        head_points, rotvecs_to_matrices(track.rotation), track.translation, track.camera
    )


def project_posed_points(
    head_points: NDArray, rotation: NDArray, translation: NDArray, camera: Camera
) -> NDArray[np.float32]:
    """Project head-space points by poses and a camera.

    Args:
        head_points: points of each frame, m. [N, V, 3]
        rotation: head rotations as matrices. [N, 3, 3]
        translation: origin of the head in camera space, m. [N, 3]
        camera: intrinsics.

    Returns:
        Image x and y in px, depth in m. [N, V, 3]
    """
    axes = HEAD_TO_CAMERA_AXES.astype(np.float32)
    # Row vectors: multiply by the transposed rotation from the right.
    rotated = np.matmul(head_points, np.swapaxes(rotation, 1, 2)) @ axes
    camera_points = rotated + translation[:, None]
    return np.concatenate([camera.project(camera_points), camera_points[..., 2:]], -1).astype(
        np.float32
    )


def rotvecs_to_matrices(rotvecs: NDArray) -> NDArray[np.float32]:
    """Convert axis-angle rotations [N, 3] (rad) to matrices [N, 3, 3]."""
    return Rotation.from_rotvec(rotvecs).as_matrix().astype(np.float32)
