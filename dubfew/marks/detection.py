"""Looking for the watermark: without the original, by the face tracker, over many frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import NoFaceError
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
    compute_bit_certainties,
)
from dubfew.media import probe
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.crop import compute_track_regions
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.tracking import track_person

# A stretch of the video is read at a time, and no more once the id is found.
SEARCH_SEGMENT_FRAMES = 300  # frames
MAX_SEARCH_SEGMENTS = 4
# The readings that look most like a watermark are checked; more would let more noise through.
MAX_DIRECT_CANDIDATES, MAX_CANDIDATES = 2, 6


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
            mouths = track_mouths(path, start, stop, progress)
        except NoFaceError:
            continue
        for number, sight in enumerate(project_mouths(path, mouths, start, stop)):
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


def track_mouths(
    path: Path, start: int, stop: int | None, progress: ProgressCallback = no_progress
) -> list[TrackedMouth]:
    """Follow the mouth of every person through some frames; the person seen most comes first.

    Args:
        path: a video.
        start: first frame.
        stop: frame after the last one, or None for all frames.
        progress: told of the tracking.

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
