"""Where in the mouth the watermark's bits lie: cells, their patterns, and the order over time.

The window around the mouth mask (`dubfew.reconstruction.crop`) is laid out as 8 x 8 cells, of
which the middle 6 x 4 lie in the mask. Each cell holds three smooth patterns with a mean of zero,
so that brightness and contrast of the whole picture say nothing. What a pattern weighs in the
picture is its *projection*, in levels of luma.

Time is cut into slots of 0.32 s, 16 of which make a round. In every slot other patterns carry other
bits on other steps of the scale, so that no bit depends on one place of one face.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dubfew.marks.payload import PAYLOAD_BITS

GRID_CELLS = 8  # cells across the window
USED_ROWS, USED_COLUMNS = slice(2, 6), slice(1, 7)  # of the cells that are used
CELL_SAMPLES = 6  # of the picture across a cell
WINDOW_SAMPLES = GRID_CELLS * CELL_SAMPLES  # samples across the window
NUM_CELLS = 24
# Half waves across and down a cell. None is odd both ways, so that every mean is zero, and all
# fade out towards the cell's edge.
CELL_WAVES = ((2, 1), (1, 2), (2, 2))
NUM_PATTERNS = NUM_CELLS * len(CELL_WAVES)  # patterns in a picture
SLOT_SECONDS = 0.32  # s
ROUND_SLOTS = 16  # slots
SCHEDULE_SEED = b"dubfew watermark 1"

assert NUM_PATTERNS % PAYLOAD_BITS == 0, "every slot carries every bit equally often"


@cache
def cell_patterns() -> NDArray[np.float32]:  # [3, SAMPLES, SAMPLES]
    """The patterns of a cell, each with a mean square of 1."""
    at = (np.arange(CELL_SAMPLES) + 0.5) / CELL_SAMPLES
    waves = [
        np.outer(np.sin(np.pi * down * at), np.sin(np.pi * across * at))
        for across, down in CELL_WAVES
    ]
    return np.stack([wave / np.sqrt((wave**2).mean()) for wave in waves]).astype(np.float32)


@cache
def bit_schedule() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which bit each pattern carries in each slot, and where its scale begins.

    Returns:
        Bits [ROUND, PLACES] and offsets in [0, 1) of a step [ROUND, PLACES]. From SHAKE-256, not
        from NumPy's generators, whose numbers may change between versions.
    """
    count = ROUND_SLOTS * NUM_PATTERNS
    stream = hashlib.shake_256(SCHEDULE_SEED).digest(2 * 4 * count)
    ranks, offsets = np.frombuffer(stream, "<u4").reshape(2, ROUND_SLOTS, NUM_PATTERNS)
    bits = np.argsort(ranks, axis=1, kind="stable") % PAYLOAD_BITS
    return bits.astype(np.int64), offsets / 2.0**32


def slots_from_times(times: NDArray) -> NDArray[np.int64]:
    """The slot of the round for times in s."""
    return np.floor(np.asarray(times) / SLOT_SECONDS + 1e-6).astype(np.int64) % ROUND_SLOTS


def split_cells(samples: NDArray) -> NDArray:
    """The used cells of sampled windows [..., SIZE, SIZE]. [..., CELLS, SAMPLES, SAMPLES]"""
    some = samples.shape[:-2]
    apart = samples.reshape(*some, GRID_CELLS, CELL_SAMPLES, GRID_CELLS, CELL_SAMPLES).swapaxes(
        -3, -2
    )
    return apart[..., USED_ROWS, USED_COLUMNS, :, :].reshape(
        *some, NUM_CELLS, CELL_SAMPLES, CELL_SAMPLES
    )


def project_patterns(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What every pattern weighs in sampled windows [..., SIZE, SIZE], levels. [..., PLACES]"""
    flat = split_cells(samples).reshape(*samples.shape[:-2], NUM_CELLS, -1)
    weights = flat @ cell_patterns().reshape(len(CELL_WAVES), -1).T / CELL_SAMPLES**2
    return weights.reshape(*samples.shape[:-2], NUM_PATTERNS)


def render_patterns(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum of all patterns with these weights [PLACES]. [SIZE, SIZE]"""
    drawn = weights.reshape(NUM_CELLS, -1) @ cell_patterns().reshape(len(CELL_WAVES), -1)
    apart = np.zeros((GRID_CELLS, GRID_CELLS, CELL_SAMPLES, CELL_SAMPLES), np.float32)
    used = apart[USED_ROWS, USED_COLUMNS]
    used[...] = drawn.reshape(used.shape)
    return apart.swapaxes(1, 2).reshape(WINDOW_SAMPLES, WINDOW_SAMPLES)


def downsampling_weights(
    window_start: float, window_side: float, num_pixels: int
) -> NDArray[np.float32]:  # [SIZE, count]
    """Weights that average ``num_pixels`` pixels to samples of a window, along one axis.

    Args:
        window_start: where the window begins, px from the first pixel's edge.
        window_side: of the window, px.
        num_pixels: pixels.
    """
    edges = window_start + np.arange(WINDOW_SAMPLES + 1) * (window_side / WINDOW_SAMPLES)
    pixel = np.arange(num_pixels)
    shared = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    shared = np.maximum(shared, 0)
    return (shared / np.maximum(shared.sum(1, keepdims=True), 1e-6)).astype(np.float32)


def upsampling_weights(
    window_start: float, window_side: float, num_pixels: int
) -> NDArray[np.float32]:  # [count, SIZE]
    """Weights that draw samples of a window on ``num_pixels`` pixels, linearly. See "
    "`downsampling_weights`."""
    at = (np.arange(num_pixels) + 0.5 - window_start) * (WINDOW_SAMPLES / window_side) - 0.5
    near = 1 - np.abs(at[:, None] - np.arange(WINDOW_SAMPLES))
    return np.maximum(near, 0).astype(np.float32)
