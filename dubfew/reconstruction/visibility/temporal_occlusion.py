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

from dubfew.reconstruction.similarity_transform import fit_similarity_transform
from dubfew.reconstruction.visibility.pose_and_border import remove_short_runs

# The picture of a face: size, and places in it of eye corners, root, bridge and end of the nose.
PATCH_WIDTH_PX, PATCH_HEIGHT_PX = 32, 48
PATCH_ALIGNMENT_LANDMARKS = (33, 133, 362, 263, 168, 6, 2)
PATCH_ALIGNMENT_TARGETS = (
    np.array([[5, 14], [17, 14], [31, 14], [43, 14], [24, 14], [24, 20], [24, 38]], np.float32)
    * PATCH_WIDTH_PX
    / 48
)
UPPER_FACE_ROWS = slice(6, 24)  # rows from the eyes to the nose: they say how light it is
LOWER_FACE_ROWS, LOWER_FACE_COLUMNS = slice(24, 48), slice(4, 28)
COMPARISON_BLOCK_PX = 6  # px of that picture
# Frames that others are compared with, how far away in time, and how alike in pose they must be:
# the nose's place between the cheeks, in widths of the face.
NUM_COMPARISON_FRAMES, MIN_COMPARISON_GAP_FRAMES, MAX_POSE_DIFFERENCE = 64, 50, 0.12
MIN_COMPARISON_FRAMES = 6
# A frame differs when its fourth-worst block is farther than this from all others, in units of the
# upper face's colour, and so many times as far as is usual in the clip.
# Free mouths come up to 0.205: grimaces. What is next to such frames is covered down to
# ``OCCLUSION_HYSTERESIS_THRESHOLD``.
OCCLUSION_THRESHOLD, OCCLUSION_HYSTERESIS_THRESHOLD, MIN_OCCLUSION_TO_MEDIAN = 0.22, 0.09, 4.0
OCCLUSION_BLOCK_RANK = 4


def extract_face_patch(rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A small picture of a face from the eyes to the chin. [48, 32, 3]"""
    matrix = fit_similarity_transform(
        PATCH_ALIGNMENT_TARGETS, landmarks[list(PATCH_ALIGNMENT_LANDMARKS), :2]
    )
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    # Pictures far larger than this one are thinned first, or it would show single pixels.
    step = max(1, int(np.hypot(matrix[0, 0], matrix[1, 0]) / 2))
    x0, y0 = (int(max(0, v)) for v in np.floor(low - 0.3 * (high - low)))
    x1, y1 = (int(max(1, v)) for v in np.ceil(high + 0.3 * (high - low)))
    part = rgb[y0:y1:step, x0:x1:step]
    if not part.size:
        return np.zeros((PATCH_HEIGHT_PX, PATCH_WIDTH_PX, 3), np.uint8)
    matrix = (matrix - [[0, 0, x0], [0, 0, y0]]) / step
    patch = Image.fromarray(part).transform(
        (PATCH_WIDTH_PX, PATCH_HEIGHT_PX),
        Image.Transform.AFFINE,
        tuple(matrix.ravel()),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(patch)


def detect_occluded_frames(
    patches: NDArray[np.uint8],  # [M, 48, 32, 3]
    landmarks: NDArray[np.float32],  # [M, 478, 3]
    frame_numbers: NDArray[np.int64],  # [M]
) -> NDArray[np.bool_]:
    """Frames in which something hides the mouth. [M]

    Args:
        patches: of one person's frames in one shot, from ``extract_face_patch``.
        landmarks: px.
        frame_numbers: their numbers, rising.
    """
    apart = score_occlusion(patches, landmarks, frame_numbers)
    sure = (apart > OCCLUSION_THRESHOLD) & (apart > MIN_OCCLUSION_TO_MEDIAN * np.median(apart))
    return remove_short_runs(
        binary_propagation(sure, mask=sure | (apart > OCCLUSION_HYSTERESIS_THRESHOLD))
    )


def score_occlusion(
    patches: NDArray[np.uint8], landmarks: NDArray[np.float32], frame_numbers: NDArray[np.int64]
) -> NDArray[np.float32]:
    """How far each lower face is from all others of its pose; 0 where there are too few. [M]"""
    count = len(frame_numbers)
    away = min(MIN_COMPARISON_GAP_FRAMES, count // 4)
    others = np.unique(np.linspace(0, count - 1, NUM_COMPARISON_FRAMES).astype(int))
    pose = _measure_nose_offset(landmarks)
    looks = _normalize_lower_faces(patches[others])
    result = np.zeros(count, np.float32)
    for start in range(0, count, NUM_COMPARISON_FRAMES):
        rows = slice(start, start + NUM_COMPARISON_FRAMES)
        for row, look in enumerate(_normalize_lower_faces(patches[rows]), start):
            near = np.linalg.norm(pose[others] - pose[row], axis=1) < MAX_POSE_DIFFERENCE
            near &= np.abs(frame_numbers[others] - frame_numbers[row]) > away
            if near.sum() >= MIN_COMPARISON_FRAMES:
                difference = np.abs(looks[near] - look).mean(-1).min(0)
                size = difference.shape[0] // COMPARISON_BLOCK_PX
                blocks = difference.reshape(
                    size, COMPARISON_BLOCK_PX, size, COMPARISON_BLOCK_PX
                ).mean((1, 3))
                result[row] = np.sort(blocks.ravel())[-OCCLUSION_BLOCK_RANK]
    return result


def _normalize_lower_faces(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Lower faces in units of the upper face's colour. [M, 24, 24, 3]"""
    soft = gaussian_filter(patches.astype(np.float32) / 255, (0, 1, 1, 0))
    light = np.maximum(soft[:, UPPER_FACE_ROWS].mean((1, 2), keepdims=True), 0.05)
    return np.asarray((soft / light)[:, LOWER_FACE_ROWS, LOWER_FACE_COLUMNS], np.float32)


def _measure_nose_offset(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where the nose is between the cheeks, in distances of these. [M, 2]"""
    right, left, nose = (landmarks[:, point, :2] for point in (234, 454, 1))
    width = np.maximum(np.linalg.norm(left - right, axis=1, keepdims=True), 1e-6)
    return np.asarray((nose - (left + right) / 2) / width, np.float32)
