"""Layout of the watermark: cells of the mouth window, their patterns, and the bits over time.

The window around the mouth mask (`dubfew.reconstruction.crop`) has 8 x 8 cells, of which the middle
6 x 4 are inside the mask. Each cell holds three smooth patterns with zero mean, so that brightness
and contrast of the whole picture have no effect. The weight of a pattern in the picture is its
*projection*, in levels of luma.

Time is cut into slots of 0.32 s; 16 slots are a round. In every slot the patterns carry other bits
with other offsets, so that no bit depends on one place of one face.

Everything here is part of the format ``dubfew.mouth.1`` and must not change: a reader needs the
same layout as the writer.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dubfew.marks.payload import PAYLOAD_BITS

# Cells across the window. More cells carry more votes but are smaller, and codecs remove small
# patterns first.
GRID_CELLS = 8
# The used cells: those that are inside the mask as a rule.
USED_ROWS, USED_COLUMNS = slice(2, 6), slice(1, 7)
NUM_CELLS = 24
# Samples across a cell: enough for the patterns below, and a window of 48 px needs no more.
CELL_SAMPLES = 6
# Samples across the window.
WINDOW_SAMPLES = GRID_CELLS * CELL_SAMPLES
# Half waves across and down a cell. No pattern is odd in both, so that every mean is zero, and all
# fade out towards the edge of the cell.
CELL_WAVES = ((2, 1), (1, 2), (2, 2))
# Patterns in a picture.
NUM_PATTERNS = NUM_CELLS * len(CELL_WAVES)
# Smallest fraction of a cell that must be paintable. In a cell with less the pattern would be cut
# and its mean no longer be zero.
MIN_PAINTABLE_SHARE = 0.85
# Duration of a slot, s. Shorter slots flicker, longer ones need longer videos.
SLOT_SECONDS = 0.32
# Slots after which the schedule repeats. More slots average over more places, but a reader must try
# each as the beginning.
ROUND_SLOTS = 16
# Seed of the schedule of bits.
SCHEDULE_SEED = b"dubfew watermark 1"

assert NUM_PATTERNS % PAYLOAD_BITS == 0, "every slot carries every bit equally often"


@cache
def cell_patterns() -> NDArray[np.float32]:  # [3, CELL_SAMPLES, CELL_SAMPLES]
    """Return the patterns of a cell, orthogonal and with a mean square of 1.

    Example:
        >>> cell_patterns().shape
        (3, 6, 6)
    """
    positions = (np.arange(CELL_SAMPLES) + 0.5) / CELL_SAMPLES
    waves = [
        np.outer(np.sin(np.pi * down * positions), np.sin(np.pi * across * positions))
        for across, down in CELL_WAVES
    ]
    return np.stack([wave / np.sqrt((wave**2).mean()) for wave in waves]).astype(np.float32)


@cache
def bit_schedule() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the bit that each pattern carries in each slot, and the dither of its quantizer.

    Returns:
        Numbers of bits [ROUND_SLOTS, NUM_PATTERNS] and offsets in [0, 1), in steps of the
        quantizer [ROUND_SLOTS, NUM_PATTERNS].
    """
    count = ROUND_SLOTS * NUM_PATTERNS
    # SHAKE-256, because the numbers of NumPy's generators may change between versions.
    stream = hashlib.shake_256(SCHEDULE_SEED).digest(2 * 4 * count)
    ranks, offsets = np.frombuffer(stream, "<u4").reshape(2, ROUND_SLOTS, NUM_PATTERNS)
    # Sorting random numbers gives a random permutation for each slot.
    bits = np.argsort(ranks, axis=1, kind="stable") % PAYLOAD_BITS
    return bits.astype(np.int64), offsets / 2.0**32


