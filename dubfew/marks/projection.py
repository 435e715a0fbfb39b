"""Projection of tracked mouths on the watermark's patterns, frame by frame."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.marks.pattern import (
    CELL_WAVES,
    MIN_PAINTABLE_SHARE,
    WINDOW_SAMPLES,
    downsampling_weights,
    project_patterns,
    split_cells,
)
from dubfew.media import Frame, read_frames
from dubfew.media.pixels import MATRIX_BT709, NATIVE_FORMATS, RANGE_FULL, rgb_to_yuv_matrix
from dubfew.media.working_color import find_working_color
from dubfew.reconstruction.crop import MASK_FEATHER_FRACTION, FaceRegions, render_soft_mask
from dubfew.reconstruction.track import Track

# Shifts of the window, as fractions of its side, and scales that are tried. After re-encoding the
# tracker finds a slightly different window; larger ranges take longer and were not needed.
WINDOW_SHIFTS = (-0.01, 0.0, 0.01)
WINDOW_SCALES = (0.985, 1.0, 1.015)
# Gradient from which a cell is steep, levels per sample. There a misplaced window changes the
# projections most.
STEEP_GRADIENT_LEVELS = 4.0
# Exponent of the reliability of steep cells. With 1 so few cells counted that six clips were read
# with a quarter less certainty; with 0 a mouth in motion is as good as a cheek.
STEEPNESS_EXPONENT = 0.25


@dataclass(frozen=True)
class TrackedMouth:
    """The mouth of one face in some frames of a video.

    Attributes:
        track: where the face is in each frame.
        regions: mask and window of the mouth in each frame.
    """

    track: Track
    regions: FaceRegions


@dataclass(frozen=True)
class WatermarkProjections:
    """Projections of one mouth in N frames, for all A window variants.

    Attributes:
        projections: weights of the patterns, levels. [N, A, NUM_PATTERNS]
        weights: reliability of each pattern, 0 to 1. [N, NUM_PATTERNS]
        times: times of the frames, s. [N]
    """

    projections: NDArray[np.float32]
    weights: NDArray[np.float32]
    times: NDArray[np.float64]


# All combinations of a shift across, a shift down and a scale; the unchanged window comes first.
WINDOW_VARIANTS = sorted(
    itertools.product(WINDOW_SHIFTS, WINDOW_SHIFTS, WINDOW_SCALES),
    key=lambda a: a != (0.0, 0.0, 1.0),
)


def project_mouths(
    path: Path, mouths: Sequence[TrackedMouth], start: int, stop: int | None
) -> list[WatermarkProjections]:
    """Project mouths on the patterns, in every frame in which they are seen.

    Args:
        path: the video.
        mouths: tracked in the frames from ``start`` to ``stop``.
        start: first frame.
        stop: frame after the last one, or None for all frames.

    Returns:
        One entry for each mouth that is seen in any frame, in the order of ``mouths``.
    """
    # The video is decoded once for all mouths.
    rows: list[list[tuple[NDArray, NDArray, float]]] = [[] for _ in mouths]
    for row, frame in enumerate(read_frames(path, start=start, stop=stop)):
        for mouth, found in zip(mouths, rows, strict=True):
            if row < len(mouth.track) and mouth.track.valid[row]:
                samples = sample_window_luma(frame, mouth.regions.window[row])
                weights = reliability_weights(samples[0], mouth.regions, row)
                found.append((project_patterns(samples), weights, frame.time))
    return [
        WatermarkProjections(*(np.array(part) for part in zip(*found, strict=True)))
        for found in rows
        if found
    ]


def sample_window_luma(frame: Frame, window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sample the luma of a window in all `WINDOW_VARIANTS`.

    Args:
        frame: the frame.
        window: left, top, side, px. [3]

    Returns:
        Luma, levels; 0 outside the frame. [A, WINDOW_SAMPLES, WINDOW_SAMPLES]
    """
    left, top, side = map(float, window)
    # Read the box that all variants together need, once.
    reach = side * (max(WINDOW_SHIFTS) + max(WINDOW_SCALES) - 1)
    x0, y0 = max(int(left - reach), 0), max(int(top - reach), 0)
    x1 = min(int(np.ceil(left + side + reach)), frame.width)
    y1 = min(int(np.ceil(top + side + reach)), frame.height)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((len(WINDOW_VARIANTS), WINDOW_SAMPLES, WINDOW_SAMPLES), np.float32)
    part = crop_luma(frame, x0, y0, x1, y1)
    # Resampling is separable: for each scale, all shifts across and down are two matrices.
    sampled = {}
    for scale in WINDOW_SCALES:
        margin, size = side * (1 - scale) / 2, side * scale
        down, across = (
            np.concatenate(
                [
                    downsampling_weights(low + margin + shift * side, size, count)
                    for shift in WINDOW_SHIFTS
                ]
            )
            for low, count in ((top - y0, y1 - y0), (left - x0, x1 - x0))
        )
        both = (down @ part @ across.T).reshape(
            len(WINDOW_SHIFTS), WINDOW_SAMPLES, len(WINDOW_SHIFTS), WINDOW_SAMPLES
        )
        for i, j in itertools.product(range(len(WINDOW_SHIFTS)), repeat=2):
            sampled[WINDOW_SHIFTS[j], WINDOW_SHIFTS[i], scale] = both[i, :, j]
    return np.stack([sampled[variant] for variant in WINDOW_VARIANTS])


