"""An invisible watermark inside the painted mouth: who asks finds the id of the rendering.

Every bit is told by where projections on smooth patterns fall on a scale of steps: quantisation
index modulation with dither, on which the DWT-DCT-SVD watermark that papers 002 and 003 cite
(``invisible-watermark``: quantised singular values of DCT blocks in a Haar band) rests as well.

Why not that package, or another: ``invisible-watermark``, ``blind-watermark`` and ``videoseal``
import OpenCV, which no bare system can; ``videoseal`` and ``trustmark`` are networks that fetch
their weights. All of them mark whole pictures on a grid of their own, but pixels outside the
mouth's mask are not to change, and the box around the mask moves and grows with the face, so that
reader and writer only agree on it to a hundredth: hence patterns in the face's own measure, and
votes that change their places over time. docs/marks.md compares.

Source: Chen and Wornell 2001, Quantization Index Modulation, sec. IV (distortion-compensated,
spread-transform dither modulation).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.marks.pattern import (
    PLACES,
    ROUND,
    SLOT,
    WAVES,
    cells,
    gather,
    order,
    picture,
    project,
    slots,
    spread,
)
from dubfew.marks.payload import word
from dubfew.media import Frame
from dubfew.media.pixels import rgb_to_yuv

# Steps of the scale, levels of luma. A small face has few pixels to average codec noise over.
STEP_SMALL, STEP_LARGE = 4.0, 2.0
LARGE = 256  # px across the window
# Share of the way to the wished place on the scale: less is less visible, and at the noise of
# codecs hardly worse to read.
COMPENSATION = 0.75
# A video whose beginning was cut off starts at one of so many times in the round of slots.
STARTS = 4 * ROUND
# A cell is marked when this much of it may be painted.
FREE = 0.85


class Marker:
    """Writes one id into the frames of a video, in order. Frames do not depend on each other."""

    def __init__(self, identifier: str) -> None:
        """Raises DubfewError for an id that is none."""
        self.id = identifier
        self._word = word(identifier)
        self._step: float | None = None  # that of the first frame, so that readers may add up

    def mark(
        self,
        frame: Frame,
        rgb: NDArray[np.float32],  # [h, w, 3]
        inside: NDArray[np.bool_],  # [h, w]
        corner: tuple[int, int],
        window: NDArray[np.float32],  # [3]
    ) -> None:
        """Mark what is to be painted into a frame, in place.

        Args:
            frame: which is to be painted; its time and its colours count.
            rgb: the paint, levels 0 to 255. Changed by a level or two.
            inside: where it may change.
            corner: x and y of the paint in the frame, px.
            window: around the mouth: left, top, side, px.
        """
        (left, top, side), (x, y) = map(float, window), corner
        # The file holds luma as the frame's own matrix makes it.
        luma = rgb_to_yuv(frame.colour.matrix_for(frame.height), True, 8)[0][:, 0]
        if self._step is None:
            self._step = STEP_LARGE if side >= LARGE else STEP_SMALL
        height, width = inside.shape
        rows, columns = gather(top - y, side, height), gather(left - x, side, width)
        seen = project(rows @ (rgb @ luma) @ columns.T)
        weights = offsets_to(seen, self._word, self._step, frame.time)
        free = (cells(rows @ inside.astype(np.float32) @ columns.T) > 0.5).mean((1, 2)) >= FREE
        weights = weights * np.repeat(free, len(WAVES)) * COMPENSATION
        drawn = picture(weights.astype(np.float32))
        added = spread(top - y, side, height) @ drawn @ spread(left - x, side, width).T
        rgb += np.where(inside, added, 0)[..., None]
        np.clip(rgb, 0, 255, out=rgb)


def offsets_to(
    projections: NDArray, bits: NDArray[np.uint8], step: float, time: float
) -> NDArray[np.float64]:
    """From projections to the nearest places on the scale that tell the bits, levels. [PLACES]"""
    carried, offsets = order()
    slot = slots(np.array(time))
    wished = (offsets[slot] + 0.5 * bits[carried[slot]]) * step
    apart = wished - projections
    return apart - step * np.round(apart / step)


def gathered(
    projections: NDArray[np.float32],  # [N, A, PLACES]
    trust: NDArray[np.float32],  # [N, PLACES]
    times: NDArray[np.float64],  # [N]
    step: float,
) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    """Where projections fall on the scale, summed over what a round of slots shows at one time.

    Args:
        projections: of N frames, looked at in A ways.
        trust: weight of each place.
        times: of the frames, s.
        step: of the scale, levels.

    Returns:
        Directions on the scale [STARTS, A, PLACES] and sums of squared weights [STARTS, PLACES],
        by quarters of a slot.
    """
    turns = np.exp(2j * np.pi / step * projections) * trust[:, None]
    quarter = np.floor(times * (STARTS / (ROUND * SLOT)) + 1e-6).astype(np.int64) % STARTS
    sums = np.zeros((STARTS, *projections.shape[1:]), np.complex64)
    power = np.zeros((STARTS, PLACES))
    np.add.at(sums, quarter, turns)
    np.add.at(power, quarter, trust**2)
    return sums, power


def certainties(
    sums: NDArray[np.complex64], power: NDArray[np.float64]
) -> NDArray[np.float64]:  # [STARTS, A, BITS]
    """What frames together say of every bit: positive for 0, negative for 1.

    For each quarter of a slot in which the video may begin, and each way to look at it. Without a
    watermark the signs are random, whatever the picture, because the offsets of the scale are; the
    numbers would be normal with a standard deviation of 1 if frames were independent.

    Args:
        sums, power: see `gathered`.
    """
    carried, offsets = order()
    place = np.argsort(carried, axis=1)  # of each bit
    back = np.exp(-2j * np.pi * offsets)[:, None]
    found = []
    for start in range(STARTS):
        slot = np.roll(sums, start, 0).reshape(ROUND, -1, *sums.shape[1:]).sum(1)
        weight = np.roll(power, start, 0).reshape(ROUND, -1, PLACES).sum(1)
        votes = np.take_along_axis((slot * back).real, place[:, None], 2).sum(0)
        total = np.take_along_axis(weight, place, 1).sum(0)
        found.append(votes / np.sqrt(np.maximum(total, 1e-12) / 2))
    return np.array(found)
