"""Where one shot ends and the next begins: cuts, cross-fades and dips, as the frames stream by."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dubfew.media import Frame

# A picture is looked at in so many points across and down.
GRID_POINTS_PER_SIDE = 32
# A cut changes the points by more than this, in standard deviations of the picture, and by so many
# times more than the frames before did (their median, so that one flash does not count).
CUT_THRESHOLD, CUT_TO_MEDIAN_RATIO = 0.35, 4.0
MEDIAN_WINDOW_FRAMES = 12
# Pictures that are this alike again so many frames after a cut were hidden by a flash or by
# somebody who walked past.
FLASH_RETURN_THRESHOLD, MAX_FLASH_FRAMES = 0.3, 10
# Lengths of cross-fades that are looked for, frames. Each finds fades of about 1/2 to 1 times it.
FADE_LENGTHS_FRAMES = (6, 12, 24)
# Of what lies between the ends of a fade, this much is explained by a mixture of the two.
MIN_FADE_EXPLAINED_FRACTION = 0.7
# Under this contrast a picture is black, white or grey all over; grey levels of 255.
MIN_CONTRAST_LEVELS = 3.0
# A face's middle does not move further than this share of its width from one frame to the next
# (the fastest of the clips at hand reaches 0.32), and does not grow by more than this factor.
MAX_FACE_STEP_WIDTHS, MAX_FACE_GROWTH_RATIO = 0.6, 1.3
# The detector may need so many frames to find a face again after a cut.
MAX_REDETECTION_GAP_FRAMES = 3
EXTENT_BLOCK_FRAMES = 256  # frames whose landmarks are looked at at once


class ShotDetector:
    """Finds the first frames of new shots. Feed it frames in order.

    Works on the brightness of a grid of points, made independent of exposure. Hard cuts are
    reported at once; cross-fades once they are over; flashes are taken back a little later, so
    ``shot_starts`` is final only at the end.

    Attributes:
        starts: first frames of the shots after the first one, rising.
    """

    def __init__(self) -> None:
        self.starts: list[int] = []
        self._recent_grids: deque[NDArray[np.float32]] = deque(maxlen=max(FADE_LENGTHS_FRAMES) + 1)
        self._recent_changes: deque[float] = deque(maxlen=MEDIAN_WINDOW_FRAMES)
        # Frame of the last cut and the picture before it, while it may still be taken back.
        self._last_cut: tuple[int, NDArray[np.float32]] | None = None

    def update(self, frame: Frame) -> bool:
        """Look at the next frame; True where it begins a new shot."""
        return self.update_from_grid(frame.index, sample_luma_grid(frame))

    def update_from_grid(self, index: int, luma_grid: NDArray[np.float32]) -> bool:
        """Like ``see``, for the brightness of a picture's points. [P]"""
        past = self._recent_grids
        cut = False
        if past and past[-1].shape == luma_grid.shape:
            change = luma_difference(past[-1], luma_grid)
            usual = float(np.median(self._recent_changes)) if self._recent_changes else change
            cut = change > CUT_THRESHOLD and change > CUT_TO_MEDIAN_RATIO * usual
            if self._revoke_flash_cut(index, luma_grid):
                self.starts.pop()
                cut = False
            elif cut:
                if self._last_cut is None:
                    self._last_cut = (index, past[-1])
                self.starts.append(index)
            if not cut:
                self._recent_changes.append(change)
        if cut or (past and past[-1].shape != luma_grid.shape):
            past.clear()
            self._recent_changes.clear()
        past.append(luma_grid)
        middle = self._find_fade_middle(index)
        # A long fade is found by several lengths, and a cut explains what is near it.
        if middle is not None and (
            not self.starts or middle - self.starts[-1] > FADE_LENGTHS_FRAMES[1]
        ):
            self.starts.append(middle)
        return cut

    def _revoke_flash_cut(self, index: int, luma_grid: NDArray[np.float32]) -> bool:
        """Whether the picture is again what it was before the last cut."""
        if self._last_cut is None:
            return False
        at, before = self._last_cut
        if index - at > MAX_FLASH_FRAMES:
            self._last_cut = None
            return False
        if luma_difference(before, luma_grid) > FLASH_RETURN_THRESHOLD:
            return False
        self._last_cut = None
        # What was found in between hid the same shot.
        while self.starts[-1] != at:
            self.starts.pop()
        return True

    def _find_fade_middle(self, index: int) -> int | None:
        """Middle of a cross-fade that ends with the newest picture, or None."""
        for length in FADE_LENGTHS_FRAMES:
            if len(self._recent_grids) <= length:
                return None
            pictures = np.stack(list(self._recent_grids)[-length - 1 :])
            place = _find_fade_crossover(pictures)
            if place is not None:
                return index - length + place
        return None


