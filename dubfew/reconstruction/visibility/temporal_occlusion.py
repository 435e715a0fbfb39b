"""Occluded mouths, found by comparing the frames of a clip with each other.

A covered mouth resembles the mouth in no other frame with the same head pose. Images are aligned
by the upper face, which a hand or a microphone leaves free, and divided by its color, which removes
the light. The lower face is compared block by block with frames of the same head pose that are
some way off in time: every block must be found in one of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_propagation, gaussian_filter

from dubfew.reconstruction.similarity_transform import fit_similarity_transform
from dubfew.reconstruction.visibility.pose_and_border import remove_short_runs
from dubfew.utils.growable_array import map_row_blocks, release_pages

# Size of an aligned face, from the eyes to the chin. One patch per face and frame stays in memory:
# 4.6 kB at this size. Larger patches need more memory and a more exact alignment.
PATCH_WIDTH_PX, PATCH_HEIGHT_PX = 32, 48
# Landmarks for the alignment (eye corners, bridge and base of the nose), and their positions in
# the patch, px. They were chosen in a patch 48 px wide.
PATCH_ALIGNMENT_LANDMARKS = (33, 133, 362, 263, 168, 6, 2)
PATCH_ALIGNMENT_TARGETS = (
    np.array([[5, 14], [17, 14], [31, 14], [43, 14], [24, 14], [24, 20], [24, 38]], np.float32)
    * PATCH_WIDTH_PX
    / 48
)
# Rows of the patch from the eyes to the nose, whose mean color measures the light.
UPPER_FACE_ROWS = slice(6, 24)
# Part of the patch that is compared: below the nose, without the background at the sides.
LOWER_FACE_ROWS, LOWER_FACE_COLUMNS = slice(24, 48), slice(4, 28)
# Edge of a compared block, px of the patch. Small blocks resemble others by chance; large blocks
# average thin objects away.
COMPARISON_BLOCK_PX = 6
# Frames that each frame is compared with, evenly spaced over the shot. The time grows with it.
NUM_COMPARISON_FRAMES = 64
# Compared frames are at least this far away in time (2 s at 25 fps), because an object stays for a
# while; in short shots a quarter of the shot.
MIN_COMPARISON_GAP_FRAMES = 50
# Compared frames differ by at most this much in pose: position of the nose between the cheeks, in
# widths of the face.
MAX_POSE_DIFFERENCE = 0.12
# A frame with fewer comparable frames gets the score 0.
MIN_COMPARISON_FRAMES = 6
# Score (in units of the upper face's color) from which a mouth counts as covered. Free mouths, even
# grimaces, score up to 0.205.
OCCLUSION_THRESHOLD = 0.22
# Frames next to a covered one count as covered from this lower score on (hysteresis).
OCCLUSION_HYSTERESIS_THRESHOLD = 0.09
# A covered mouth also scores this many times the shot's median: noisy clips score higher overall.
MIN_OCCLUSION_TO_MEDIAN = 4.0
# The score is that of the fourth-worst block: single blocks differ by chance.
OCCLUSION_BLOCK_RANK = 4
# Margin around the landmarks that is cut out before the alignment, in units of their extent.
PATCH_MARGIN = 0.3
# Lower limit of the upper face's color, 0 to 1, so that a dark face does not divide by zero.
MIN_FACE_BRIGHTNESS = 0.05
# Landmarks of the right cheek, the left cheek and the tip of the nose.
POSE_LANDMARKS = (234, 454, 1)


def extract_face_patch(rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Cut out a small aligned image of a face, from the eyes to the chin.

    Args:
        rgb: image. [H, W, 3]
        landmarks: the face's landmarks, px. [478, 3]

    Returns:
        RGB; black if the face is outside of the image. [48, 32, 3]
    """
    matrix = fit_similarity_transform(
        PATCH_ALIGNMENT_TARGETS, landmarks[list(PATCH_ALIGNMENT_LANDMARKS), :2]
    )
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    # Large faces are thinned to about twice the patch's resolution: that is fast, and bilinear
    # sampling of the full resolution would pick single pixels.
    step = max(1, int(np.hypot(matrix[0, 0], matrix[1, 0]) / 2))
    x0, y0 = (int(max(0, v)) for v in np.floor(low - PATCH_MARGIN * (high - low)))
    x1, y1 = (int(max(1, v)) for v in np.ceil(high + PATCH_MARGIN * (high - low)))
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
    """Find the frames in which something covers the mouth.

    Args:
        patches: one person's patches from one shot, see `extract_face_patch`. [M, 48, 32, 3]
        landmarks: landmarks in the same frames, px. [M, 478, 3]
        frame_numbers: numbers of these frames, rising. [M]

    Returns:
        True where the mouth is covered. [M]
    """
    score = score_occlusion(patches, landmarks, frame_numbers)
    # Certain frames exceed both thresholds; their neighbors need only the lower one.
    certain = (score > OCCLUSION_THRESHOLD) & (score > MIN_OCCLUSION_TO_MEDIAN * np.median(score))
    possible = certain | (score > OCCLUSION_HYSTERESIS_THRESHOLD)
    return remove_short_runs(binary_propagation(certain, mask=possible))


