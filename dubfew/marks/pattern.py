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

from dubfew.marks.payload import BITS

GRID = 8  # cells across the window
ROWS, COLUMNS = slice(2, 6), slice(1, 7)  # of the cells that are used
SAMPLES = 6  # of the picture across a cell
SIZE = GRID * SAMPLES  # samples across the window
CELLS = 24
# Half waves across and down a cell. None is odd both ways, so that every mean is zero, and all
# fade out towards the cell's edge.
WAVES = ((2, 1), (1, 2), (2, 2))
PLACES = CELLS * len(WAVES)  # patterns in a picture
SLOT = 0.32  # s
ROUND = 16  # slots
SEED = b"dubfew watermark 1"

assert PLACES % BITS == 0, "every slot carries every bit equally often"


@cache
def patterns() -> NDArray[np.float32]:  # [3, SAMPLES, SAMPLES]
    """The patterns of a cell, each with a mean square of 1."""
    at = (np.arange(SAMPLES) + 0.5) / SAMPLES
    waves = [
        np.outer(np.sin(np.pi * down * at), np.sin(np.pi * across * at)) for across, down in WAVES
    ]
    return np.stack([wave / np.sqrt((wave**2).mean()) for wave in waves]).astype(np.float32)


@cache
def order() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which bit each pattern carries in each slot, and where its scale begins.

    Returns:
        Bits [ROUND, PLACES] and offsets in [0, 1) of a step [ROUND, PLACES]. From SHAKE-256, not
        from NumPy's generators, whose numbers may change between versions.
    """
    count = ROUND * PLACES
    stream = hashlib.shake_256(SEED).digest(2 * 4 * count)
    ranks, offsets = np.frombuffer(stream, "<u4").reshape(2, ROUND, PLACES)
    bits = np.argsort(ranks, axis=1, kind="stable") % BITS
    return bits.astype(np.int64), offsets / 2.0**32


def slots(times: NDArray) -> NDArray[np.int64]:
    """The slot of the round for times in s."""
    return np.floor(np.asarray(times) / SLOT + 1e-6).astype(np.int64) % ROUND


def cells(samples: NDArray) -> NDArray:
    """The used cells of sampled windows [..., SIZE, SIZE]. [..., CELLS, SAMPLES, SAMPLES]"""
    some = samples.shape[:-2]
    apart = samples.reshape(*some, GRID, SAMPLES, GRID, SAMPLES).swapaxes(-3, -2)
    return apart[..., ROWS, COLUMNS, :, :].reshape(*some, CELLS, SAMPLES, SAMPLES)


def project(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What every pattern weighs in sampled windows [..., SIZE, SIZE], levels. [..., PLACES]"""
    flat = cells(samples).reshape(*samples.shape[:-2], CELLS, -1)
    weights = flat @ patterns().reshape(len(WAVES), -1).T / SAMPLES**2
    return weights.reshape(*samples.shape[:-2], PLACES)


def picture(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum of all patterns with these weights [PLACES]. [SIZE, SIZE]"""
    drawn = weights.reshape(CELLS, -1) @ patterns().reshape(len(WAVES), -1)
    apart = np.zeros((GRID, GRID, SAMPLES, SAMPLES), np.float32)
    used = apart[ROWS, COLUMNS]
    used[...] = drawn.reshape(used.shape)
    return apart.swapaxes(1, 2).reshape(SIZE, SIZE)


def gather(low: float, side: float, count: int) -> NDArray[np.float32]:  # [SIZE, count]
    """Weights that average ``count`` pixels to samples of a window, along one axis.

    Args:
        low: where the window begins, px from the first pixel's edge.
        side: of the window, px.
        count: pixels.
    """
    edges = low + np.arange(SIZE + 1) * (side / SIZE)
    pixel = np.arange(count)
    shared = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    shared = np.maximum(shared, 0)
    return (shared / np.maximum(shared.sum(1, keepdims=True), 1e-6)).astype(np.float32)


def spread(low: float, side: float, count: int) -> NDArray[np.float32]:  # [count, SIZE]
    """Weights that draw samples of a window on ``count`` pixels, linearly. See `gather`."""
    at = (np.arange(count) + 0.5 - low) * (SIZE / side) - 0.5
    near = 1 - np.abs(at[:, None] - np.arange(SIZE))
    return np.maximum(near, 0).astype(np.float32)
