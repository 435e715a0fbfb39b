"""Looking for the watermark: without the original, by the face tracker, over many frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import NoFaceError
from dubfew.marks.pattern import (
    CELL_WAVES,
    WINDOW_SAMPLES,
    downsampling_weights,
    project_patterns,
    split_cells,
)
from dubfew.marks.payload import PAYLOAD_BITS, decode_payload
from dubfew.marks.watermark import (
    LARGE_WINDOW_STEP_LEVELS,
    NUM_START_OFFSETS,
    SMALL_WINDOW_STEP_LEVELS,
    accumulate_directions,
    compute_bit_certainties,
)
from dubfew.media import Frame, probe, read_frames
from dubfew.media.pixels import NATIVE_FORMATS, RANGE_FULL, rgb_to_yuv_matrix
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.crop import (
    MASK_FEATHER_FRACTION,
    FaceRegions,
    compute_track_regions,
    render_soft_mask,
)
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.tracking import track_person

# A stretch of the video is read at a time, and no more once the id is found.
SEARCH_SEGMENT_FRAMES = 300  # frames
MAX_SEARCH_SEGMENTS = 4
# The tracker finds the mouth of a changed video a little elsewhere: shares of the window, scales.
WINDOW_SHIFTS = (-0.01, 0.0, 0.01)
WINDOW_SCALES = (0.985, 1.0, 1.015)
# The readings that look most like a watermark are checked; more would let more noise through.
MAX_DIRECT_CANDIDATES, MAX_CANDIDATES = 2, 6
# Trust in a cell falls where its picture is steep, levels per sample: there misplacing weighs most.
STEEP_GRADIENT_LEVELS = 4.0


@dataclass(frozen=True)
class DetectedWatermark:
    """A watermark.

    Attributes:
        id: ten hexadecimal digits.
        certainty: mean over the bits, see `watermark.certainties`. Wrong readings reach about 3,
            because neighbouring frames show the same.
        corrected: bits that were turned over, of 72.
        frames: looked at.
    """

    id: str
    certainty: float
    corrected: int
    frames: int


@dataclass(frozen=True)
class WatermarkProjections:
    """What frames show of the mouth, for every shift and scale.

    Attributes:
        projections: levels. [N, A, PLACES]
        weights: in each. [N, PLACES]
        times: s. [N]
    """

    projections: NDArray[np.float32]
    weights: NDArray[np.float32]
    times: NDArray[np.float64]


# Shift across and down, and scale. The straight look comes first.
WINDOW_VARIANTS = sorted(
    itertools.product(WINDOW_SHIFTS, WINDOW_SHIFTS, WINDOW_SCALES),
    key=lambda a: a != (0.0, 0.0, 1.0),
)


def find_watermark(
    path: Path | str, *, progress: ProgressCallback = no_progress
) -> DetectedWatermark | None:
    """Read the watermark of a video.

    Args:
        path: a video; of a long one up to four stretches of 300 frames are read.
        progress: told of the tracking and of the stretches.

    Returns:
        What was found, or None. Chance finds something in at most one of 30,000 unmarked videos of
        one face: `payload.read` bounds what passes its checksum, and that is tried 4 x (2 + 6)
        times, for each of the faces that are seen.

    Raises:
        MediaError: the file cannot be read as video.
    """
    path = Path(path)
    seen: dict[int, list[WatermarkProjections]] = {}
    found = None
    for count, (start, stop) in enumerate(_segment_ranges(probe(path).frames), 1):
        try:
            faces = project_mouths(path, start, stop, progress)
        except NoFaceError:
            continue
        for number, sight in enumerate(faces):
            seen.setdefault(number, []).append(sight)
            found = found or decode_watermark(seen[number])
        progress(Progress("read", count, MAX_SEARCH_SEGMENTS))
        if found is not None:
            break
    return found


def _segment_ranges(frames: int | None) -> Iterator[tuple[int, int | None]]:
    if (
        frames is None
    ):  # a stream that does not say: the first frames, and no more if there are none
        yield 0, SEARCH_SEGMENT_FRAMES
        return
    count = max(1, min(MAX_SEARCH_SEGMENTS, -(-frames // SEARCH_SEGMENT_FRAMES)))
    for number in range(count):
        start = round(number * max(0, frames - SEARCH_SEGMENT_FRAMES) / max(1, count - 1))
        yield start, min(start + SEARCH_SEGMENT_FRAMES, frames)


def project_mouths(
    path: Path, start: int, stop: int | None, progress: ProgressCallback = no_progress
) -> list[WatermarkProjections]:
    """Follow everybody's mouth through some frames, of who is seen most first, and project it on
    the patterns.

    Raises:
        NoFaceError: no frame shows a face.
    """
    head = load_head_model()
    seen = detect_people(path, start=start, stop=stop, progress=progress)
    tracks = [
        track_person(path, seen, str(number), head=head, start=start)
        for number in range(max(1, len(seen.people)))
    ]
    regions = [compute_track_regions(track, head) for track in tracks]
    sights: list[list[tuple[NDArray, NDArray, float]]] = [[] for _ in tracks]
    for row, frame in enumerate(read_frames(path, start=start, stop=stop)):
        for track, where, sight in zip(tracks, regions, sights, strict=True):
            if row < len(track) and track.valid[row]:
                samples = sample_window_luma(frame, where.window[row])
                sight.append(
                    (
                        project_patterns(samples),
                        _reliability_weights(samples[0], where, row),
                        frame.time,
                    )
                )
    return [
        WatermarkProjections(*(np.array(part) for part in zip(*sight, strict=True)))
        for sight in sights
        if sight
    ]


def decode_watermark(segments: list[WatermarkProjections]) -> DetectedWatermark | None:
    """The id that the frames together tell, or None."""
    for looks, starts, checked in (
        (1, 1, MAX_DIRECT_CANDIDATES),
        (len(WINDOW_VARIANTS), NUM_START_OFFSETS, MAX_CANDIDATES),
    ):
        for reading in rank_candidates(segments, looks, starts)[:checked]:
            word = decode_payload(reading)
            if word is not None:
                mean = float(np.abs(reading).mean())
                frames = sum(len(sight.times) for sight in segments)
                return DetectedWatermark(word.watermark_id, mean, word.num_corrected, frames)
    return None


def rank_candidates(
    segments: list[WatermarkProjections],
    num_variants: int = len(WINDOW_VARIANTS),
    num_starts: int = NUM_START_OFFSETS,
) -> NDArray[np.float64]:
    """What the bits may be, by every way to look at the frames; the most certain first.

    Args:
        segments: the frames.
        num_variants: how many of ``WINDOW_VARIANTS`` are tried.
        num_starts: how many times in the round of slots at which the video may begin.

    Returns:
        See `compute_bit_certainties`. [2 * looks * starts, BITS]
    """
    projections = np.concatenate([sight.projections[:, :num_variants] for sight in segments])
    trust = np.concatenate([sight.weights for sight in segments])
    times = np.concatenate([sight.times for sight in segments])
    found = np.concatenate(
        [
            compute_bit_certainties(*accumulate_directions(projections, trust, times, step))[
                :num_starts
            ].reshape(-1, PAYLOAD_BITS)
            for step in (SMALL_WINDOW_STEP_LEVELS, LARGE_WINDOW_STEP_LEVELS)
        ]
    )
    return found[np.argsort(-np.abs(found).mean(1), kind="stable")]


def sample_window_luma(frame: Frame, window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Luma of a window by every one of ``WINDOW_VARIANTS``; 0 outside the frame. [A, SIZE, SIZE]"""
    left, top, side = map(float, window)
    reach = side * (max(WINDOW_SHIFTS) + max(WINDOW_SCALES) - 1)
    x0, y0 = max(int(left - reach), 0), max(int(top - reach), 0)
    x1 = min(int(np.ceil(left + side + reach)), frame.width)
    y1 = min(int(np.ceil(top + side + reach)), frame.height)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((len(WINDOW_VARIANTS), WINDOW_SAMPLES, WINDOW_SAMPLES), np.float32)
    part = crop_luma(frame, x0, y0, x1, y1)
    seen = {}
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
            seen[WINDOW_SHIFTS[j], WINDOW_SHIFTS[i], scale] = both[i, :, j]
    return np.stack([seen[look] for look in WINDOW_VARIANTS])


