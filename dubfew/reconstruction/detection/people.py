"""The people of a clip: tracklets of one person grouped over all shots."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from dubfew.errors import DubfewError
from dubfew.reconstruction.detection.face_descriptors import (
    MEAN_DESCRIPTOR_FACTOR,
    compute_mean_descriptor,
    load_face_descriptor,
)
from dubfew.reconstruction.detection.face_tracker import (
    MAX_LOST_FRAMES,
    Tracklet,
    TrackletSet,
    face_center_distance,
)
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS
from dubfew.reconstruction.detection.shots import MAX_FACE_STEP_WIDTHS, find_face_jumps
from dubfew.utils.arrays import FloatArray
from dubfew.utils.growable_array import take_rows

# Who is seen in fewer frames is the detector's mistake where others are seen longer.
MIN_PERSON_FRAMES = 5


@dataclass(frozen=True)
class DetectedPerson:
    """Somebody in a clip.

    Attributes:
        number: 0 is seen most, in frames times the width of the face.
        frames: in which they are seen, rising. [M]
        landmarks: px. [M, 478, 3]
        patches: small pictures of the face, see ``extract_face_patch``. [M, 48, 32, 3]
        face_width: of the face in the middle of these frames, px.
        crops: of the face, with the landmarks in them.
    """

    number: int
    frames: NDArray[np.int64]
    landmarks: FloatArray
    patches: NDArray[np.uint8]
    face_width: float
    crops: Sequence[tuple[NDArray[np.uint8], FloatArray]]

    def dense_landmarks(self, num_frames: int) -> FloatArray:
        """Landmarks of all frames of the clip, NaN where the person is not seen. [N, 478, 3]"""
        if len(self.frames) == num_frames:
            return self.landmarks
        rows = np.full((num_frames, NUM_LANDMARKS, 3), np.nan, np.float32)
        rows[self.frames] = self.landmarks
        return rows


def cluster_tracklets(
    tracklet_set: TrackletSet, shot_starts: Sequence[int], num_frames: int
) -> list[DetectedPerson]:
    """The people of a clip, who is seen most first.

    Passages of one shot that follow each other in the same place are one person's; all others are
    told apart by the network of the extra `identity` where it is installed, and by plain
    likeness of the aligned pictures otherwise, which knows a person again in the same light and
    pose and not much beyond.

    Args:
        tracklet_set: by a ``FaceTracker``.
        shot_starts: first frames of the shots after the first.
        num_frames: of the clip.
    """
    edges = sorted({0, *shot_starts, num_frames})
    pieces = [
        part
        for passage in tracklet_set.tracklets
        for part in _split_tracklet(passage, tracklet_set.tracklet_landmarks(passage), edges)
    ]
    groups = _group_tracklets(pieces, tracklet_set.landmarks, np.array(edges))
    lengths = [sum(len(piece.frames) for piece in group) for group in groups]
    people = [
        _merge_tracklets(group, tracklet_set)
        for group, length in zip(groups, lengths, strict=True)
        if length >= min(MIN_PERSON_FRAMES, max(lengths))
    ]
    people.sort(key=lambda person: -len(person.frames) * person.face_width)
    return [replace(person, number=number) for number, person in enumerate(people)]


def choose_person(people: Sequence[DetectedPerson], selector: str | None) -> DetectedPerson:
    """Whom somebody asked for.

    Args:
        people: of the clip, at least one.
        selector: a number; "largest"; "X,Y", a place in the picture, px; or None for who is seen
            most.

    Raises:
        DubfewError: there is no such person, or the wish cannot be read.
    """
    if selector is None:
        return people[0]
    if selector == "largest":
        return max(people, key=lambda person: person.face_width)
    if selector.isdecimal():
        if int(selector) < len(people):
            return people[int(selector)]
        raise DubfewError(
            f"there is no face {selector}: {len(people)} found, numbered from 0; "
            "`dubfew track --faces` says who is seen where"
        )
    place = re.fullmatch(r"(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", selector)
    if place is None:
        raise DubfewError(
            f"no face {selector!r}: give a number, largest, or a place in px such as 320,200"
        )
    at = np.array([float(value) for value in place.groups()])
    inside = [int(_box_contains(person.landmarks, at).sum()) for person in people]
    if not any(inside):
        raise DubfewError(
            f"no face is ever at {selector}: give another place, or a number of `dubfew track "
            "--faces`"
        )
    return people[int(np.argmax(inside))]


def find_frame_runs(
    frames: NDArray[np.int64], max_gap: int = MAX_LOST_FRAMES
) -> list[tuple[int, int]]:
    """First and last frames of the stretches that some rising frame numbers make up."""
    if not len(frames):
        return []
    ends = np.nonzero(np.diff(frames) > max_gap)[0]
    first, last = [0, *(ends + 1)], [*ends, len(frames) - 1]
    return [(int(frames[a]), int(frames[b])) for a, b in zip(first, last, strict=True)]


def _split_tracklet(
    tracklet: Tracklet, landmarks: FloatArray, shot_edges: Sequence[int]
) -> list[Tracklet]:
    """A passage cut where shots begin and where the face jumps."""
    gaps = np.diff(tracklet.frames, prepend=tracklet.frames[0])
    jumps = [
        tracklet.frames[row] for row in find_face_jumps(landmarks) if gaps[row] <= MAX_LOST_FRAMES
    ]
    parts = [tracklet.select_frames(a, b) for a, b in pairwise(sorted({*shot_edges, *jumps}))]
    return [part for part in parts if part.frames]


def _group_tracklets(
    tracklets: list[Tracklet], landmarks: FloatArray, shot_edges: NDArray[np.int64]
) -> list[list[Tracklet]]:
    """Pieces of the same person together."""
    if len(tracklets) < 2:
        return [tracklets] if tracklets else []
    likeness = load_face_descriptor()
    vectors = [
        compute_mean_descriptor([picture[1:] for picture in piece.crops], likeness)
        if piece.crops
        else None
        for piece in tracklets
    ]
    n = len(tracklets)
    ends = [(landmarks[piece.rows[0]], landmarks[piece.rows[-1]]) for piece in tracklets]
    # In units of what is one person at most.
    distance = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            early, late = sorted((i, j), key=lambda k: tracklets[k].frames[0])
            near = face_center_distance(ends[early][1], ends[late][0]) < MAX_FACE_STEP_WIDTHS
            distance[i, j] = distance[j, i] = _tracklet_distance(
                tracklets[early],
                tracklets[late],
                near,
                _descriptor_distance(
                    vectors[i], vectors[j], likeness.same_person_distance * MEAN_DESCRIPTOR_FACTOR
                ),
                shot_edges,
            )
    rows, columns = np.triu_indices(n, 1)
    names = fcluster(linkage(distance[rows, columns], "complete"), 1.0, "distance")
    return [
        [piece for piece, name in zip(tracklets, names, strict=True) if name == wanted]
        for wanted in np.unique(names)
    ]


def _descriptor_distance(
    first: FloatArray | None, second: FloatArray | None, same_person_distance: float
) -> float:
    """How unlike two faces look, in units of what is one person at most."""
    if first is None or second is None:
        return 2.0
    return float(np.linalg.norm(first - second)) / same_person_distance


def _tracklet_distance(
    first: Tracklet,
    second: Tracklet,
    is_near: bool,
    descriptor_distance: float,
    shot_edges: NDArray[np.int64],
) -> float:
    """How far apart the two are as passages of one person; above 1 they are two people's.

    Args:
        first: the one that begins first.
        second: the other.
        is_near: it begins where the first ends.
        descriptor_distance: see ``_descriptor_distance``.
        shot_edges: first frames of the shots.
    """
    if np.intersect1d(first.frames, second.frames).size:
        return 1e6
    ends = np.searchsorted(shot_edges, [first.frames[-1], second.frames[0]], side="right")
    # Where they are in the same place of a shot it takes more to tell them apart.
    return descriptor_distance / 2 if ends[0] == ends[1] and is_near else descriptor_distance


def _merge_tracklets(tracklets: Sequence[Tracklet], tracklet_set: TrackletSet) -> DetectedPerson:
    frames = np.array([frame for piece in tracklets for frame in piece.frames], np.int64)
    rows = np.array([row for piece in tracklets for row in piece.rows], np.int64)
    order = np.argsort(frames, kind="stable")
    landmarks = take_rows(tracklet_set.landmarks, rows[order])
    width = float(np.median(np.ptp(landmarks[..., 0], axis=1)))
    ordered = sorted(tracklets, key=lambda piece: piece.frames[0])
    pictures = [picture[1:] for piece in ordered for picture in piece.crops]
    return DetectedPerson(
        0, frames[order], landmarks, take_rows(tracklet_set.patches, rows[order]), width, pictures
    )


def _box_contains(landmarks: FloatArray, position: NDArray) -> NDArray[np.bool_]:
    points = landmarks[..., :2]
    return np.asarray(((points.min(1) <= position) & (position <= points.max(1))).all(1))
