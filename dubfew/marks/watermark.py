"""The invisible watermark inside the rendered mouth, which carries the id of the render.

Quantization index modulation with dither: the picture is projected on smooth patterns, and each
projection is moved towards the nearest value that encodes its bit. ``invisible-watermark``, an
implementation of DWT-DCT-SVD watermarking (Navas et al. 2008, which Saunders and Namboodiri 2024,
arXiv 2401.06126, consider for dubbing), quantizes singular values in the same way.

Existing packages do not fit. ``invisible-watermark``, ``blind-watermark`` and ``videoseal`` import
OpenCV, which needs system libraries; ``videoseal`` and ``trustmark`` are networks that download
their weights. All of them mark whole pictures on a grid of their own. Here pixels outside the mouth
mask must not change, and the window moves and grows with the face, so that reader and writer agree
on it only to a hundredth of its side. Therefore the patterns are defined in units of the window,
and the bits change their places over time. docs/marks.md compares.

Source: Chen and Wornell 2001, Quantization Index Modulation: A Class of Provably Good Methods for
Digital Watermarking and Information Embedding (IEEE Transactions on Information Theory 47), sec. IV
(distortion-compensated, spread-transform dither modulation).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.marks.pattern import (
    CELL_WAVES,
    MIN_PAINTABLE_SHARE,
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

# Step of the quantizer, levels of luma. A larger step is easier to read and more visible. A small
# window has few pixels to average codec noise over, so it needs the larger step.
SMALL_WINDOW_STEP_LEVELS, LARGE_WINDOW_STEP_LEVELS = 4.0, 2.0
# Side of the window from which it counts as large, px.
LARGE_WINDOW_PX = 256
# Fraction of the way to the quantized value. Less is less visible, and under the noise of codecs
# hardly harder to read (Chen and Wornell 2001, distortion compensation).
DISTORTION_COMPENSATION = 0.75
# Number of positions in the round of slots at which a video may begin after its start was cut off:
# quarters of a slot. Finer steps take longer and gain little.
NUM_START_OFFSETS = 4 * ROUND_SLOTS
# Weight of the quarters of a slot when it is read. Codecs keep what was there before in still
# places, so that the marks of a slot come late: at CRF 28 the first frames of a slot showed it
# with 60 % of the strength of the last ones, and the slot before as strongly.
QUARTER_WEIGHTS = np.array([0.55, 0.85, 1.0, 1.0])


class WatermarkEmbedder:
    """Embed one id into the frames of a video.

    Args:
        watermark_id: ten hexadecimal digits, see `payload.generate_watermark_id`.

    Raises:
        DubfewError: ``watermark_id`` is not ten hexadecimal digits.
    """

    def __init__(self, watermark_id: str) -> None:
        self.watermark_id = watermark_id
        self._payload_bits = encode_payload(watermark_id)
        # Step of the first frame, kept for all frames, so that readers can add them up.
        self._step: float | None = None

    def embed_watermark(
        self,
        frame: Frame,
        rgb: NDArray[np.float32],  # [h, w, 3]
        mask: NDArray[np.bool_],  # [h, w]
        corner: tuple[int, int],
        window: NDArray[np.float32],  # [3]
    ) -> None:
        """Embed the id into the pixels that will be composited into a frame, in place.

        Args:
            frame: the frame; its time selects the slot, and its color matrix defines luma.
            rgb: the new pixels, levels 0 to 255; changed by a level or two.
            mask: True where pixels may change.
            corner: x and y of the pixels in the frame, px.
            window: window around the mouth: left, top, side, px.
        """
        (left, top, side), (x, y) = map(float, window), corner
        # The file holds luma as the frame's own matrix makes it.
        luma = rgb_to_yuv_matrix(frame.matrix, True, 8)[0][:, 0]
        if self._step is None:
            self._step = (
                LARGE_WINDOW_STEP_LEVELS if side >= LARGE_WINDOW_PX else SMALL_WINDOW_STEP_LEVELS
            )
        height, width = mask.shape
        rows, columns = (
            downsampling_weights(top - y, side, height),
            downsampling_weights(left - x, side, width),
        )
        projections = project_patterns(rows @ (rgb @ luma) @ columns.T)
        weights = quantization_offsets(projections, self._payload_bits, self._step, frame.time)
        # Leave out cells that reach out of the mask.
        paintable = (split_cells(rows @ mask.astype(np.float32) @ columns.T) > 0.5).mean(
            (1, 2)
        ) >= MIN_PAINTABLE_SHARE
        weights = weights * np.repeat(paintable, len(CELL_WAVES)) * DISTORTION_COMPENSATION
        # Draw the patterns at the resolution of the pixels and add them to all three channels,
        # which changes luma and keeps the color.
        pattern = render_patterns(weights.astype(np.float32))
        added = (
            upsampling_weights(top - y, side, height)
            @ pattern
            @ upsampling_weights(left - x, side, width).T
        )
        rgb += np.where(mask, added, 0)[..., None]
        np.clip(rgb, 0, 255, out=rgb)


def quantization_offsets(
    projections: NDArray, bits: NDArray[np.uint8], step: float, time: float
) -> NDArray[np.float64]:  # [NUM_PATTERNS]
    """Return the change of each projection to the nearest value that encodes its bit, levels.

    Args:
        projections: projections of a frame, levels. [NUM_PATTERNS]
        bits: the payload, 0 or 1. [PAYLOAD_BITS]
        step: step of the quantizer, levels.
        time: time of the frame, s.
    """
    carried, offsets = bit_schedule()
    slot = slots_from_times(np.array(time))
    # The values of a 1 lie half a step from those of a 0; the dither shifts both.
    targets = (offsets[slot] + 0.5 * bits[carried[slot]]) * step
    difference = targets - projections
    return difference - step * np.round(difference / step)


def accumulate_directions(
    projections: NDArray[np.float32],  # [N, A, NUM_PATTERNS]
    pattern_weights: NDArray[np.float32],  # [N, NUM_PATTERNS]
    times: NDArray[np.float64],  # [N]
    step: float,
) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    """Turn projections into phases within a quantizer step and add them up by time in the round.

    A value on the quantizer's scale is a point on a circle of one step. Sums of such points over
    frames average the noise, and their direction tells the bit.

    Args:
        projections: projections of N frames for A window variants. [N, A, NUM_PATTERNS]
        pattern_weights: reliability of each pattern in each frame. [N, NUM_PATTERNS]
        times: times of the frames, s. [N]
        step: step of the quantizer, levels.

    Returns:
        For every quarter of a slot, sums of weighted phases
        [NUM_START_OFFSETS, A, NUM_PATTERNS] and of squared weights
        [NUM_START_OFFSETS, 1, NUM_PATTERNS].
    """
    phases = _weighted_phases(projections, pattern_weights[:, None], step)
    member = _quarter_membership(times)
    sums = member @ phases.reshape(len(times), -1)
    power = member @ pattern_weights**2
    return sums.reshape(NUM_START_OFFSETS, *projections.shape[1:]), power[:, None].astype(float)


def accumulate_speeds(
    projections: NDArray[np.float32],  # [N, NUM_PATTERNS]
    pattern_weights: NDArray[np.float32],  # [N, NUM_PATTERNS]
    times: NDArray[np.float64],  # [N]
    speeds: NDArray[np.float64],  # [A]
    step: float,
) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    """Add up phases like `accumulate_directions`, for one window and A speeds of the video.

    Args:
        projections: projections of N frames. [N, NUM_PATTERNS]
        pattern_weights: reliability of each pattern in each frame. [N, NUM_PATTERNS]
        times: times of the frames, s. [N]
        speeds: factors by which the video may have been made faster. [A]
        step: step of the quantizer, levels.

    Returns:
        For every quarter of a slot, sums of weighted phases and of squared weights, each
        [NUM_START_OFFSETS, A, NUM_PATTERNS].
    """
    phases = _weighted_phases(projections, pattern_weights, step)
    # In a video that was made faster, time runs faster in the slots that it was written in.
    member = _quarter_membership(speeds[:, None] * times)
    sums, power = member @ phases, member @ pattern_weights**2
    return sums.swapaxes(0, 1), power.swapaxes(0, 1).astype(float)


def _weighted_phases(projections: NDArray, weights: NDArray, step: float) -> NDArray[np.complex64]:
    """Return points on a circle that is one step of the quantizer, times their weights."""
    return (np.exp(2j * np.pi / step * projections) * weights).astype(np.complex64)


def _quarter_membership(times: NDArray) -> NDArray[np.float32]:
    """Return 1 where a frame belongs to a quarter of a slot, counted from the start of the round.

    Args:
        times: times of the frames, s. [..., N]

    Returns:
        1 or 0. [..., NUM_START_OFFSETS, N]
    """
    quarter_seconds = ROUND_SLOTS * SLOT_SECONDS / NUM_START_OFFSETS
    quarter = np.floor(times / quarter_seconds + 1e-6).astype(np.int64) % NUM_START_OFFSETS
    return (quarter[..., None, :] == np.arange(NUM_START_OFFSETS)[:, None]).astype(np.float32)


def compute_bit_certainties(
    sums: NDArray[np.complex64], power: NDArray[np.float64]
) -> NDArray[np.float64]:  # [NUM_START_OFFSETS, A, PAYLOAD_BITS]
    """Compute the certainty of every bit over all frames: positive for 0, negative for 1.

    There is one row for each quarter of a slot at which the video may begin, and for each window
    variant or speed. Without a watermark the signs are random, whatever the picture shows, because
    the dither is random. The values would be normal with a standard deviation of 1 if frames were
    independent; neighboring frames are not, so they are larger.

    Args:
        sums: sums of phases. [NUM_START_OFFSETS, A, NUM_PATTERNS]
        power: sums of squared weights. [NUM_START_OFFSETS, A or 1, NUM_PATTERNS]
    """
    carried, offsets = bit_schedule()
    place = np.argsort(carried, axis=1)  # pattern of each bit
    # Turn the dither back, so that a 0 points to +1 and a 1 to -1.
    back = np.exp(-2j * np.pi * offsets)[:, None]
    found = []
    for start in range(NUM_START_OFFSETS):
        # Assume that the video begins here: shift the quarters and join them to slots.
        quarters = np.roll(sums, start, 0).reshape(ROUND_SLOTS, -1, *sums.shape[1:])
        slot = np.einsum("q,sq...->s...", QUARTER_WEIGHTS, quarters)
        powers = np.roll(power, start, 0).reshape(ROUND_SLOTS, -1, *power.shape[1:])
        weight = np.einsum("q,sq...->s...", QUARTER_WEIGHTS**2, powers)
        # Add up the patterns that carry the same bit, and normalize by their weights.
        votes = np.take_along_axis((slot * back).real, place[:, None], 2).sum(0)
        total = np.take_along_axis(weight, place[:, None], 2).sum(0)
        found.append(votes / np.sqrt(np.maximum(total, 1e-12) / 2))
    return np.array(found)
