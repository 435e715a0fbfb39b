"""Where to measure: boxes and rigid motion from landmarks alone.

Everything here depends only on the detector's landmarks, not on dubfew's own
reconstruction, so that other systems' outputs can be measured in the same way.
Clips are landmark arrays [N, 478, 3] in px; rows of frames without a face are NaN.
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

LIP_POINTS = OUTER_LIPS + INNER_LIPS
# Points that speech does not move: eye corners, bridge and base of the nose, temples, forehead.
STILL_POINTS = (33, 133, 362, 263, 168, 6, 197, 195, 2, 98, 327, 127, 356, 10, 109, 338)
INNER_LIP_MIDDLE_POINTS = (13, 14)  # upper, lower
MOUTH_BOX_SCALE = 1.4
# The closed mouth is the mean of this share of the frames, because a single one may be a misfit.
CLOSED_FRAME_FRACTION = 0.05
# The face crop, in units of the eye-corner distance: an adult's face from hairline to opened jaw
# is about 2.2 of them high; the rest is margin for the chin of long faces.
FACE_CROP_SCALE = 2.6
FACE_CROP_SIZE_PX = 256
# Frames; removes the detector's jitter from the crop but follows the head.
BOX_SIGMA_FRAMES = 4.0


@dataclass(frozen=True)
class PixelBox:
    """A rectangle of whole pixels: ``left <= x < right``, ``top <= y < bottom``."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def crop(self, image: NDArray) -> NDArray:
        """The part of an image [H, W, ...] inside the box, as a view."""
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
    """Which rows of [N, 478, 3] show a face. [N]"""
    return np.asarray(np.isfinite(landmarks).all(axis=(1, 2)), np.bool_)


def eye_corner_distance(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Distance of the outer eye corners in the image, px. [N, 478, 3] -> [N]"""
    left, right = (landmarks[:, corner, :2].astype(np.float64) for corner in EYE_CORNERS)
    return np.asarray(np.linalg.norm(left - right, axis=-1))


def clip_mouth_box(landmarks: NDArray[np.float32], height: int, width: int) -> PixelBox:
    """The mouth box of a clip: one rectangle for all of its frames.

    Union over the clip of the 40 lip landmarks, enlarged 1.4 times about its centre, rounded
    outwards to whole pixels and clamped to the frame. Always taken from the original, so that
    every system is measured in the same place.

    Args:
        landmarks: of the original, px, NaN rows without a face. [N, 478, 3]
        height: of the frame, px.
        width: of the frame, px.

    Raises:
        NoFaceError: no frame shows a face.
    """
    lips = landmarks[has_face(landmarks)][:, LIP_POINTS, :2]
    if not len(lips):
        raise NoFaceError("no frame of the reference shows a face: give a clip with a visible face")
    low, high = lips.min(axis=(0, 1)), lips.max(axis=(0, 1))
    centre, half = (low + high) / 2, (high - low) / 2 * MOUTH_BOX_SCALE
    left, top = np.floor(centre - half)
    right, bottom = np.ceil(centre + half)
    return PixelBox(
        int(np.clip(left, 0, width - 1)),
        int(np.clip(top, 0, height - 1)),
        int(np.clip(right, 1, width)),
        int(np.clip(bottom, 1, height)),
    )


def face_boxes(landmarks: NDArray[np.float32], height: int, width: int) -> list[PixelBox | None]:
    """The stable square face crop of every frame; None where there is no face.

    Side 2.6 eye-corner distances (measured in 3D, so that turning the head does not zoom), centred
    on the mean of the points that speech does not move, both smoothed over time. A box that
    leaves the frame is pushed back in, one larger than the frame shrunk, so that it stays square.
    """
    faces = has_face(landmarks)
    rigid = landmarks[:, STILL_POINTS].astype(np.float64)
    bounds = np.concatenate([rigid.min(axis=1)[:, :2], rigid.max(axis=1)[:, :2]], axis=1)
    corners = landmarks[:, EYE_CORNERS].astype(np.float64)
    distance = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=-1, keepdims=True)
    # Half a distance below the middle of the rigid points lies the middle of the whole face.
    centre_x = bounds[:, [0, 2]].mean(axis=1, keepdims=True)
    centre_y = bounds[:, [1, 3]].mean(axis=1, keepdims=True) + 0.5 * distance
    rows = np.concatenate([centre_x, centre_y, distance * FACE_CROP_SCALE], axis=1)[faces]
    if not len(rows):
        return [None] * len(landmarks)
    # Frames without a face are passed over: the frames on both sides of a gap blend a little.
    smooth = iter(gaussian_filter1d(rows, BOX_SIGMA_FRAMES, axis=0, mode="nearest"))
    return [_clamp_square(next(smooth), height, width) if face else None for face in faces]


def _clamp_square(row: NDArray[np.float64], height: int, width: int) -> PixelBox:
    centre_x, centre_y, side = (float(value) for value in row)
    whole = min(max(8, round(side)), height, width)
    left = int(np.clip(round(centre_x - whole / 2), 0, width - whole))
    top = int(np.clip(round(centre_y - whole / 2), 0, height - whole))
    return PixelBox(left, top, left + whole, top + whole)


def mouth_opening(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far the lips are apart: inner-lip gap over outer-eye-corner distance. [N]"""
    upper, lower = (landmarks[:, point, :2].astype(np.float64) for point in INNER_LIP_MIDDLE_POINTS)
    return np.asarray(np.linalg.norm(upper - lower, axis=-1) / eye_corner_distance(landmarks))


def freeze_lips(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """The landmarks of the same clip if the mouth stayed closed and did not move at all.

    The mean lip shape of the clip's most closed frames, carried along by the points that speech
    does not move. Its LMD is what a system scores that ignores the speech altogether, and
    belongs beside every table of LMDs.

    Args:
        landmarks: px, NaN rows without a face. [N, 478, 3]

    Returns:
        The same with the 40 lip landmarks replaced (their z kept). [N, 478, 3]
    """
    result = landmarks.copy()
    rows = np.flatnonzero(has_face(landmarks))
    if not len(rows):
        return result
    home = landmarks[rows[0], STILL_POINTS, :2]
    by_opening = rows[np.argsort(mouth_opening(landmarks[rows]), kind="stable")]
    closed = by_opening[: max(1, round(len(rows) * CLOSED_FRAME_FRACTION))]
    carried = []
    for row in closed:
        to_home = fit_similarity_transform(landmarks[row, STILL_POINTS, :2], home)
        carried.append(landmarks[row, LIP_POINTS, :2] @ to_home[:, :2].T + to_home[:, 2])
    mean = np.mean(carried, axis=0)
    for row in rows:
        back = fit_similarity_transform(home, landmarks[row, STILL_POINTS, :2])
        result[row, LIP_POINTS, :2] = mean @ back[:, :2].T + back[:, 2]
    return result