def slots_from_times(times: NDArray) -> NDArray[np.int64]:
    """Return the slot of the round, 0 to 15, for times in s.

    Example:
        >>> slots_from_times(np.array([0.0, 0.32, 5.12]))
        array([0, 1, 0])
    """
    # The tolerance keeps frames that are due exactly at a slot's start out of the slot before.
    return np.floor(np.asarray(times) / SLOT_SECONDS + 1e-6).astype(np.int64) % ROUND_SLOTS


def split_cells(samples: NDArray) -> NDArray:
    """Cut the used cells out of sampled windows.

    Args:
        samples: sampled windows. [..., WINDOW_SAMPLES, WINDOW_SAMPLES]

    Returns:
        The cells, row by row. [..., NUM_CELLS, CELL_SAMPLES, CELL_SAMPLES]
    """
    batch = samples.shape[:-2]
    grid = samples.reshape(*batch, GRID_CELLS, CELL_SAMPLES, GRID_CELLS, CELL_SAMPLES)
    used = grid.swapaxes(-3, -2)[..., USED_ROWS, USED_COLUMNS, :, :]
    return used.reshape(*batch, NUM_CELLS, CELL_SAMPLES, CELL_SAMPLES)


def project_patterns(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Project sampled windows on all patterns.

    Args:
        samples: luma of sampled windows, levels. [..., WINDOW_SAMPLES, WINDOW_SAMPLES]

    Returns:
        Weight of every pattern, levels. [..., NUM_PATTERNS]
    """
    flat = split_cells(samples).reshape(*samples.shape[:-2], NUM_CELLS, -1)
    weights = flat @ cell_patterns().reshape(len(CELL_WAVES), -1).T / CELL_SAMPLES**2
    return weights.reshape(*samples.shape[:-2], NUM_PATTERNS)


def render_patterns(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add up all patterns with their weights; `project_patterns` returns the weights again.

    Args:
        weights: weight of every pattern, levels. [NUM_PATTERNS]

    Returns:
        The sampled window. [WINDOW_SAMPLES, WINDOW_SAMPLES]
    """
    cells = weights.reshape(NUM_CELLS, -1) @ cell_patterns().reshape(len(CELL_WAVES), -1)
    grid = np.zeros((GRID_CELLS, GRID_CELLS, CELL_SAMPLES, CELL_SAMPLES), np.float32)
    used = grid[USED_ROWS, USED_COLUMNS]
    used[...] = cells.reshape(used.shape)
    return grid.swapaxes(1, 2).reshape(WINDOW_SAMPLES, WINDOW_SAMPLES)


def downsampling_weights(
    window_start: float, window_side: float, num_pixels: int
) -> NDArray[np.float32]:  # [WINDOW_SAMPLES, num_pixels]
    """Return the matrix that averages pixels to the samples of a window, along one axis.

    Args:
        window_start: start of the window, px from the edge of the first pixel.
        window_side: side of the window, px.
        num_pixels: number of pixels.
    """
    # Each sample is the mean of the pixels that it covers, weighted by the covered part.
    edges = window_start + np.arange(WINDOW_SAMPLES + 1) * (window_side / WINDOW_SAMPLES)
    pixel = np.arange(num_pixels)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    overlap = np.maximum(overlap, 0)
    return (overlap / np.maximum(overlap.sum(1, keepdims=True), 1e-6)).astype(np.float32)


def upsampling_weights(
    window_start: float, window_side: float, num_pixels: int
) -> NDArray[np.float32]:  # [num_pixels, WINDOW_SAMPLES]
    """Return the matrix that interpolates samples of a window linearly to pixels, along one axis.

    Args:
        window_start: start of the window, px from the edge of the first pixel.
        window_side: side of the window, px.
        num_pixels: number of pixels.
    """
    positions = (np.arange(num_pixels) + 0.5 - window_start) * (WINDOW_SAMPLES / window_side) - 0.5
    weights = 1 - np.abs(positions[:, None] - np.arange(WINDOW_SAMPLES))
    return np.maximum(weights, 0).astype(np.float32)
