"""Shot boundaries while the frames stream by: cuts, cross-fades and dips to black."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dubfew.media import Frame
from dubfew.utils.growable_array import map_row_blocks

# Sampled points across and down. More points cost time in every frame; fewer show less of the
# difference between two similar shots.
GRID_POINTS_PER_SIDE = 32
# A cut changes the points by more than this on average, in standard deviations of the frame.
# Lower values take a fast pan for a cut.
CUT_THRESHOLD = 0.35
# A cut also exceeds the median of the changes before it by this factor, so that fast motion that
# goes on is not cut into pieces.
CUT_TO_MEDIAN_RATIO = 4.0
# Changes that this median is taken of. A median, so that one flash does not count.
MEDIAN_WINDOW_FRAMES = 12
# A cut is taken back if the frame before it comes back within this many frames (0.4 s at 25 fps):
# a flash, or somebody who walked past the camera. The difference that counts as "back" is smaller
# than that of a cut.
FLASH_RETURN_THRESHOLD, MAX_FLASH_FRAMES = 0.3, 10
# Lengths of cross-fades that are searched for, frames. Each finds fades of about half to all of
# its length, so these three find fades of 3 to 24 frames.
FADE_LENGTHS_FRAMES = (6, 12, 24)
# Fraction of the change within a fade that mixtures of its first and last frame must explain.
# Lower values take motion for a fade.
MIN_FADE_EXPLAINED_FRACTION = 0.7
# Mixing weights may leave [0, 1], or run backwards, by this much: noise of the least squares.
FADE_WEIGHT_TOLERANCE = 0.15
# Standard deviation below which a frame is uniform (black, white or gray), levels of 0 to 255.
# It limits the normalization of such frames, whose noise would otherwise look like a cut.
MIN_CONTRAST_LEVELS = 3.0
# Largest step of a face's center from one frame to the next, in widths of the face. The fastest
# face of the test clips moves 0.32 widths.
MAX_FACE_STEP_WIDTHS = 0.6
# Largest growth of a face from one frame to the next.
MAX_FACE_GROWTH_RATIO = 1.3
# After a cut the detector may need this many frames to find the face again. Over longer gaps a
# face may really have moved.
MAX_REDETECTION_GAP_FRAMES = 3


class ShotDetector:
    """Find the first frames of new shots. Feed it frames in order.

    The detector compares the brightness of a grid of points, normalized for exposure. Hard cuts
    are reported at once, cross-fades when they are over. A flash is taken back a few frames later,
    so that ``starts`` is final only after the last frame.

    Attributes:
        starts: first frames of all shots but the first one, rising.
    """

    def __init__(self) -> None:
        self.starts: list[int] = []
        self._recent_grids: deque[NDArray[np.float32]] = deque(maxlen=max(FADE_LENGTHS_FRAMES) + 1)
        self._recent_changes: deque[float] = deque(maxlen=MEDIAN_WINDOW_FRAMES)
        # Index of the last cut and the frame before it, for as long as it may be taken back.
        self._last_cut: tuple[int, NDArray[np.float32]] | None = None

    def update(self, frame: Frame) -> bool:
        """Add the next frame; return True if it begins a new shot."""
        return self.update_from_grid(frame.index, sample_luma_grid(frame))

    def update_from_grid(self, index: int, luma_grid: NDArray[np.float32]) -> bool:
        """Add the next frame by its brightness grid, as `sample_luma_grid` gives it.

        Args:
            index: number of the frame.
            luma_grid: brightness of its points, 0 to 255. [P]

        Returns:
            True if a hard cut lies before this frame.
        """
        past = self._recent_grids
        is_cut = False
        # A change of the frame size gives another number of points: a new start, not a cut.
        if past and past[-1].shape == luma_grid.shape:
            change = luma_difference(past[-1], luma_grid)
            usual = float(np.median(self._recent_changes)) if self._recent_changes else change
            is_cut = change > CUT_THRESHOLD and change > CUT_TO_MEDIAN_RATIO * usual
            # The frame from before the last cut is back: both cuts were the edges of a flash.
            if self._revoke_flash_cut(index, luma_grid):
                self.starts.pop()
                is_cut = False
            elif is_cut:
                if self._last_cut is None:
                    self._last_cut = (index, past[-1])
                self.starts.append(index)
            if not is_cut:
                self._recent_changes.append(change)
        # A new shot has another amount of motion, and no fade reaches over a cut.
        if is_cut or (past and past[-1].shape != luma_grid.shape):
            past.clear()
            self._recent_changes.clear()
        past.append(luma_grid)
        middle = self._find_fade_middle(index)
        # One long fade is found by several lengths, and a cut explains a fade next to it.
        if middle is not None and (
            not self.starts or middle - self.starts[-1] > FADE_LENGTHS_FRAMES[1]
        ):
            self.starts.append(middle)
        return is_cut

    def _revoke_flash_cut(self, index: int, luma_grid: NDArray[np.float32]) -> bool:
        """Return True if the frame equals the one before the last cut, and forget this cut."""
        if self._last_cut is None:
            return False
        cut_index, before = self._last_cut
        if index - cut_index > MAX_FLASH_FRAMES:
            self._last_cut = None
            return False
        if luma_difference(before, luma_grid) > FLASH_RETURN_THRESHOLD:
            return False
        self._last_cut = None
        # Boundaries found since then lie inside of the flash, in the same shot.
        while self.starts[-1] != cut_index:
            self.starts.pop()
        return True

    def _find_fade_middle(self, index: int) -> int | None:
        """Find the middle of a cross-fade that ends with the newest frame, or None."""
        for length in FADE_LENGTHS_FRAMES:
            if len(self._recent_grids) <= length:
                return None
            crossover = _find_fade_crossover(np.stack(list(self._recent_grids)[-length - 1 :]))
            if crossover is not None:
                return index - length + crossover
        return None


def sample_luma_grid(frame: Frame) -> NDArray[np.float32]:
    """Sample the brightness of a grid of points, 0 to 255 for every bit depth. [P]"""
    luma = frame.planes()[0]
    height, width = luma.shape[:2]
    down, across = max(1, height // GRID_POINTS_PER_SIDE), max(1, width // GRID_POINTS_PER_SIDE)
    grid = luma[down // 2 :: down, across // 2 :: across].astype(np.float32).ravel()
    return grid / 257 if luma.dtype == np.uint16 else grid


def luma_difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Measure the difference of two frames' points, independent of exposure.

    Args:
        first: brightness of the points of one frame. [P]
        second: brightness of the same points of another frame. [P]

    Returns:
        Mean absolute difference in standard deviations: 0 for equal frames, at most about 1.6.
    """
    return float(np.abs(_normalize_luma(first) - _normalize_luma(second)).mean())