def crop_luma(frame: Frame, left: int, top: int, right: int, bottom: int) -> NDArray[np.float32]:
    """Luma of a box as it is stored, on the scale of levels 0 to 255. [h, w]"""
    form = NATIVE_FORMATS[frame.pix_fmt]
    if form.kind in ("rgb", "gbrp"):
        weights, _ = rgb_to_yuv_matrix(frame.color.matrix_for(frame.height), True, 8)
        return frame.crop_rgb(left, top, right, bottom).astype(np.float32) @ weights[:, 0]
    luma = frame.planes()[0][top:bottom, left:right].astype(np.float32) / 2 ** (form.bits - 8)
    if frame.color.range_for(form) != RANGE_FULL:
        luma = (luma - 16) * (255 / 219)
    return luma.astype(np.float32)


def _reliability_weights(
    samples: NDArray[np.float32], regions: FaceRegions, row: int
) -> NDArray[np.float32]:
    """How far each place is to be believed. [PLACES]"""
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
    inside = (split_cells(mask) > 0).mean((1, 2)) > 0.5
    down, across = np.gradient(samples)
    steep = split_cells(np.abs(down) + np.abs(across)).mean((1, 2))
    return np.repeat(inside / (1 + (steep / STEEP_GRADIENT_LEVELS) ** 2), len(CELL_WAVES)).astype(
        np.float32
    )
