"""Measures of a mouth that THEval compares with those of film.

Source: Quignon, Chopin, Wang and Dantcheva 2026, THEval: Evaluation Framework for Talking Head
Video Generation (CVPR, arXiv 2511.04520). Where the text leaves something open, the program that
its authors publish decides. Three of its eight measures are here: those that need no weights and
that a dub can change. Head and eyebrows are the scene's own in a dub, and the three measures of
quality are networks (LAION's aesthetics, MUSIQ, TOPIQ) that no wheel contains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import MediaError
from dubfew.evaluate.face_geometry import LIP_POINTS, eye_corner_distance, has_face
from dubfew.evaluate.metrics._base import ClipMeasure, ClipPair, LandmarkArray
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ
from dubfew.media.speech_span import read_levels_db
from dubfew.utils.growable_array import map_row_blocks, release_pages

# The inner lips without their corners, upper and lower, one above the other.
UPPER_LIP = (191, 80, 81, 82, 13, 312, 311, 310)
LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318)
# The two corners of each eye, whose means are the eyes' middles.
EYES = ((33, 133), (362, 263))
# Window of the loudness, s.
LOUDNESS_SECONDS = 0.05
# Smallest share of the frames in which somebody has to speak for the synchronization.
MIN_SPEECH_SHARE = 0.1
# Frames whose distances are held at a time, so that memory does not grow with the clip.
BLOCK_FRAMES = 256
# Smallest distance of the eyes that is divided by, px: a face seen from the side has none.
SMALLEST_PX = 1e-6


@dataclass(frozen=True)
class MeasuredClip:
    """What the measures need of one of the two clips.

    Attributes:
        path: file, of which the sound is read.
        landmarks: landmarks of its frames, px; rows of frames without a face are NaN. [N, 478, 3]
        times: times of the frames from the start of the file, s. [N]
        silent: True where nothing is heard; None if it has no sound. [N]
    """

    path: Path
    landmarks: LandmarkArray
    times: NDArray[np.float64]
    silent: NDArray[np.bool_] | None


def score_closeness(original: float, output: float) -> float:
    """Compare a value of the output with that of the original.

    Args:
        original: value of the film.
        output: value of the output.

    Returns:
        1 where they agree, 0 where the output has twice the value or none, less beyond; NaN
        without one of them, and where the film's is 0.

    Source: THEval, eq. 12.
    """
    if not np.isfinite([original, output]).all() or original == 0:
        return float("nan")
    return 1.0 - abs(output - original) / abs(original)


def compare_clips(value: Callable[[MeasuredClip], float]) -> ClipMeasure:
    """Make the measure of a metric: a value of the output against the original's own.

    Args:
        value: measure of one clip.
    """

    def measure(clips: ClipPair) -> float:
        times = clips.output_times
        original = MeasuredClip(
            clips.reference, clips.reference_landmarks, times, clips.reference_silent
        )
        output = MeasuredClip(clips.output, clips.output_landmarks, times, clips.output_silent)
        return score_closeness(value(original), value(output))

    return ClipMeasure(measure)


def measure_lip_dynamics(clip: MeasuredClip) -> float:
    """Measure how much the shape of the lips changes over time.

    Args:
        clip: one of the clips.

    Returns:
        Variance over time of the 780 distances between the 40 lip landmarks, in eye-corner
        distances squared, mean over the pairs; NaN with fewer than two frames with a face.
    """
    # Rows alone: a copy of the faces of a long clip would take as much memory as they do.
    seen = np.flatnonzero(has_face(clip.landmarks))
    if len(seen) < 2:
        return float("nan")
    first, second = np.array(list(combinations(range(len(LIP_POINTS)), 2))).T
    total, squares = np.zeros(len(first)), np.zeros(len(first))
    start: NDArray[np.float64] | None = None
    for begin in range(0, len(seen), BLOCK_FRAMES):
        block = clip.landmarks[seen[begin : begin + BLOCK_FRAMES]]
        lips = block[:, LIP_POINTS, :2].astype(np.float64)
        distances = np.linalg.norm(lips[:, first] - lips[:, second], axis=-1)
        distances /= eye_corner_distance(block)[:, None]
        # Sums of differences to the first frame keep their digits where sums of squares would not.
        start = distances[0] if start is None else start
        total += (distances - start).sum(0)
        squares += ((distances - start) ** 2).sum(0)
        release_pages(clip.landmarks)
    return float((squares / len(seen) - (total / len(seen)) ** 2).mean())


def measure_silent_deviation(clip: MeasuredClip) -> float:
    """Measure how much the lips move while nothing is heard.

    Args:
        clip: one of the clips.

    Returns:
        Median distance of the opening from its mean over the silent frames, in eye-corner
        distances; NaN with fewer than two of them.
    """
    if clip.silent is None:
        return float("nan")
    marks = clip.landmarks
    quiet = clip.silent & has_face(marks)
    if quiet.sum() < 2:
        return float("nan")
    opening = map_row_blocks(_measure_lip_gaps, marks)[quiet] / eye_corner_distance(marks)[quiet]
    return float(np.median(np.abs(opening - opening.mean())))


def _measure_lip_gaps(landmarks: LandmarkArray) -> NDArray[np.float64]:
    """Measure the mean height of the gap between the lips, px. [N, 478, 3] -> [N]"""
    upper, lower = (landmarks[:, lip, 1] for lip in (UPPER_LIP, LOWER_LIP))
    return np.asarray(np.abs(upper - lower).astype(np.float64).mean(-1))


def _measure_mean_opening(landmarks: LandmarkArray) -> NDArray[np.float64]:
    """Measure the distance of the lips' means, in distances of the eyes. [N, 478, 3] -> [N]"""
    upper, lower = (
        landmarks[:, lip, 1].astype(np.float64).mean(-1) for lip in (UPPER_LIP, LOWER_LIP)
    )
    left, right = (landmarks[:, eye, 0].astype(np.float64).mean(-1) for eye in EYES)
    return np.asarray(np.abs(upper - lower) / np.maximum(np.abs(right - left), SMALLEST_PX))


