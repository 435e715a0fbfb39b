"""Points of a posed head in camera space and in the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.track import Camera, Track

# Camera space is OpenCV's (x right, y down, z into the scene); head space has y up and z towards
# the camera.
HEAD_TO_CAMERA_AXES = np.diag([1.0, -1.0, -1.0])


def project_head_points(head_points: NDArray, track: Track) -> NDArray[np.float32]:
    """Head-space points [N, V, 3] (m) to the image: x, y in px, depth in m. [N, V, 3]"""
    return project_posed_points(
        head_points, rotvecs_to_matrices(track.rotation), track.translation, track.camera
    )


def project_posed_points(
    head_points: NDArray, rotation: NDArray, translation: NDArray, camera: Camera
) -> NDArray[np.float32]:
    """Like :func:`project_head_points`, for rotation matrices [N, 3, 3] and translations [N, 3]."""
    turned = np.matmul(head_points, np.swapaxes(rotation, 1, 2)) @ HEAD_TO_CAMERA_AXES.astype(
        np.float32
    )
    space = turned + translation[:, None]
    return np.concatenate([camera.project(space), space[..., 2:]], -1).astype(np.float32)


def rotvecs_to_matrices(rotvecs: NDArray) -> NDArray[np.float32]:
    """Axis-angle [N, 3] (rad) to matrices [N, 3, 3]."""
    return Rotation.from_rotvec(rotvecs).as_matrix().astype(np.float32)
