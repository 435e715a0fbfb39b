"""Is something in front of the mouth? Told from the clip itself: a mouth that is covered looks as
it does in no other frame with the head turned the same way.

Pictures are aligned by the upper face, which a hand or a microphone leaves free, and divided by
its colour, which takes the light out. What the lower face shows is compared block by block with
frames of the same head pose, some way off in time: every block must be found in one of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_propagation, gaussian_filter

from dubfew.reconstruction.similarity_transform import similarity
from dubfew.reconstruction.visibility.pose_and_border import steady

# The picture of a face: size, and places in it of eye corners, root, bridge and end of the nose.
WIDTH, HEIGHT = 32, 48
POINTS = (33, 133, 362, 263, 168, 6, 2)
PLACES = (
    np.array([[5, 14], [17, 14], [31, 14], [43, 14], [24, 14], [24, 20], [24, 38]], np.float32)
    * WIDTH
    / 48
)
UPPER = slice(6, 24)  # rows from the eyes to the nose: they say how light it is
LOWER, SIDES = slice(24, 48), slice(4, 28)
BLOCK = 6  # px of that picture
# Frames that others are compared with, how far away in time, and how alike in pose they must be:
# the nose's place between the cheeks, in widths of the face.
OTHERS, AWAY, POSE = 64, 50, 0.12
FEWEST = 6
# A frame differs when its fourth-worst block is farther than this from all others, in units of the
# upper face's colour, and so many times as far as is usual in the clip.
# Free mouths come up to 0.205: grimaces. What is next to such frames is covered down to ``NEARLY``.
APART, NEARLY, TIMES = 0.22, 0.09, 4.0
WORST = 4


def face_patch(rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A small picture of a face from the eyes to the chin. [48, 32, 3]"""
    matrix = similarity(PLACES, landmarks[list(POINTS), :2])
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    # Pictures far larger than this one are thinned first, or it would show single pixels.
    step = max(1, int(np.hypot(matrix[0, 0], matrix[1, 0]) / 2))
    x0, y0 = (int(max(0, v)) for v in np.floor(low - 0.3 * (high - low)))
    x1, y1 = (int(max(1, v)) for v in np.ceil(high + 0.3 * (high - low)))
    part = rgb[y0:y1:step, x0:x1:step]
    if not part.size:
        return np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    matrix = (matrix - [[0, 0, x0], [0, 0, y0]]) / step
    patch = Image.fromarray(part).transform(
        (WIDTH, HEIGHT), Image.Transform.AFFINE, tuple(matrix.ravel()), Image.Resampling.BILINEAR
    )
    return np.asarray(patch)


def covered(
    patches: NDArray[np.uint8],  # [M, 48, 32, 3]
    landmarks: NDArray[np.float32],  # [M, 478, 3]
    frames: NDArray[np.int64],  # [M]
) -> NDArray[np.bool_]:
    """Frames in which something hides the mouth. [M]

    Args:
        patches: of one person's frames in one shot, from ``face_patch``.
        landmarks: px.
        frames: their numbers, rising.
    """
    apart = strangeness(patches, landmarks, frames)
    sure = (apart > APART) & (apart > TIMES * np.median(apart))
    return steady(binary_propagation(sure, mask=sure | (apart > NEARLY)))


def strangeness(
    patches: NDArray[np.uint8], landmarks: NDArray[np.float32], frames: NDArray[np.int64]
) -> NDArray[np.float32]:
    """How far each lower face is from all others of its pose; 0 where there are too few. [M]"""
    count = len(frames)
    away = min(AWAY, count // 4)
    others = np.unique(np.linspace(0, count - 1, OTHERS).astype(int))
    pose = _pose(landmarks)
    looks = _lower(patches[others])
    result = np.zeros(count, np.float32)
    for start in range(0, count, OTHERS):
        rows = slice(start, start + OTHERS)
        for row, look in enumerate(_lower(patches[rows]), start):
            near = np.linalg.norm(pose[others] - pose[row], axis=1) < POSE
            near &= np.abs(frames[others] - frames[row]) > away
            if near.sum() >= FEWEST:
                difference = np.abs(looks[near] - look).mean(-1).min(0)
                size = difference.shape[0] // BLOCK
                blocks = difference.reshape(size, BLOCK, size, BLOCK).mean((1, 3))
                result[row] = np.sort(blocks.ravel())[-WORST]
    return result


def _lower(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Lower faces in units of the upper face's colour. [M, 24, 24, 3]"""
    soft = gaussian_filter(patches.astype(np.float32) / 255, (0, 1, 1, 0))
    light = np.maximum(soft[:, UPPER].mean((1, 2), keepdims=True), 0.05)
    return np.asarray((soft / light)[:, LOWER, SIDES], np.float32)


def _pose(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where the nose is between the cheeks, in distances of these. [M, 2]"""
    right, left, nose = (landmarks[:, point, :2] for point in (234, 454, 1))
    width = np.maximum(np.linalg.norm(left - right, axis=1, keepdims=True), 1e-6)
    return np.asarray((nose - (left + right) / 2) / width, np.float32)
