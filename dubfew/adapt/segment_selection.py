"""Choose the part of longer footage to adapt to.

A scan detects faces in a few frames a second and reads the sound. The part whose mouth shapes
represent the whole footage best is chosen; only that part is tracked in full.
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
from dubfew.references.selection import spread_rows

# Weights of the merits of a part in its score, see `score_segments`. Coverage of the mouth shapes
# counts most, since references are chosen among those of the part, and so do valid detections and
# the length, without which nothing can be learned. The others decide between similar parts.
SCORE_WEIGHTS = {
    "shapes": 3.0,
    "sound": 0.5,
    "lips": 1.0,
    "frontal": 1.0,
    "size": 0.5,
    "valid": 3.0,
    "length": 3.0,
}
# Angles away from the camera at which a face begins to count less and counts nothing, rad. At 20
# degrees both corners of the mouth are seen well, at 49 degrees the far one hardly is.
HEAD_TURN_LIMITS_RADIANS = (0.35, 0.85)
# Most scanned frames that coverage is measured on. They are compared with all scanned frames:
# memory and time grow with their product.
MAX_COVERAGE_FRAMES = 1500
# Kinds of sounds that their variety is counted in: somewhat fewer than a language has phonemes.
# More would split loud and soft renderings of the same sound.
NUM_SOUND_CLUSTERS = 32
# Cap of frame numbers computed from a user's seconds: far beyond any footage, within 32 bits.
MAX_FRAME_NUMBER = 1e9


@dataclass(frozen=True)
class FootageSegment:
    """A part of some footage.

    Attributes:
        first: first frame.
        stop: frame after the last.
        start: time of the first frame, s.
        seconds: length, s.
        chosen: reason for the choice: "whole" (the footage is no longer), "asked" (by the user) or
            "best" (of all parts).
        merits: merits of a part that is the best, each in [0, 1], see `score_segments`; empty for
            the other reasons.
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
    """Choose the best part of some footage, or the part that the user asked for.

    Time and memory are bounded: only the first `MAX_SCAN_SECONDS` of the footage are scanned.

    Args:
        video: the footage.
        info: its properties, from `probe`.
        seconds: largest length of the part, above 0.
        start: time at which the part begins, s; None chooses the best part.
        progress: function that is called while the footage is scanned.

    Returns:
        The part. It may reach beyond the end of footage whose number of frames is unknown.

    Raises:
        DubfewError: The footage ends before ``start``.
        MediaError: The footage cannot be read.
    """
    fps = float(info.fps)
    # Containers without a number of frames give only their duration.
    total = info.frames or round(info.duration * fps)
    frames = max(1, round(min(seconds * fps, MAX_FRAME_NUMBER)))
    if start is not None:
        # Without a known length decoding finds out whether the part exists.
        if total and start * fps >= total:
            raise DubfewError(
                f"--start {start:g} lies beyond the end of {video}, which has {total / fps:.2f} s"
            )
        first = round(min(start * fps, MAX_FRAME_NUMBER))
        return _make_segment(first, first + frames, fps, "asked")
    if total <= frames:
        # All of the footage is used; a scan could not choose anything.
        return _make_segment(0, frames, fps, "whole")
    footage_scan = scan_footage(video, info, progress=progress)
    segments = list(candidate_segments(footage_scan, frames))
    if not footage_scan.valid.any() or not segments:
        # Tracking raises the error that explains a footage without a face.
        return _make_segment(0, frames, fps, "whole")
    merits = score_segments(footage_scan, segments, frames)
    scores = sum(weight * merits[name] for name, weight in SCORE_WEIGHTS.items())
    # Rounded, so that the earliest of equally good parts wins on every machine.
    best = int(np.argmax(np.round(scores, 6)))
    best_merits = {name: round(float(values[best]), 3) for name, values in merits.items()}
    return _make_segment(*segments[best], fps, "best", best_merits)


def _make_segment(
    first: int, stop: int, fps: float, chosen: str, merits: dict[str, float] | None = None
) -> FootageSegment:
    """Make a segment of frames; its times follow from the frame rate."""
    return FootageSegment(first, stop, first / fps, (stop - first) / fps, chosen, merits or {})


def candidate_segments(footage_scan: FootageScan, num_frames: int) -> Iterator[tuple[int, int]]:
    """List the parts that begin at a scanned frame and contain no cut.

    A shot shorter than the wanted part is a candidate as a whole.

    Args:
        footage_scan: scan of the footage.
        num_frames: frames of a part.

    Yields:
        First frame and frame after the last.
    """
    edges = [0, *footage_scan.cuts, footage_scan.num_frames]
    scanned = footage_scan.frame_indices
    # A part across a cut would show two poses or two people as one.
    for shot_first, shot_stop in pairwise(edges):
        if shot_stop - shot_first <= num_frames:
            if shot_stop > shot_first:
                yield shot_first, shot_stop
            continue
        # Begin at scanned frames; a shot between two of them begins with its first frame.
        starts = scanned[(scanned >= shot_first) & (scanned + num_frames <= shot_stop)]
        for first in starts if len(starts) else [shot_first]:
            yield int(first), int(first) + num_frames


