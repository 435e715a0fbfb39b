"""Segmentation: which cues are searched for in which part of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from dubfew.errors import DubfewError
from dubfew.speech.transcript.dtw import align_with_pauses
from dubfew.speech.transcript.transcript import TranscriptCue
from dubfew.speech.transcript.tts_reference import FRAME_SECONDS, SpokenReference
from dubfew.utils.arrays import FloatArray

# Longest recording whose script is aligned as a whole, frames (45 s): memory grows with the square
# of the length.
_MAX_WHOLE_FRAMES = round(45 / FRAME_SECONDS)
# Length of the segments of longer recordings, frames (20 s); a single cue may be longer.
_SEGMENT_FRAMES = round(20 / FRAME_SECONDS)
# Pairs of frames of the coarse alignment, at most, which take 1 + 1 byte each; and frames that are
# averaged into one, at most: in means over more than 0.12 s syllables vanish.
_MAX_COARSE_CELLS, _MAX_POOLED_FRAMES = 6.4e7, 12
# Time by which subtitles may appear and vanish before and after they are spoken, s; and longest
# pause between two subtitles of one segment, s.
_CUE_MARGIN_SECONDS, _SPLIT_PAUSE_SECONDS = 0.5, 0.5
# Range around the expected border of two segments in which the quietest moment is searched for, s.
_CUT_SEARCH_SECONDS = 0.4


@dataclass(frozen=True)
class TranscriptSegment:
    """Cues and the part of the recording in which they are spoken.

    Attributes:
        start_cue: first cue.
        stop_cue: cue after the last one.
        start_frame: first frame of the recording.
        stop_frame: frame after the last one.
    """

    start_cue: int
    stop_cue: int
    start_frame: int
    stop_frame: int


def split_transcript(
    cues: Sequence[TranscriptCue],
    reference: SpokenReference,
    features: FloatArray,
    loudness: FloatArray,
) -> list[TranscriptSegment]:
    """Split a transcript and its recording into segments.

    Args:
        cues: spoken lines; either all have times or none has.
        reference: reference of the cues.
        features: features of the recording. [N, D]
        loudness: 0 quiet to 1 as loud as speech. [N]

    Raises:
        DubfewError: The recording is too long for a script without times.
    """
    if cues[0].start is not None:
        return _segments_from_times(cues, loudness)
    # Scripts without times: as a whole if short, else coarsely first.
    if len(features) <= _MAX_WHOLE_FRAMES:
        return [TranscriptSegment(0, len(cues), 0, len(features))]
    begins, ends = _coarse_cue_frames(reference, features, loudness)
    # Segments of a script may hold any pause: the whole recording must be covered.
    groups = _group_cues(begins, ends, _SEGMENT_FRAMES, np.inf)
    return _cut_segments(groups, begins, ends, loudness, len(loudness))


def _segments_from_times(
    cues: Sequence[TranscriptCue], loudness: FloatArray
) -> list[TranscriptSegment]:
    """Make segments from the times of subtitles."""
    begins = np.array([cue.start for cue in cues], float) / FRAME_SECONDS
    ends = np.array([cue.end for cue in cues], float) / FRAME_SECONDS
    return _cut_segments(
        _group_cues(begins, ends, _SEGMENT_FRAMES, _SPLIT_PAUSE_SECONDS / FRAME_SECONDS),
        begins,
        ends,
        loudness,
        _CUE_MARGIN_SECONDS / FRAME_SECONDS,
    )


def _group_cues(
    begins: NDArray[np.float64], ends: NDArray[np.float64], max_frames: float, max_pause: float
) -> list[tuple[int, int]]:
    """Group cues into runs of at most ``max_frames`` without pauses beyond ``max_pause``."""
    groups, first = [], 0
    for cue in range(1, len(begins)):
        if ends[cue] - begins[first] > max_frames or begins[cue] - ends[cue - 1] > max_pause:
            groups.append((first, cue))
            first = cue
    return [*groups, (first, len(begins))]


def _cut_segments(
    groups: list[tuple[int, int]],
    begins: NDArray[np.float64],
    ends: NDArray[np.float64],
    loudness: FloatArray,
    margin: float,
) -> list[TranscriptSegment]:
    """Make segments that reach ``margin`` frames beyond their cues, cut where they overlap."""
    # Segments with a margin around their cues.
    search = round(_CUT_SEARCH_SECONDS / FRAME_SECONDS)
    smooth = uniform_filter1d(loudness, 7, mode="nearest")
    total = len(loudness)
    starts = [max(0, int(begins[first] - margin)) for first, _ in groups]
    stops = [min(total, int(ends[last - 1] + margin) + 1) for _, last in groups]
    for k in range(1, len(groups)):
        # Overlapping segments are cut at the quietest moment near the middle between their cues.
        if starts[k] < stops[k - 1]:
            middle = int(np.clip((ends[groups[k][0] - 1] + begins[groups[k][0]]) / 2, 0, total - 1))
            low = max(starts[k - 1] + 1, middle - search)
            near = smooth[low : max(low, middle + search) + 1]
            # Among equally quiet moments, take the nearest.
            away = np.abs(np.arange(len(near)) + low - middle) * 1e-4
            starts[k] = stops[k - 1] = low + int(np.argmin(near + away)) if len(near) else middle
    return [
        TranscriptSegment(first, last, start, stop)
        for (first, last), start, stop in zip(groups, starts, stops, strict=True)
        if stop > start
    ]


def _coarse_cue_frames(
    reference: SpokenReference, features: FloatArray, loudness: FloatArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the frames at which each cue begins and ends, roughly. [C] each"""
    # Average as many frames into one as memory requires.
    cells = len(features) * len(reference.features)
    pooled = max(4, int(np.ceil(np.sqrt(cells / _MAX_COARSE_CELLS))))
    if pooled > _MAX_POOLED_FRAMES:
        minutes = len(features) * FRAME_SECONDS / 60
        raise DubfewError(
            f"{minutes:.0f} min of sound are too long for a transcript without times: "
            "give subtitles (.srt or .vtt)"
        )
    # Align the averaged frames; a frame is a boundary if it holds one.
    boundary = np.zeros(-(-len(reference.features) // pooled), bool)
    boundary[reference.phone_starts // pooled] = True
    path, _ = align_with_pauses(
        _mean_pool(reference.features, pooled),
        boundary,
        _mean_pool(features, pooled),
        _mean_pool(loudness[:, None], pooled)[:, 0],
    )
    # Read the frames at which cues begin and end off the path.
    spoken = np.flatnonzero(path >= 0)
    if not len(spoken):
        return np.zeros(len(reference.cue_starts)), np.zeros(len(reference.cue_starts))
    edges = np.append(reference.cue_starts, len(reference.features)) / pooled
    begin = np.searchsorted(path[spoken], edges[:-1]).clip(0, len(spoken) - 1)
    end = np.searchsorted(path[spoken], edges[1:]).clip(1, len(spoken)) - 1
    return spoken[begin] * float(pooled), (spoken[end] + 1.0) * pooled


def _mean_pool(rows: FloatArray, size: int) -> FloatArray:
    """Average ``size`` rows at a time. [ceil(T / size), D]"""
    padded = np.pad(rows, ((0, -len(rows) % size), (0, 0)), mode="edge")
    return padded.reshape(-1, size, rows.shape[1]).mean(axis=1)
