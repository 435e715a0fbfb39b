"""Faces aligned as ArcFace was taught: five points on five fixed places of a small picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from dubfew.reconstruction.similarity_transform import fit_similarity_transform

CHIP_SIZE_PX = 112  # side of an aligned picture, px
# MediaPipe's landmarks whose mean stands for each of the five points: the eyes' middles (not the
# irises, which follow the gaze), the nose's tip, the corners of the mouth; image's left first. Of
# the choices these come nearest to the places below on average over frontal faces (0.8 px).
FIVE_POINT_LANDMARK_IDS = ((33, 133), (362, 263), (1, 4), (61,), (291,))
# InsightFace's places of them in a picture of 112 px, whose pixel centers are whole numbers: here
# they are at +0.5. https://github.com/deepinsight/insightface, utils/face_align.py
ARCFACE_TEMPLATE_PX = (
    np.array(
        [
            [38.2946, 51.6963],
            [73.5318, 51.5014],
            [56.0252, 71.7366],
            [41.5493, 92.3655],
            [70.7299, 92.2041],
        ]
    )
    + 0.5
)


def extract_five_points(landmarks: NDArray) -> NDArray[np.float64]:
    """Extract the five alignment points of landmarks [..., 478, 2 or 3], px. [..., 5, 2]"""
    image = np.asarray(landmarks, np.float64)[..., :2]
    return np.stack([image[..., list(ids), :].mean(-2) for ids in FIVE_POINT_LANDMARK_IDS], -2)


def align_face_chip(rgb: NDArray[np.uint8], landmarks: NDArray) -> NDArray[np.uint8]:
    """Cut out the aligned picture of a face.

    The picture is sampled bilinearly and not smoothed before, however large the face is, like the
    pictures that the network learned from. It is black beyond the edges of the frame.

    Args:
        rgb: a frame. [H, W, 3] uint8
        landmarks: of the face in it, px. [478, 2 or 3]

    Returns:
        RGB. [112, 112, 3] uint8
    """
    matrix = fit_similarity_transform(extract_five_points(landmarks), ARCFACE_TEMPLATE_PX)
    # For each pixel of the picture its place in the frame: the inverse of the alignment.
    centers = np.arange(CHIP_SIZE_PX) + 0.5
    x, y = np.meshgrid(centers - matrix[0, 2], centers - matrix[1, 2])
    (a, b), (c, d) = np.linalg.inv(matrix[:, :2])
    # Pixel centers are at +0.5, scipy's at whole numbers.
    place = np.stack([c * x + d * y, a * x + b * y]) - 0.5
    planes = [
        map_coordinates(rgb[..., i], place, np.float32, order=1, mode="grid-constant")
        for i in range(3)
    ]
    return np.stack(planes, -1).round().astype(np.uint8)
