"""Face and mouth boxes, mouth opening and a still mouth, from landmarks alone.

Nothing here depends on dubfew's own reconstruction, so that outputs of other systems can be
measured in the same way. Clips are landmark arrays [N, 478, 3] in px; rows of frames without a face
are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from dubfew.errors import NoFaceError
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.similarity_transform import fit_similarity_transform
from dubfew.utils.growable_array import map_row_blocks

# The 40 landmarks on the lips.
LIP_POINTS = OUTER_LIPS + INNER_LIPS
# Landmarks that speech does not move: eye corners, bridge and base of the nose, temples, forehead.
STILL_POINTS = (33, 133, 362, 263, 168, 6, 197, 195, 2, 98, 327, 127, 356, 10, 109, 338)
# Middles of the inner lips, upper and lower, whose distance is the mouth opening.
INNER_LIP_MIDDLE_POINTS = (13, 14)
# Factor by which the box around the lips is enlarged, so that it holds all skin that a dub repaints
# around them. A larger box dilutes the metrics with pixels that do not change.
MOUTH_BOX_SCALE = 1.4
# Fraction of the frames, the most closed ones, whose mean is taken for the closed mouth: a single
# frame may be a misfit of the detector.
CLOSED_FRAME_FRACTION = 0.05
# Edge of the face crop in units of the eye-corner distance. An adult's face from hairline to opened
# jaw is about 2.2 of them high; the rest is margin for the chin of long faces.
FACE_CROP_SCALE = 2.6
# Edge that face crops are resized to, px, as published results have it: PSNR and SSIM depend on it.
FACE_CROP_SIZE_PX = 256
# Standard deviation of the smoothing of face boxes over time, in frames. It removes the detector's
# jitter, and still follows the head.
BOX_SIGMA_FRAMES = 4.0
# Smallest edge of a face box, px: SSIM's window needs 7.
MIN_FACE_BOX_PX = 8


@dataclass(frozen=True, slots=True)  # one of them for each frame of a long clip
class PixelBox:
    """A rectangle of whole pixels: ``left <= x < right``, ``top <= y < bottom``.

    Attributes:
        left: first column, px.
        top: first row, px.
        right: column after the last, px.
        bottom: row after the last, px.
    """

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Number of columns, px."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Number of rows, px."""
        return self.bottom - self.top

    def crop(self, image: NDArray) -> NDArray:
        """Cut the box out of an image [H, W, ...]; returns a view."""
        return image[self.top : self.bottom, self.left : self.right]

    def crop_resized(
        self, image: NDArray[np.uint8], size: int = FACE_CROP_SIZE_PX
    ) -> NDArray[np.uint8]:
        """Crop an image [H, W, 3] to the box and resize it to a square (bilinear, anti-aliased).

        Args:
            image: frame that the box lies in. [H, W, 3] uint8 RGB
            size: edge of the result, px.

        Returns:
            The resized crop. [size, size, 3]
        """
        cut = Image.fromarray(np.ascontiguousarray(self.crop(image)))
        return np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR))