def sample_luma_grid(frame: Frame) -> NDArray[np.float32]:
    """Brightness of a grid of points, 0 to 255 whatever the depth. [P]"""
    luma = frame.planes()[0]
    height, width = luma.shape[:2]
    down, across = max(1, height // GRID_POINTS_PER_SIDE), max(1, width // GRID_POINTS_PER_SIDE)
    grid = luma[down // 2 :: down, across // 2 :: across].astype(np.float32).ravel()
    return grid / 257 if luma.dtype == np.uint16 else grid


def luma_difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """How different two pictures' points are, whatever their exposure; 0 to about 1.6."""
    return float(np.abs(_normalize_luma(first) - _normalize_luma(second)).mean())


def _normalize_luma(points: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = points - points.mean()
    return np.asarray(centred / max(float(points.std()), MIN_CONTRAST_LEVELS), np.float32)


def _find_fade_crossover(luma_grids: NDArray[np.float32]) -> int | None:
    """Where the second picture outweighs the first in a sequence [L + 1, P] that fades from one
    to the other, directly or through black; None if it is something else."""
    first, last = luma_grids[0], luma_grids[-1]
    if luma_difference(first, last) <= 2 * CUT_THRESHOLD:
        return None
    ends = np.stack([first - first.mean(), last - last.mean()], 1)
    between = (luma_grids[1:-1] - luma_grids[1:-1].mean(1, keepdims=True)).T
    weights, *_ = np.linalg.lstsq(ends, between, rcond=None)
    left = ((between - ends @ weights) ** 2).sum()
    # The mean of the ends is not worth explaining: only what tells them apart is.
    whole = np.minimum(((between - ends[:, :1]) ** 2).sum(0), ((between - ends[:, 1:]) ** 2).sum(0))
    old, new = weights
    mixes = (old > 0.15) & (new > 0.15)
    if mixes.sum() < 2 or (weights < -0.15).any() or (weights > 1.15).any():
        return None
    if (np.diff(new) < -0.15).any() or (np.diff(old) > 0.15).any():
        return None
    if left > (1 - MIN_FADE_EXPLAINED_FRACTION) * whole.sum():
        return None
    return int(np.argmax(new > old)) + 1


def find_face_jumps(landmarks: NDArray[np.float32]) -> list[int]:
    """Frames at which the face is suddenly elsewhere or of another size: a cut that changes little
    else, or the detector went over to somebody else.

    Args:
        landmarks: px, NaN rows without a face. [N, L, 3]
    """
    frames = np.nonzero(np.isfinite(landmarks[:, 0, 0]))[0]
    if len(frames) < 2:
        return []
    measures = [
        _measure_face_extent(landmarks[frames[i : i + EXTENT_BLOCK_FRAMES], :, :2])
        for i in range(0, len(frames), EXTENT_BLOCK_FRAMES)
    ]
    centre, size, width = (np.concatenate(part) for part in zip(*measures, strict=True))
    moved = np.linalg.norm(np.diff(centre, axis=0), axis=1) / np.maximum(width[1:], 1e-6)
    grown = np.abs(np.diff(np.log(np.maximum(size, 1e-6))))
    far = ((moved > MAX_FACE_STEP_WIDTHS) | (grown > np.log(MAX_FACE_GROWTH_RATIO))) & (
        np.diff(frames) <= MAX_REDETECTION_GAP_FRAMES
    )
    return [int(frame) for frame in frames[1:][far]]


def _measure_face_extent(points: NDArray[np.float32]) -> tuple[NDArray, NDArray, NDArray]:
    """Middle [N, 2], mean distance from it [N] and width [N] of some points [N, L, 2]."""
    centre = points.mean(1)
    size = np.linalg.norm(points - centre[:, None], axis=-1).mean(1)
    return centre, size, np.ptp(points[..., 0], axis=1)


def number_shots(shot_starts: list[int], num_frames: int) -> NDArray[np.int32]:
    """Number of the shot of every frame, from 0 on. [N]"""
    edges = sorted({0, *(start for start in shot_starts if 0 < start < num_frames), num_frames})
    numbers = np.zeros(num_frames, np.int32)
    for number, (first, stop) in enumerate(pairwise(edges)):
        numbers[first:stop] = number
    return numbers
