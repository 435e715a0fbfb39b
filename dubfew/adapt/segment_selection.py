"""Which part of longer footage to learn from.

A scan looks at a few frames a second and listens to the whole; then the part is taken that best
stands for all that was seen and heard. Only that part is tracked in full afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2, whiten
from scipy.spatial.distance import cdist

from dubfew.adapt.footage_scan import SOUND_STEP_SECONDS, FootageScan, scan_footage
from dubfew.errors import DubfewError
from dubfew.media import VideoInfo
from dubfew.progress import ProgressCallback, no_progress

# What is worth how much. The share of what the footage shows that the part shows as well counts
# most: it is what references are later looked for in.
SCORE_WEIGHTS = {
    "shapes": 3.0,
    "sound": 0.5,
    "lips": 1.0,
    "frontal": 1.0,
    "size": 0.5,
    "valid": 3.0,
    "length": 3.0,
}
# Faces turned further than the first angle are worth less, beyond the second nothing (rad).
HEAD_TURN_LIMITS_RADIANS = (0.35, 0.85)
# All that was seen is represented by at most so many moments.
MAX_COVERAGE_FRAMES = 1500
NUM_SOUND_CLUSTERS = 32


@dataclass(frozen=True)
class FootageSegment:
    """A part of some footage.

    Attributes:
        first: its first frame.
        stop: the frame after its last.
        start: when it begins, s.
        seconds: how long it is.
        chosen: "whole" (there is no more), "asked" (by the user) or "best" (of all parts).
        merits: of a part that was chosen as the best: how it fares, each in [0, 1], see
            `score_segments`.
    """

    first: int
    stop: int
    start: float
    seconds: float
    chosen: str
    merits: dict[str, float]

    def __str__(self) -> str:
        return f"{self.start:.1f} s to {self.start + self.seconds:.1f} s ({self.chosen})"


def choose_segment(
    video: Path,
    info: VideoInfo,
    seconds: float,
    *,
    start: float | None = None,
    progress: ProgressCallback = no_progress,
) -> FootageSegment:
    """The best part of some footage, or the one that was asked for.

    Memory and time are bounded: what lies beyond `scan.LONGEST` is not looked at.

    Args:
        video: the footage.
        info: what `probe` says of it.
        seconds: how long the part may be.
        start: where it is to begin, s; the best place by default.
        progress: told while scanning.

    Raises:
        DubfewError: the footage ends before ``start``.
        MediaError: the footage cannot be read.
    """
    fps = float(info.fps)
    total = info.frames or round(info.duration * fps)
    frames = max(1, round(min(seconds * fps, 1e9)))
    if start is not None:
        if total and start * fps >= total:
            raise DubfewError(
                f"--start {start:g} lies beyond the end of {video}, which has {total / fps:.2f} s"
            )
        first = round(min(start * fps, 1e9))
        return _make_segment(first, first + frames, fps, "asked")
    if total <= frames:
        return _make_segment(0, frames, fps, "whole")
    seen = scan_footage(video, info, progress=progress)
    if not seen.valid.any():
        return _make_segment(0, frames, fps, "whole")  # tracking will say that there is no face
    parts = list(candidate_segments(seen, frames))
    if not parts:
        return _make_segment(0, frames, fps, "whole")
    found = score_segments(seen, parts, frames)
    score = sum(weight * found[name] for name, weight in SCORE_WEIGHTS.items())
    best = int(np.argmax(np.round(score, 6)))  # the earliest of equals
    merit = {name: round(float(values[best]), 3) for name, values in found.items()}
    return _make_segment(*parts[best], fps, "best", merit)


def _make_segment(
    first: int, stop: int, fps: float, chosen: str, scores: dict[str, float] | None = None
) -> FootageSegment:
    return FootageSegment(first, stop, first / fps, (stop - first) / fps, chosen, scores or {})


def candidate_segments(footage_scan: FootageScan, num_frames: int) -> Iterator[tuple[int, int]]:
    """First frame and end of every part that begins at a look and holds no cut.

    A shot shorter than wanted is a candidate as a whole.
    """
    edges = [0, *footage_scan.cuts, footage_scan.num_frames]
    for a, b in pairwise(edges):
        if b - a <= num_frames:
            if b > a:
                yield a, b
            continue
        starts = footage_scan.frame_indices[
            (footage_scan.frame_indices >= a) & (footage_scan.frame_indices + num_frames <= b)
        ]
        for first in starts if len(starts) else [a]:
            yield int(first), int(first) + num_frames


def score_segments(
    footage_scan: FootageScan, segments: list[tuple[int, int]], num_frames: int
) -> dict[str, NDArray[np.float64]]:
    """How the parts fare, each merit in [0, 1] and of shape [parts].

    shapes: how near to some moment of the part every moment of the footage is, in mouth shape and
    head pose (1: all are in it; 0: as near as to an average mouth).
    sound: variety of sounds, against that of all footage.
    lips: how far the lips open and close, against all footage.
    frontal: share of the part that faces the camera.
    size: of the face, against the largest.
    valid: share of looks that found a face.
    length: against the length wanted.
    """
    rows = [np.searchsorted(footage_scan.frame_indices, part) for part in segments]
    keys, valid = footage_scan.keys, footage_scan.valid
    known = np.nonzero(valid)[0]
    some = known[np.unique(np.linspace(0, len(known) - 1, MAX_COVERAGE_FRAMES).astype(int))]
    far = cdist(keys[some], keys).astype(np.float32)
    far[:, ~valid] = np.inf
    usual = float(np.linalg.norm(keys[known] - np.median(keys[known], 0), axis=1).mean()) + 1e-9
    far = np.minimum(far, usual)
    opening = footage_scan.mouth_opening[valid]
    span = float(np.ptp(np.quantile(opening, [0.05, 0.95]))) + 1e-9
    largest = float(np.quantile(footage_scan.eye_distance[valid], 0.95))
    sounds = _cluster_sounds(footage_scan.mel_energy)
    everything = _entropy_bits(sounds) + 1e-9
    turned = np.clip(
        (np.abs(footage_scan.turn) - HEAD_TURN_LIMITS_RADIANS[0])
        / (HEAD_TURN_LIMITS_RADIANS[1] - HEAD_TURN_LIMITS_RADIANS[0]),
        0,
        1,
    )

    found: dict[str, list[float]] = {name: [] for name in SCORE_WEIGHTS}
    for (first, stop), (a, b) in zip(segments, rows, strict=True):
        here = np.arange(a, b)[valid[a:b]]
        found["valid"].append(len(here) / max(1, b - a))
        found["length"].append((stop - first) / num_frames)
        heard = sounds[
            int(first / footage_scan.fps / SOUND_STEP_SECONDS) : int(
                stop / footage_scan.fps / SOUND_STEP_SECONDS
            )
        ]
        found["sound"].append(min(1.0, _entropy_bits(heard) / everything) if len(heard) else 0.0)
        if not len(here):
            for name in ("shapes", "lips", "frontal", "size"):
                found[name].append(0.0)
            continue
        found["shapes"].append(1 - float(far[:, a:b].min(1).mean()) / usual)
        own = np.ptp(np.quantile(footage_scan.mouth_opening[here], [0.05, 0.95]))
        found["lips"].append(min(1.0, float(own) / span))
        found["frontal"].append(1 - float(turned[here].mean()))
        found["size"].append(min(1.0, float(np.median(footage_scan.eye_distance[here])) / largest))
    return {name: np.array(values) for name, values in found.items()}


def _cluster_sounds(mel_energy: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which of a few kinds of sound each moment is. [M]"""
    if len(mel_energy) < 2 * NUM_SOUND_CLUSTERS or float(mel_energy.std()) < 1e-6:
        return np.zeros(len(mel_energy), np.int64)
    # Neighbouring bands say the same: eight broad ones are enough to tell sounds apart.
    broad = mel_energy.reshape(len(mel_energy), 8, -1).mean(2)
    flat = whiten(broad + 1e-6 * np.arange(8), check_finite=False)
    return np.asarray(kmeans2(flat, NUM_SOUND_CLUSTERS, iter=10, minit="++", seed=0)[1], np.int64)


def _entropy_bits(codes: NDArray[np.int64]) -> float:
    """Of the distribution of some codes, bits."""
    if not len(codes):
        return 0.0
    share = np.bincount(codes) / len(codes)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())