def measure_loudness_distance(clip: MeasuredClip) -> float:
    """Measure how far the opening of the mouth is from the loudness of the sound.

    Args:
        clip: one of the clips.

    Returns:
        Mean over the frames of speech of the difference between opening and loudness, each scaled
        to 0 to 1 by its own extremes; NaN where less than a tenth of the frames has speech.
    """
    if clip.silent is None or (~clip.silent).mean() < MIN_SPEECH_SHARE:
        return float("nan")
    heard = ~clip.silent & has_face(clip.landmarks)
    loudness = read_loudness(clip)
    if loudness is None or heard.sum() < 2:
        return float("nan")
    opening = map_row_blocks(_measure_mean_opening, clip.landmarks)[heard]
    return float(np.abs(_scale_to_unit(opening) - _scale_to_unit(loudness[heard])).mean())


def read_loudness(clip: MeasuredClip) -> NDArray[np.float64] | None:  # [N]
    """Read the root mean square of a file's sound at each frame; None if it cannot be read."""
    try:
        levels, _ = read_levels_db(clip.path)
    except MediaError:  # damaged sound tells nothing
        return None
    hop = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
    width = max(1, round(LOUDNESS_SECONDS / hop))
    power = np.convolve(10 ** (levels.astype(np.float64) / 10), np.ones(width) / width, "same")
    return np.asarray(np.interp(clip.times, np.arange(len(power)) * hop, np.sqrt(power)))


def _scale_to_unit(values: NDArray[Any]) -> NDArray[Any]:
    """Scale values to 0 to 1 by their extremes; all 0 where they are equal."""
    return (values - values.min()) / max(float(np.ptp(values)), 1e-8)
