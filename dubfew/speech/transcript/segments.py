"""Passages: which cues are looked for in which part of a recording."""

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

# Frames of a recording whose script is looked for at once: 45 s.
_MAX_WHOLE_FRAMES = round(45 / FRAME_SECONDS)
# Frames of a passage of longer ones, as long as its cues are not longer: 20 s.
_SEGMENT_FRAMES = round(20 / FRAME_SECONDS)
# Cells of the coarse search, 1 + 1 byte each, and the most frames that become one of its frames:
# with more than 0.12 s nothing of a syllable is left.
_MAX_COARSE_CELLS, _MAX_POOLED_FRAMES = 6.4e7, 12
# Subtitles appear and go so much before and after they are spoken, s. Less of a pause than this
# between two does not part them.
_CUE_MARGIN_SECONDS, _SPLIT_PAUSE_SECONDS = 0.5, 0.5
# How far from where it was expected the quietest moment between two passages is looked for, s.
_CUT_SEARCH_SECONDS = 0.4


@dataclass(frozen=True)
class TranscriptSegment:
    """Cues [first, last) are somewhere in the recording's frames [start, stop)."""

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
    """Part a transcript and its recording.

    Args:
        cues: all with times, or none.
        reference: of the cues.
        features: of the recording. [N, D]
        loudness: of the recording. [N]

    Raises:
        DubfewError: too long for a script without times.
    """
    if cues[0].start is not None:
        return _segments_from_times(cues, loudness)
    if len(features) <= _MAX_WHOLE_FRAMES:
        return [TranscriptSegment(0, len(cues), 0, len(features))]
    begins, ends = _coarse_cue_frames(reference, features, loudness)
    groups = _group_cues(begins, ends, _SEGMENT_FRAMES, np.inf)
    return _cut_segments(groups, begins, ends, loudness, len(loudness))


def _segments_from_times(
    cues: Sequence[TranscriptCue], loudness: FloatArray
) -> list[TranscriptSegment]:
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
    """Runs of cues that are no longer than ``max_frames`` and hold no longer ``max_pause``."""
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
    """Passages that reach ``margin`` beyond their cues; where they meet, to the quietest moment."""
    search = round(_CUT_SEARCH_SECONDS / FRAME_SECONDS)
    smooth = uniform_filter1d(loudness, 7, mode="nearest")
    total = len(loudness)
    starts = [max(0, int(begins[first] - margin)) for first, _ in groups]
    stops = [min(total, int(ends[last - 1] + margin) + 1) for _, last in groups]
    for k in range(1, len(groups)):
        if starts[k] < stops[k - 1]:
            middle = int(np.clip((ends[groups[k][0] - 1] + begins[groups[k][0]]) / 2, 0, total - 1))
            low = max(starts[k - 1] + 1, middle - search)
            near = smooth[low : max(low, middle + search) + 1]
            # Of equally quiet moments the nearest.
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
    """Frames in which each cue begins and ends, roughly. [C] each"""
    cells = len(features) * len(reference.features)
    pooled = max(4, int(np.ceil(np.sqrt(cells / _MAX_COARSE_CELLS))))
    if pooled > _MAX_POOLED_FRAMES:
        minutes = len(features) * FRAME_SECONDS / 60
        raise DubfewError(
            f"{minutes:.0f} min of sound are too long for a transcript without times: "
            "give subtitles (.srt or .vtt)"
        )
    boundary = np.zeros(-(-len(reference.features) // pooled), bool)
    boundary[reference.phone_starts // pooled] = True
    path, _ = align_with_pauses(
        _mean_pool(reference.features, pooled),
        boundary,
        _mean_pool(features, pooled),
        _mean_pool(loudness[:, None], pooled)[:, 0],
    )
    spoken = np.flatnonzero(path >= 0)
    if not len(spoken):
        return np.zeros(len(reference.cue_starts)), np.zeros(len(reference.cue_starts))
    edges = np.append(reference.cue_starts, len(reference.features)) / pooled
    begin = np.searchsorted(path[spoken], edges[:-1]).clip(0, len(spoken) - 1)
    end = np.searchsorted(path[spoken], edges[1:]).clip(1, len(spoken)) - 1
    return spoken[begin] * float(pooled), (spoken[end] + 1.0) * pooled


def _mean_pool(rows: FloatArray, size: int) -> FloatArray:
    """Means of ``size`` rows at a time. [ceil(T / size), D]"""
    padded = np.pad(rows, ((0, -len(rows) % size), (0, 0)), mode="edge")
    return padded.reshape(-1, size, rows.shape[1]).mean(axis=1)