def crop_luma(frame: Frame, left: int, top: int, right: int, bottom: int) -> NDArray[np.float32]:
    """Read the luma of a box as the file stores it, or in working color, in levels 0 to 255.

    Args:
        frame: the frame.
        left: left edge of the box, px.
        top: top edge, px.
        right: right edge, px, exclusive.
        bottom: bottom edge, px, exclusive.

    Returns:
        Luma, levels. [bottom - top, right - left]
    """
    form = NATIVE_FORMATS[frame.pix_fmt]
    # Formats without a luma plane: compute it as an encoder would. The mark of HDR and wide gamuts
    # lies in the working color, that of anamorphic pictures in square pixels: there mouths are
    # painted.
    is_converted = find_working_color(frame.color) is not None
    if form.kind in ("rgb", "gbrp") or is_converted or frame.aspect != 1:
        matrix = MATRIX_BT709 if is_converted else frame.matrix
        weights, _ = rgb_to_yuv_matrix(matrix, True, 8)
        return frame.crop_levels(left, top, right, bottom) @ weights[:, 0]
    luma = frame.planes()[0][top:bottom, left:right].astype(np.float32) / 2 ** (form.bits - 8)
    if frame.color.range_for(form) != RANGE_FULL:
        luma = (luma - 16) * (255 / 219)
    return luma.astype(np.float32)


def reliability_weights(
    samples: NDArray[np.float32], regions: FaceRegions, row: int
) -> NDArray[np.float32]:
    """Estimate the reliability of each pattern in a frame.

    Args:
        samples: luma of the sampled window, levels. [WINDOW_SAMPLES, WINDOW_SAMPLES]
        regions: mask and window of the mouth.
        row: row of the frame in ``regions``.

    Returns:
        Reliability, 0 to 1; 0 where the writer marks nothing. [NUM_PATTERNS]
    """
    left, top, side = map(float, regions.window[row])
    mask = render_soft_mask(
        regions.hull[row],
        MASK_FEATHER_FRACTION * side,
        left,
        top,
        side / WINDOW_SAMPLES,
        WINDOW_SAMPLES,
        WINDOW_SAMPLES,
    )
    # A cell counts where the writer marks it, as any other holds nothing but noise, and counts the
    # less the steeper its picture is.
    inside = (split_cells(mask) > 0).mean((1, 2)) >= MIN_PAINTABLE_SHARE
    down, across = np.gradient(samples)
    steep = split_cells(np.abs(down) + np.abs(across)).mean((1, 2))
    reliability = (1 + (steep / STEEP_GRADIENT_LEVELS) ** 2) ** -STEEPNESS_EXPONENT
    return np.repeat(inside * reliability, len(CELL_WAVES)).astype(np.float32)