def score_occlusion(
    patches: NDArray[np.uint8], landmarks: NDArray[np.float32], frame_numbers: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Measure how much each lower face differs from all others with the same head pose.

    Args:
        patches: one person's patches from one shot. [M, 48, 32, 3]
        landmarks: landmarks in the same frames, px. [M, 478, 3]
        frame_numbers: numbers of these frames, rising. [M]

    Returns:
        Score in units of the upper face's color; 0 where too few frames have the same pose. [M]
    """
    count = len(frame_numbers)
    min_gap = min(MIN_COMPARISON_GAP_FRAMES, count // 4)
    others = np.unique(np.linspace(0, count - 1, NUM_COMPARISON_FRAMES).astype(int))
    pose = map_row_blocks(_measure_nose_offset, landmarks)
    other_faces = _normalize_lower_faces(patches[others])
    result = np.zeros(count, np.float32)
    # Normalize block by block: float faces of a whole clip would fill the memory.
    for start in range(0, count, NUM_COMPARISON_FRAMES):
        rows = slice(start, start + NUM_COMPARISON_FRAMES)
        for row, face in enumerate(_normalize_lower_faces(patches[rows]), start):
            # Compare with frames of the same pose that are far enough away in time.
            near = np.linalg.norm(pose[others] - pose[row], axis=1) < MAX_POSE_DIFFERENCE
            near &= np.abs(frame_numbers[others] - frame_numbers[row]) > min_gap
            if near.sum() >= MIN_COMPARISON_FRAMES:
                # Every pixel takes the frame that matches it best; then means of blocks.
                difference = np.abs(other_faces[near] - face).mean(-1).min(0)
                size = difference.shape[0] // COMPARISON_BLOCK_PX
                blocks = difference.reshape(
                    size, COMPARISON_BLOCK_PX, size, COMPARISON_BLOCK_PX
                ).mean((1, 3))
                result[row] = np.sort(blocks.ravel())[-OCCLUSION_BLOCK_RANK]
        release_pages(patches)
    return result


def _normalize_lower_faces(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Blur patches and express their lower faces in units of the upper face's color.

    Returns:
        Relative colors. [M, 24, 24, 3]
    """
    blurred = gaussian_filter(patches.astype(np.float32) / 255, (0, 1, 1, 0))
    light = blurred[:, UPPER_FACE_ROWS].mean((1, 2), keepdims=True)
    relative = blurred / np.maximum(light, MIN_FACE_BRIGHTNESS)
    return np.asarray(relative[:, LOWER_FACE_ROWS, LOWER_FACE_COLUMNS], np.float32)


def _measure_nose_offset(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Measure the position of the nose between the cheeks, in widths of the face. [M, 2]"""
    right, left, nose = (landmarks[:, point, :2] for point in POSE_LANDMARKS)
    width = np.maximum(np.linalg.norm(left - right, axis=1, keepdims=True), 1e-6)
    return np.asarray((nose - (left + right) / 2) / width, np.float32)
