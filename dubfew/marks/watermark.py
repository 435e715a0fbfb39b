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
    CELL_WAVES,
    NUM_PATTERNS,
    ROUND_SLOTS,
    SLOT_SECONDS,
    bit_schedule,
    downsampling_weights,
    project_patterns,
    render_patterns,
    slots_from_times,
    split_cells,
    upsampling_weights,
)
from dubfew.marks.payload import encode_payload
from dubfew.media import Frame
from dubfew.media.pixels import rgb_to_yuv_matrix

# Steps of the scale, levels of luma. A small face has few pixels to average codec noise over.
SMALL_WINDOW_STEP_LEVELS, LARGE_WINDOW_STEP_LEVELS = 4.0, 2.0
LARGE_WINDOW_PX = 256  # px across the window
# Share of the way to the wished place on the scale: less is less visible, and at the noise of
# codecs hardly worse to read.
DISTORTION_COMPENSATION = 0.75
# A video whose beginning was cut off starts at one of so many times in the round of slots.
NUM_START_OFFSETS = 4 * ROUND_SLOTS
# A cell is marked when this much of it may be painted.
MIN_PAINTABLE_SHARE = 0.85


class WatermarkEmbedder:
    """Writes one id into the frames of a video, in order. Frames do not depend on each other."""

    def __init__(self, watermark_id: str) -> None:
        """Raises DubfewError for an id that is none."""
        self.watermark_id = watermark_id
        self._payload_bits = encode_payload(watermark_id)
        self._step: float | None = None  # that of the first frame, so that readers may add up

    def embed_watermark(
        self,
        frame: Frame,
        rgb: NDArray[np.float32],  # [h, w, 3]
        mask: NDArray[np.bool_],  # [h, w]
        corner: tuple[int, int],
        window: NDArray[np.float32],  # [3]
    ) -> None:
        """Mark what is to be painted into a frame, in place.

        Args:
            frame: which is to be painted; its time and its colours count.
            rgb: the paint, levels 0 to 255. Changed by a level or two.
            mask: where it may change.
            corner: x and y of the paint in the frame, px.
            window: around the mouth: left, top, side, px.
        """
        (left, top, side), (x, y) = map(float, window), corner
        # The file holds luma as the frame's own matrix makes it.
        luma = rgb_to_yuv_matrix(frame.color.matrix_for(frame.height), True, 8)[0][:, 0]
        if self._step is None:
            self._step = (
                LARGE_WINDOW_STEP_LEVELS if side >= LARGE_WINDOW_PX else SMALL_WINDOW_STEP_LEVELS
            )
        height, width = mask.shape
        rows, columns = (
            downsampling_weights(top - y, side, height),
            downsampling_weights(left - x, side, width),
        )
        seen = project_patterns(rows @ (rgb @ luma) @ columns.T)
        weights = quantization_offsets(seen, self._payload_bits, self._step, frame.time)
        free = (split_cells(rows @ mask.astype(np.float32) @ columns.T) > 0.5).mean(
            (1, 2)
        ) >= MIN_PAINTABLE_SHARE
        weights = weights * np.repeat(free, len(CELL_WAVES)) * DISTORTION_COMPENSATION
        drawn = render_patterns(weights.astype(np.float32))
        added = (
            upsampling_weights(top - y, side, height)
            @ drawn
            @ upsampling_weights(left - x, side, width).T
        )
        rgb += np.where(mask, added, 0)[..., None]
        np.clip(rgb, 0, 255, out=rgb)


def quantization_offsets(
    projections: NDArray, bits: NDArray[np.uint8], step: float, time: float
) -> NDArray[np.float64]:
    """From projections to the nearest places on the scale that tell the bits, levels. [PLACES]"""
    carried, offsets = bit_schedule()
    slot = slots_from_times(np.array(time))
    wished = (offsets[slot] + 0.5 * bits[carried[slot]]) * step
    apart = wished - projections
    return apart - step * np.round(apart / step)


def accumulate_directions(
    projections: NDArray[np.float32],  # [N, A, PLACES]
    pattern_weights: NDArray[np.float32],  # [N, PLACES]
    times: NDArray[np.float64],  # [N]
    step: float,
) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    """Where projections fall on the scale, summed over what a round of slots shows at one time.

    Args:
        projections: of N frames, looked at in A ways.
        pattern_weights: weight of each place.
        times: of the frames, s.
        step: of the scale, levels.

    Returns:
        Directions on the scale [STARTS, A, PLACES] and sums of squared weights [STARTS, PLACES],
        by quarters of a slot.
    """
    turns = np.exp(2j * np.pi / step * projections) * pattern_weights[:, None]
    quarter = (
        np.floor(times * (NUM_START_OFFSETS / (ROUND_SLOTS * SLOT_SECONDS)) + 1e-6).astype(np.int64)
        % NUM_START_OFFSETS
    )
    sums = np.zeros((NUM_START_OFFSETS, *projections.shape[1:]), np.complex64)
    power = np.zeros((NUM_START_OFFSETS, NUM_PATTERNS))
    np.add.at(sums, quarter, turns)
    np.add.at(power, quarter, pattern_weights**2)
    return sums, power


def compute_bit_certainties(
    sums: NDArray[np.complex64], power: NDArray[np.float64]
) -> NDArray[np.float64]:  # [STARTS, A, BITS]
    """What frames together say of every bit: positive for 0, negative for 1.

    For each quarter of a slot in which the video may begin, and each way to look at it. Without a
    watermark the signs are random, whatever the picture, because the offsets of the scale are; the
    numbers would be normal with a standard deviation of 1 if frames were independent.

    Args:
        sums, power: see `accumulate_directions`.
    """
    carried, offsets = bit_schedule()
    place = np.argsort(carried, axis=1)  # of each bit
    back = np.exp(-2j * np.pi * offsets)[:, None]
    found = []
    for start in range(NUM_START_OFFSETS):
        slot = np.roll(sums, start, 0).reshape(ROUND_SLOTS, -1, *sums.shape[1:]).sum(1)
        weight = np.roll(power, start, 0).reshape(ROUND_SLOTS, -1, NUM_PATTERNS).sum(1)
        votes = np.take_along_axis((slot * back).real, place[:, None], 2).sum(0)
        total = np.take_along_axis(weight, place, 1).sum(0)
        found.append(votes / np.sqrt(np.maximum(total, 1e-12) / 2))
    return np.array(found)
