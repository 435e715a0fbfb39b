"""Passages: which cues are looked for in which part of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from dubfew.errors import DubfewError
from dubfew.speech.transcript.dtw import warp
from dubfew.speech.transcript.transcript import Cue
from dubfew.speech.transcript.tts_reference import FRAME, Reference

FloatArray = NDArray[np.float32]

# Frames of a recording whose script is looked for at once: 45 s.
_WHOLE = round(45 / FRAME)
# Frames of a passage of longer ones, as long as its cues are not longer: 20 s.
_PASSAGE = round(20 / FRAME)
# Cells of the coarse search, 1 + 1 byte each, and the most frames that become one of its frames:
# with more than 0.12 s nothing of a syllable is left.
_CELLS, _COARSEST = 6.4e7, 12
# Subtitles appear and go so much before and after they are spoken, s. Less of a pause than this
# between two does not part them.
_MARGIN, _PAUSE = 0.5, 0.5
# How far from where it was expected the quietest moment between two passages is looked for, s.
_SEARCH = 0.4


@dataclass(frozen=True)
class Passage:
    """Cues [first, last) are somewhere in the recording's frames [start, stop)."""

    first: int
    last: int
    start: int
    stop: int


def passages(
    cues: Sequence[Cue], reference: Reference, features: FloatArray, loudness: FloatArray
) -> list[Passage]:
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
        return _timed(cues, loudness)
    if len(features) <= _WHOLE:
        return [Passage(0, len(cues), 0, len(features))]
    begins, ends = _coarse(reference, features, loudness)
    groups = _groups(begins, ends, _PASSAGE, np.inf)
    return _cut(groups, begins, ends, loudness, len(loudness))


def _timed(cues: Sequence[Cue], loudness: FloatArray) -> list[Passage]:
    begins = np.array([cue.start for cue in cues], float) / FRAME
    ends = np.array([cue.end for cue in cues], float) / FRAME
    return _cut(
        _groups(begins, ends, _PASSAGE, _PAUSE / FRAME), begins, ends, loudness, _MARGIN / FRAME
    )


def _groups(
    begins: NDArray[np.float64], ends: NDArray[np.float64], longest: float, pause: float
) -> list[tuple[int, int]]:
    """Runs of cues that are no longer than ``longest`` and hold no longer ``pause``."""
    groups, first = [], 0
    for cue in range(1, len(begins)):
        if ends[cue] - begins[first] > longest or begins[cue] - ends[cue - 1] > pause:
            groups.append((first, cue))
            first = cue
    return [*groups, (first, len(begins))]


def _cut(
    groups: list[tuple[int, int]],
    begins: NDArray[np.float64],
    ends: NDArray[np.float64],
    loudness: FloatArray,
    margin: float,
) -> list[Passage]:
    """Passages that reach ``margin`` beyond their cues; where they meet, to the quietest moment."""
    search = round(_SEARCH / FRAME)
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
        Passage(first, last, start, stop)
        for (first, last), start, stop in zip(groups, starts, stops, strict=True)
        if stop > start
    ]


def _coarse(
    reference: Reference, features: FloatArray, loudness: FloatArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frames in which each cue begins and ends, roughly. [C] each"""
    cells = len(features) * len(reference.features)
    pooled = max(4, int(np.ceil(np.sqrt(cells / _CELLS))))
    if pooled > _COARSEST:
        minutes = len(features) * FRAME / 60
        raise DubfewError(
            f"{minutes:.0f} min of sound are too long for a transcript without times: "
            "give subtitles (.srt or .vtt)"
        )
    boundary = np.zeros(-(-len(reference.features) // pooled), bool)
    boundary[reference.starts // pooled] = True
    path, _ = warp(
        _pool(reference.features, pooled),
        boundary,
        _pool(features, pooled),
        _pool(loudness[:, None], pooled)[:, 0],
    )
    spoken = np.flatnonzero(path >= 0)
    if not len(spoken):
        return np.zeros(len(reference.cues)), np.zeros(len(reference.cues))
    edges = np.append(reference.cues, len(reference.features)) / pooled
    begin = np.searchsorted(path[spoken], edges[:-1]).clip(0, len(spoken) - 1)
    end = np.searchsorted(path[spoken], edges[1:]).clip(1, len(spoken)) - 1
    return spoken[begin] * float(pooled), (spoken[end] + 1.0) * pooled


def _pool(rows: FloatArray, size: int) -> FloatArray:
    """Means of ``size`` rows at a time. [ceil(T / size), D]"""
    padded = np.pad(rows, ((0, -len(rows) % size), (0, 0)), mode="edge")
    return padded.reshape(-1, size, rows.shape[1]).mean(axis=1)
