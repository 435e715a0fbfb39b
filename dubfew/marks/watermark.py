"""An invisible watermark inside the painted mouth: who asks finds the id of the rendering.

Every bit is told by where projections on smooth patterns fall on a scale of steps: quantisation
index modulation with dither, on which the DWT-DCT-SVD watermark that papers 002 and 003 cite
(``invisible-watermark``: quantised singular values of DCT blocks in a Haar band) rests as well.

Why not that package, or another: ``invisible-watermark``, ``blind-watermark`` and ``videoseal``
import OpenCV, which no bare system can; the last is a network that takes far more than a few ms a
frame, and ``trustmark`` has no wheel for every Python here and fetches its weights. All of them
mark whole pictures in place, but pixels outside the mouth's mask are not to change, and the box
around the mask moves with the face. A quantised singular value is the mean brightness of a block,
which any change of brightness moves; the patterns here have a mean of zero.

Source: Chen and Wornell 2001, Quantization Index Modulation, sec. IV (distortion-compensated,
spread-transform dither modulation).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.marks.pattern import (
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


def certainty(
    projections: NDArray,  # [N, PLACES]
    trust: NDArray,  # [N, PLACES]
    step: float,
    times: NDArray,  # [N]
) -> NDArray[np.float64]:
    """What N frames together say of every bit: positive for 0, negative for 1. [BITS]

    Without a watermark each number is about normal with a standard deviation of 1, whatever the
    picture, because the offsets of the scale are random.
    """
    carried, offsets = order()
    slot = slots(times)
    votes = np.cos(2 * np.pi * (projections / step - offsets[slot])) * trust
    which, bits = carried[slot].ravel(), carried.max() + 1
    total = np.bincount(which, votes.ravel(), bits)
    power = np.bincount(which, (trust**2).ravel(), bits)
    return total / np.sqrt(np.maximum(power, 1e-12) / 2)