def score_segments(
    footage_scan: FootageScan, segments: list[tuple[int, int]], num_frames: int
) -> dict[str, NDArray[np.float64]]:
    """Measure the merits of parts, each in [0, 1].

    Args:
        footage_scan: scan of the footage, with at least one face.
        segments: first frame of each part and frame after its last.
        num_frames: frames of a part as long as wanted.

    Returns:
        One array [parts] for each merit:

        - ``shapes``: coverage of the footage's mouth shapes and head poses. 1 if the part contains
          all of them, 0 if none is nearer to the part than to an average mouth.
        - ``sound``: variety of sounds, relative to that of the whole footage.
        - ``lips``: range of the opening of the lips, relative to that of the whole footage.
        - ``frontal``: fraction of scanned frames that face the camera.
        - ``size``: size of the face, relative to the largest.
        - ``valid``: fraction of scanned frames with a face.
        - ``length``: length, relative to the wanted one.
    """
    valid = footage_scan.valid
    distances, mean_distance = _distances_between_shapes(footage_scan)
    opening_range = _opening_range(footage_scan.mouth_opening[valid]) + 1e-9
    largest = float(np.quantile(footage_scan.eye_distance[valid], 0.95))
    sounds = _cluster_sounds(footage_scan.mel_energy)
    whole_entropy = _entropy_bits(sounds) + 1e-9
    frontal_limit, turned_limit = HEAD_TURN_LIMITS_RADIANS
    turned = np.clip(
        (np.abs(footage_scan.turn) - frontal_limit) / (turned_limit - frontal_limit), 0, 1
    )

    merits: dict[str, list[float]] = {name: [] for name in SCORE_WEIGHTS}
    for first, stop in segments:
        # Scanned frames of the part, and those of them with a face.
        begin, end = np.searchsorted(footage_scan.frame_indices, (first, stop))
        faces = np.arange(begin, end)[valid[begin:end]]
        merits["valid"].append(len(faces) / max(1, end - begin))
        merits["length"].append((stop - first) / num_frames)
        heard = sounds[
            int(first / footage_scan.fps / SOUND_STEP_SECONDS) : int(
                stop / footage_scan.fps / SOUND_STEP_SECONDS
            )
        ]
        merits["sound"].append(
            min(1.0, _entropy_bits(heard) / whole_entropy) if len(heard) else 0.0
        )
        if not len(faces):
            # Without a face the part shows nothing of the actor.
            for name in ("shapes", "lips", "frontal", "size"):
                merits[name].append(0.0)
            continue
        # Distance of each representative mouth shape to the nearest one in the part.
        nearest = distances[:, begin:end].min(1)
        merits["shapes"].append(1 - float(nearest.mean()) / mean_distance)
        part_range = _opening_range(footage_scan.mouth_opening[faces])
        merits["lips"].append(min(1.0, part_range / opening_range))
        merits["frontal"].append(1 - float(turned[faces].mean()))
        part_size = float(np.median(footage_scan.eye_distance[faces]))
        merits["size"].append(min(1.0, part_size / largest))
    return {name: np.array(values) for name, values in merits.items()}


def _distances_between_shapes(
    footage_scan: FootageScan,
) -> tuple[NDArray[np.float32], float]:  # [M, L], []
    """Compute distances from M representative mouth shapes to those of all L scanned frames.

    They are cut off at the second result, the mean distance from an average mouth. Frames without
    a face are at that distance.
    """
    keys, valid = footage_scan.keys, footage_scan.valid
    faces = np.nonzero(valid)[0]
    representative = faces[spread_rows(0, len(faces) - 1, MAX_COVERAGE_FRAMES)]
    distances = cdist(keys[representative], keys).astype(np.float32)
    distances[:, ~valid] = np.inf
    from_average = np.linalg.norm(keys[faces] - np.median(keys[faces], 0), axis=1)
    mean_distance = float(from_average.mean()) + 1e-9
    return np.minimum(distances, mean_distance), mean_distance


def _opening_range(mouth_opening: NDArray[np.float32]) -> float:
    """Measure the range of the opening of the lips without its extremes, inter-ocular distances."""
    return float(np.ptp(np.quantile(mouth_opening, [0.05, 0.95])))


def _cluster_sounds(mel_energy: NDArray[np.float32]) -> NDArray[np.int64]:
    """Assign each moment one of `NUM_SOUND_CLUSTERS` kinds of sound. [M]"""
    if len(mel_energy) < 2 * NUM_SOUND_CLUSTERS or float(mel_energy.std()) < 1e-6:
        # Silence, or too little sound to cluster.
        return np.zeros(len(mel_energy), np.int64)
    # Neighboring bands are much alike: eight broad ones are enough to tell sounds apart.
    broad = mel_energy.reshape(len(mel_energy), 8, -1).mean(2)
    # Bands of equal variance, so that loud low ones do not decide alone.
    flat = whiten(broad + 1e-6 * np.arange(8), check_finite=False)
    return np.asarray(kmeans2(flat, NUM_SOUND_CLUSTERS, iter=10, minit="++", seed=0)[1], np.int64)


def _entropy_bits(codes: NDArray[np.int64]) -> float:
    """Compute the entropy of the distribution of some codes, bits."""
    if not len(codes):
        return 0.0
    probability = np.bincount(codes) / len(codes)
    probability = probability[probability > 0]
    return float(-(probability * np.log2(probability)).sum())