def _normalize_luma(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale brightness to mean 0 and standard deviation 1; less where there is no contrast."""
    centered = points - points.mean()
    return np.asarray(centered / max(float(points.std()), MIN_CONTRAST_LEVELS), np.float32)


def _find_fade_crossover(luma_grids: NDArray[np.float32]) -> int | None:
    """Find the frame at which the last frame of a fade outweighs its first one.

    The frames [L + 1, P] fade directly or through black; None if they do something else.
    """
    first, last = luma_grids[0], luma_grids[-1]
    # The ends of a fade are two shots, so they differ more than the two sides of a cut must.
    if luma_difference(first, last) <= 2 * CUT_THRESHOLD:
        return None
    # Explain every frame between as a mixture of both ends, by least squares. Means are removed,
    # so that a dip to black, which lowers all points, fits as well.
    ends = np.stack([first - first.mean(), last - last.mean()], 1)
    between = (luma_grids[1:-1] - luma_grids[1:-1].mean(1, keepdims=True)).T
    weights, *_ = np.linalg.lstsq(ends, between, rcond=None)
    unexplained = ((between - ends @ weights) ** 2).sum()
    # What both ends have in common needs no explanation: compare with the nearer end alone.
    to_explain = np.minimum(
        ((between - ends[:, :1]) ** 2).sum(0), ((between - ends[:, 1:]) ** 2).sum(0)
    )
    old, new = weights
    # At least two frames must be real mixtures, and no weight may leave the range of a mixture.
    mixtures = (old > FADE_WEIGHT_TOLERANCE) & (new > FADE_WEIGHT_TOLERANCE)
    if (
        mixtures.sum() < 2
        or (weights < -FADE_WEIGHT_TOLERANCE).any()
        or (weights > 1 + FADE_WEIGHT_TOLERANCE).any()
    ):
        return None
    # The new shot must come and the old one must go, not the other way round.
    if (np.diff(new) < -FADE_WEIGHT_TOLERANCE).any():
        return None
    if (np.diff(old) > FADE_WEIGHT_TOLERANCE).any():
        return None
    if unexplained > (1 - MIN_FADE_EXPLAINED_FRACTION) * to_explain.sum():
        return None
    return int(np.argmax(new > old)) + 1


def find_face_jumps(landmarks: NDArray[np.float32]) -> list[int]:
    """Find the frames at which a face suddenly has another position or size.

    Such a jump is a cut that changes little else in the frame, or a detector that switched to
    another person.

    Args:
        landmarks: px, NaN in frames without a face. [N, L, 3]

    Returns:
        Frame numbers, rising.
    """
    # Block by block: the landmarks of a long clip would fill gigabytes as a copy.
    extents = map_row_blocks(_measure_face_extent, landmarks)
    frames = np.nonzero(np.isfinite(extents[:, 0]))[0]
    if len(frames) < 2:
        return []
    center, size, width = extents[frames, :2], extents[frames, 2], extents[frames, 3]
    step = np.linalg.norm(np.diff(center, axis=0), axis=1) / np.maximum(width[1:], 1e-6)
    growth = np.abs(np.diff(np.log(np.maximum(size, 1e-6))))
    is_jump = ((step > MAX_FACE_STEP_WIDTHS) | (growth > np.log(MAX_FACE_GROWTH_RATIO))) & (
        np.diff(frames) <= MAX_REDETECTION_GAP_FRAMES
    )
    return [int(frame) for frame in frames[1:][is_jump]]


def _measure_face_extent(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Measure center x and y, mean distance from it and width of landmarks [N, L, 3]. [N, 4]"""
    points = landmarks[..., :2]
    center = points.mean(1)
    size = np.linalg.norm(points - center[:, None], axis=-1).mean(1)
    return np.column_stack([center, size, np.ptp(points[..., 0], axis=1)])


def number_shots(shot_starts: list[int], num_frames: int) -> NDArray[np.int32]:
    """Number the shot of every frame.

    Args:
        shot_starts: first frames of all shots but the first one.
        num_frames: number of frames.

    Returns:
        Shot numbers from 0 on. [N]

    Example:
        >>> number_shots([3], 5).tolist()
        [0, 0, 0, 1, 1]
    """
    edges = sorted({0, *(start for start in shot_starts if 0 < start < num_frames), num_frames})
    numbers = np.zeros(num_frames, np.int32)
    for number, (first, stop) in enumerate(pairwise(edges)):
        numbers[first:stop] = number
    return numbers
