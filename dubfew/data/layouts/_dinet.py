"""The crop of DINet: nose to chin, its size set by the mouth and the chin.

Source: Zhang et al. 2023, "DINet: Deformation Inpainting Network for Realistic Face Visually
Dubbing on High Resolution Video" (arXiv 2303.03988), "Implementation Details", and the published
crop: half-size r from nose to chin or from corner to corner of the mouth, a box from r above the
bridge of the nose to 2.25 r below it, and 1.25 r to both sides of the nose's base.
"""

from __future__ import annotations

import numpy as np

from dubfew.data.layouts._base import Placement, rectangle_hulls
from dubfew.reconstruction.crop import FaceRegions, project_rest_meshes
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track

# MediaPipe's points for the ones of 68 that the authors use: 29 lies between two of MediaPipe's.
NOSE_BRIDGE, NOSE_BASE, MOUTH_CORNERS, CHIN = (195, 5), 2, (61, 291), 152
# Factor on the half-size, as the authors render.
RADIUS_SCALE = 1.05
# Box around the bridge of the nose in half-sizes: up, down, and to each side of the nose's base.
UP, DOWN, SIDE = 1.0, 2.25, 1.25
# Mask in half-sizes from the box's left and top edge: the rectangle of 13/8 by 5/4 mouth sizes m
# (m = 2 r) is blanked from m/2 to 3m/2 down and from m/8 to 9m/8 across.
MASK_TOP, MASK_BOTTOM, MASK_LEFT, MASK_RIGHT = 1.0, 3.0, 0.25, 2.25


def place_dinet_crops(track: Track, head: HeadModel, regions: FaceRegions) -> Placement:
    """Place DINet's crops, masks and the part of the painting that is shown.

    The authors take the largest chin and mouth among nine frames. Here the chin is that of the
    head at rest with its jaw half open, and the corners those of its mouth at rest: as large, and
    the same in all frames, whatever the mouth does.

    Args:
        track: poses and landmarks of N frames.
        head: head model of the track.
        regions: boxes of the face in each frame, px.

    Returns:
        A box for each frame, and what is masked and shown within it.
    """
    landmarks = head.point_matrix((*NOSE_BRIDGE, NOSE_BASE, *MOUTH_CORNERS, CHIN))
    points = np.matmul(landmarks, project_rest_meshes(track, head, (0.5,))[:, 0])
    bridge_y = points[:, :2, 1].mean(1)
    base_x = points[:, 2, 0]
    mouth = np.abs(points[:, 4, 0] - points[:, 3, 0])
    radius = np.maximum(points[:, 5, 1] - bridge_y, mouth) / 2 * RADIUS_SCALE
    # A head that lies on its side or looks away still needs a box: a tenth of its width.
    radius = np.maximum(radius, 0.1 * (regions.box[:, 2] - regions.box[:, 0]))
    left, top = base_x - SIDE * radius, bridge_y - UP * radius
    boxes = np.stack([left, top, base_x + SIDE * radius, bridge_y + DOWN * radius], 1)
    mask = np.stack(
        [
            left + MASK_LEFT * radius,
            top + MASK_TOP * radius,
            left + MASK_RIGHT * radius,
            top + MASK_BOTTOM * radius,
        ],
        1,
    )
    hulls = rectangle_hulls(mask)
    return boxes.astype(np.float32), hulls, hulls
