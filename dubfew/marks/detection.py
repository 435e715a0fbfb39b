"""Detection of the watermark in a video, without the original.

The face tracker finds the mouths, and the projections of many frames are added up until a payload
passes its checksum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import NoFaceError
from dubfew.marks.pattern import SLOT_SECONDS
from dubfew.marks.payload import PAYLOAD_BITS, decode_payload
from dubfew.marks.projection import (
    WINDOW_VARIANTS,
    TrackedMouth,
    WatermarkProjections,
    project_mouths,
)
from dubfew.marks.watermark import (
    LARGE_WINDOW_STEP_LEVELS,
    NUM_START_OFFSETS,
    SMALL_WINDOW_STEP_LEVELS,
    accumulate_directions,
    accumulate_speeds,
    compute_bit_certainties,
)
from dubfew.media import probe
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.crop import compute_track_regions
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.tracking import track_person

# Length of a segment that is read at a time, frames. Longer segments find weaker watermarks and
# take longer.
SEARCH_SEGMENT_FRAMES = 300
# Number of segments that are read of a long video, spread over it.
MAX_SEARCH_SEGMENTS = 4
# Number of the most certain readings that are decoded: of the unchanged window from the video's
# start, of all variants, and at other speeds. More candidates let more noise through.
MAX_DIRECT_CANDIDATES, MAX_CANDIDATES, MAX_RETIMED_CANDIDATES = 2, 6, 4
# Largest factor by which a video may have been made faster or slower.
MAX_SPEED = 2.0
# Number of speeds at which all window variants are tried. The right one is nearly always the first.
NUM_RETIMED_SPEEDS = 3
# Steps of the quantizer that a writer may have used.
QUANTIZER_STEPS_LEVELS = (SMALL_WINDOW_STEP_LEVELS, LARGE_WINDOW_STEP_LEVELS)


@dataclass(frozen=True)
class DetectedWatermark:
    """A watermark that was found in a video.

    Attributes:
        id: ten hexadecimal digits.
        certainty: mean absolute certainty of the bits, see `watermark.compute_bit_certainties`.
            Wrong readings reach about 3, because neighboring frames are not independent.
        corrected: number of the 72 bits that the decoder flipped.
        frames: number of frames that were read.
    """

    id: str
    certainty: float
    corrected: int
    frames: int


def find_watermark(
    path: Path | str, *, progress: ProgressCallback = no_progress
) -> DetectedWatermark | None:
    """Find the watermark of a video.

    Args:
        path: a video; of a long one up to four segments of 300 frames are read.
        progress: callback for the progress of tracking and reading.

    Returns:
        The watermark, or None. In at most one of 10,000 unmarked videos of one face a watermark is
        found by chance: `payload.decode_payload` bounds the probability for one reading, and at
        most 4 x (2 + 6 + 4) readings are decoded for each face.

    Raises:
        MediaError: The file cannot be read as video.
    """
    found = find_watermarks(path, progress=progress)
    return found[0] if found else None


def find_watermarks(
    path: Path | str, count: int = 1, *, progress: ProgressCallback = no_progress
) -> list[DetectedWatermark]:
    """Find the watermarks of a video, of which each mouth may have one.

    Args:
        path: a video; of a long one up to four segments of 300 frames are read.
        count: number of watermarks after which the search ends; all faces of a segment are read
            before that.
        progress: callback for the progress of tracking and reading.

    Returns:
        Different watermarks, that of the person seen most first; see `find_watermark`.

    Raises:
        MediaError: The file cannot be read as video.
    """
    path = Path(path)
    # Projections and watermark of every face so far, by its rank.
    seen: dict[int, list[WatermarkProjections]] = {}
    found: dict[int, DetectedWatermark] = {}
    for number, (start, stop) in enumerate(_segment_ranges(probe(path).frames), 1):
        try:
            mouths = track_mouths(path, start, stop, progress)
        except NoFaceError:
            continue
        # Each segment adds to the evidence of the segments before.
        for rank, projections in enumerate(project_mouths(path, mouths, start, stop)):
            seen.setdefault(rank, []).append(projections)
            if rank not in found and (decoded := decode_watermark(seen[rank])) is not None:
                found[rank] = decoded
        progress(Progress("read", number, MAX_SEARCH_SEGMENTS))
        if len({each.id for each in found.values()}) >= count:
            break
    ordered = [found[rank] for rank in sorted(found)]
    return list({each.id: each for each in reversed(ordered)}.values())[::-1]


def _segment_ranges(frames: int | None) -> Iterator[tuple[int, int | None]]:
    """Yield start and end of the segments to read, spread evenly over a video."""
    if frames is None:  # the container does not store the number: read the beginning only
        yield 0, SEARCH_SEGMENT_FRAMES
        return
    count = max(1, min(MAX_SEARCH_SEGMENTS, -(-frames // SEARCH_SEGMENT_FRAMES)))
    for number in range(count):
        start = round(number * max(0, frames - SEARCH_SEGMENT_FRAMES) / max(1, count - 1))
        yield start, min(start + SEARCH_SEGMENT_FRAMES, frames)


def track_mouths(
    path: Path, start: int, stop: int | None, progress: ProgressCallback = no_progress
) -> list[TrackedMouth]:
    """Track the mouth of every person through some frames; the person seen most comes first.

    Args:
        path: a video.
        start: first frame.
        stop: frame after the last one, or None for all frames.
        progress: callback for the progress of tracking.

    Raises:
        NoFaceError: No frame shows a face.
    """
    head = load_head_model()
    seen = detect_people(path, start=start, stop=stop, progress=progress)
    tracks = [
        track_person(path, seen, str(number), head=head, start=start)
        for number in range(max(1, len(seen.people)))
    ]
    return [TrackedMouth(track, compute_track_regions(track, head)) for track in tracks]


def decode_watermark(segments: list[WatermarkProjections]) -> DetectedWatermark | None:
    """Decode the watermark from the projections of one mouth.

    Args:
        segments: projections of the segments read so far.

    Returns:
        The watermark, or None.
    """
    # First the unchanged window from the start of the round, which is fast and usually enough.
    for variants, starts, checked in (
        (1, 1, MAX_DIRECT_CANDIDATES),
        (len(WINDOW_VARIANTS), NUM_START_OFFSETS, MAX_CANDIDATES),
    ):
        found = _decode_readings(rank_candidates(segments, variants, starts)[:checked], segments)
        if found is not None:
            return found
    # Segments of a video at another speed do not add up before the speed is known exactly.
    newest = segments[-1]
    retimed = [replace(newest, times=newest.times * speed) for speed in rank_speeds(newest)]
    if not retimed:
        return None
    readings = np.concatenate(
        [rank_candidates([each])[:MAX_RETIMED_CANDIDATES] for each in retimed]
    )
    return _decode_readings(_most_certain(readings)[:MAX_RETIMED_CANDIDATES], [newest])


def _decode_readings(
    readings: NDArray[np.float64], segments: list[WatermarkProjections]
) -> DetectedWatermark | None:
    """Decode the first reading that passes the checksum."""
    for reading in readings:
        word = decode_payload(reading)
        if word is not None:
            mean = float(np.abs(reading).mean())
            frames = sum(len(segment.times) for segment in segments)
            return DetectedWatermark(word.watermark_id, mean, word.num_corrected, frames)
    return None


def rank_speeds(segment: WatermarkProjections) -> list[float]:
    """Find factors by which a segment may have been made faster.

    Args:
        segment: projections of one mouth in one segment.

    Returns:
        The `NUM_RETIMED_SPEEDS` factors whose readings are the most certain, or none for a segment
        that is too short for a speed to matter.
    """
    duration = float(np.ptp(segment.times))
    if duration < SLOT_SECONDS:
        return []
    # Neighboring speeds drift apart by half a slot over the segment.
    spacing = SLOT_SECONDS / 2 / duration
    count = int(np.log(MAX_SPEED) / spacing)
    speeds = np.exp(spacing * np.arange(-count, count + 1))
    for refinement in (1.0, 0.5):
        certainty = np.max(
            [
                np.abs(
                    compute_bit_certainties(
                        *accumulate_speeds(
                            segment.projections[:, 0], segment.weights, segment.times, speeds, step
                        )
                    )
                )
                .mean(2)
                .max(0)
                for step in QUANTIZER_STEPS_LEVELS
            ],
            0,
        )
        best = speeds[np.argsort(-certainty, kind="stable")[:NUM_RETIMED_SPEEDS]]
        # Then the places between the best ones and their neighbors.
        around = np.exp(spacing * refinement / 2 * np.array([-1, 0, 1]))
        speeds = np.unique((best[:, None] * around).ravel())
    return [float(speed) for speed in best]


def rank_candidates(
    segments: list[WatermarkProjections],
    num_variants: int = len(WINDOW_VARIANTS),
    num_starts: int = NUM_START_OFFSETS,
) -> NDArray[np.float64]:
    """Compute readings of the bits under all assumptions, and sort them by their certainty.

    Args:
        segments: projections of one mouth.
        num_variants: number of `WINDOW_VARIANTS` that are tried.
        num_starts: number of positions in the round of slots at which the video may begin.

    Returns:
        Certainties of the bits, see `compute_bit_certainties`, the most certain reading first.
        [2 * num_variants * num_starts, PAYLOAD_BITS]
    """
    projections = np.concatenate([segment.projections[:, :num_variants] for segment in segments])
    weights = np.concatenate([segment.weights for segment in segments])
    times = np.concatenate([segment.times for segment in segments])
    # The writer's step depends on the size of its window, which the reader does not know.
    found = np.concatenate(
        [
            compute_bit_certainties(*accumulate_directions(projections, weights, times, step))[
                :num_starts
            ].reshape(-1, PAYLOAD_BITS)
            for step in QUANTIZER_STEPS_LEVELS
        ]
    )
    return _most_certain(found)


def _most_certain(readings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sort readings by their mean certainty, the most certain first."""
    return readings[np.argsort(-np.abs(readings).mean(1), kind="stable")]