def has_face(landmarks: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which rows of landmarks [N, 478, 3] show a face. [N]

    Example:
        >>> landmarks = np.zeros((2, 478, 3), np.float32)
        >>> landmarks[1] = np.nan
        >>> has_face(landmarks)
        array([ True, False])
    """
    # A sum is finite where all its terms are.
    return map_row_blocks(lambda rows: np.isfinite(rows.sum(axis=(1, 2))), landmarks)


def eye_corner_distance(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the distance between the outer eye corners in the image, px. [N, 478, 3] -> [N]"""
    return map_row_blocks(lambda rows: _measure_distance(rows, *EYE_CORNERS), landmarks)


def _measure_distance(
    landmarks: NDArray[np.float32], first: int, second: int
) -> NDArray[np.float64]:
    """Measure the distance of two points in the image, px. [N, 478, 3] -> [N]"""
    left, right = (landmarks[:, point, :2].astype(np.float64) for point in (first, second))
    return np.asarray(np.linalg.norm(left - right, axis=-1))


def clip_mouth_box(landmarks: NDArray[np.float32], height: int, width: int) -> PixelBox:
    """Compute the mouth box of a clip: one rectangle for all of its frames.

    It is the union over the clip of the 40 lip landmarks, enlarged 1.4 times about its center,
    rounded outwards to whole pixels and clamped to the frame. Give the original's landmarks, so
    that every system is measured in the same place.

    Args:
        landmarks: landmarks of the original, px; rows of frames without a face are NaN. [N, 478, 3]
        height: height of the frame, px.
        width: width of the frame, px.

    Returns:
        A box of at least one pixel.

    Raises:
        NoFaceError: No frame shows a face.
    """
    # Over all frames, so that the box does not move with the mouth.
    faces = has_face(landmarks)
    if not faces.any():
        raise NoFaceError("no frame of the reference shows a face: give a clip with a visible face")
    bounds = map_row_blocks(lambda rows: _measure_bounds(rows, LIP_POINTS), landmarks)[faces]
    low, high = bounds[:, 0, :2].min(0), bounds[:, 1, :2].max(0)
    center, half = (low + high) / 2, (high - low) / 2 * MOUTH_BOX_SCALE
    left, top = np.floor(center - half)
    right, bottom = np.ceil(center + half)
    return PixelBox(
        int(np.clip(left, 0, width - 1)),
        int(np.clip(top, 0, height - 1)),
        int(np.clip(right, 1, width)),
        int(np.clip(bottom, 1, height)),
    )


def face_boxes(landmarks: NDArray[np.float32], height: int, width: int) -> list[PixelBox | None]:
    """Compute the stable square face box of every frame.

    Its edge is 2.6 eye-corner distances, measured in 3D so that a turn of the head does not zoom.
    Its center depends on points that speech does not move. Both are smoothed over time. A box that
    leaves the frame is pushed back in, and one larger than the frame is shrunk, so that it stays
    square.

    Args:
        landmarks: landmarks of the original, px; rows of frames without a face are NaN. [N, 478, 3]
        height: height of the frame, px.
        width: width of the frame, px.

    Returns:
        A box for every frame; None for frames without a face.
    """
    faces = has_face(landmarks)
    rows = map_row_blocks(_measure_face_squares, landmarks)[faces]
    if not len(rows):
        return [None] * len(landmarks)
    # Frames without a face are left out, so the frames on both sides of a gap blend a little.
    smooth = iter(gaussian_filter1d(rows, BOX_SIGMA_FRAMES, axis=0, mode="nearest"))
    return [_clamp_square(next(smooth), height, width) if face else None for face in faces]


def _measure_bounds(landmarks: NDArray[np.float32], points: tuple[int, ...]) -> NDArray[np.float32]:
    """Measure the lowest and highest coordinates of some points. [N, 478, 3] -> [N, 2, 3]"""
    part = landmarks[:, points]
    return np.stack([part.min(axis=1), part.max(axis=1)], axis=1)


def _measure_face_squares(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Measure center x, center y and edge of each frame's face box, px. [N, 478, 3] -> [N, 3]"""
    # Middle of the rigid points in the image.
    middle = _measure_bounds(landmarks, STILL_POINTS).astype(np.float64)[:, :, :2].mean(axis=1)
    corners = landmarks[:, EYE_CORNERS].astype(np.float64)
    distance = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=-1)
    # The middle of the whole face lies half a distance below that of the rigid points.
    return np.stack(
        [middle[:, 0], middle[:, 1] + 0.5 * distance, distance * FACE_CROP_SCALE], axis=1
    )


def _clamp_square(row: NDArray[np.float64], height: int, width: int) -> PixelBox:
    """Round a square (center x, center y, edge) to whole pixels inside the frame."""
    center_x, center_y, side = (float(value) for value in row)
    whole = min(max(MIN_FACE_BOX_PX, round(side)), height, width)
    left = int(np.clip(round(center_x - whole / 2), 0, width - whole))
    top = int(np.clip(round(center_y - whole / 2), 0, height - whole))
    return PixelBox(left, top, left + whole, top + whole)


def mouth_opening(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute how far the mouth is open, from landmarks [N, 478, 3].

    Returns:
        Gap between the inner lips in units of the distance between the outer eye corners; NaN for
        frames without a face. [N]
    """
    return map_row_blocks(
        lambda rows: (
            _measure_distance(rows, *INNER_LIP_MIDDLE_POINTS)
            / _measure_distance(rows, *EYE_CORNERS)
        ),
        landmarks,
    )


def freeze_lips(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make the landmarks of the same clip with a mouth that stays closed.

    The mean lip shape of the clip's most closed frames is carried along by the points that speech
    does not move. Its LMD is the score of a system that ignores the speech altogether, and belongs
    beside every table of LMDs.

    Args:
        landmarks: landmarks of a clip, px; rows of frames without a face are NaN. [N, 478, 3]

    Returns:
        The landmarks with x and y of the 40 lip points replaced. [N, 478, 3]
    """
    result = landmarks.copy()
    rows = np.flatnonzero(has_face(landmarks))
    if not len(rows):
        return result
    # Average the closed lips in the pose of the first face, then move the mean into every pose.
    home = landmarks[rows[0], STILL_POINTS, :2]
    by_opening = rows[np.argsort(mouth_opening(landmarks[rows]), kind="stable")]
    closed = by_opening[: max(1, round(len(rows) * CLOSED_FRAME_FRACTION))]
    carried = []
    for row in closed:
        to_home = fit_similarity_transform(landmarks[row, STILL_POINTS, :2], home)
        carried.append(landmarks[row, LIP_POINTS, :2] @ to_home[:, :2].T + to_home[:, 2])
    mean = np.mean(carried, axis=0)
    for row in rows:
        # Only x and y: LMD is measured in the image.
        back = fit_similarity_transform(home, landmarks[row, STILL_POINTS, :2])
        result[row, LIP_POINTS, :2] = mean @ back[:, :2].T + back[:, 2]
    return result
