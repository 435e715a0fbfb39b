"""People of a clip: tracklets of one person, grouped over all shots."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.reconstruction.detection.face_descriptors import (
    MEAN_DESCRIPTOR_FACTOR,
    compute_mean_descriptor,
    load_face_descriptor,
)
from dubfew.reconstruction.detection.face_tracker import (
    MAX_LOST_FRAMES,
    SPEED_FRAMES,
    Tracklet,
    TrackletSet,
    face_center_distance,
    predict_face_shift,
)
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS
from dubfew.reconstruction.detection.shots import MAX_FACE_STEP_WIDTHS, find_face_jumps
from dubfew.utils.arrays import FloatArray
from dubfew.utils.growable_array import (
    BLOCK_ROWS,
    GrowableArray,
    map_row_blocks,
    release_pages,
    take_rows,
)

# A person who is seen in fewer frames is a mistake of the detector, unless nobody in the clip is
# seen longer.
MIN_PERSON_FRAMES = 5
# Descriptor distance of tracklets without a crop, in units of the largest distance within one
# person: above 1, so that they are joined only with a tracklet that goes on at the same place.
UNKNOWN_DESCRIPTOR_DISTANCE = 2.0
# Longest time for which a face that is not seen is taken to move on as it did, frames: somebody who
# passes behind another one. Later the place alone counts.
MAX_MOVING_FRAMES = 48
# Distance of tracklets that are seen at the same time: they are never one person.
SIMULTANEOUS_DISTANCE = 1e6


@dataclass(frozen=True)
class DetectedPerson:
    """One person of a clip, seen in M frames.

    Attributes:
        number: 0 for the most seen person; the order is by frames times width of the face.
        frames: frame numbers in which the person is seen, rising. [M]
        landmarks: px. [M, 478, 3]
        patches: small images of the face, see ``extract_face_patch``. [M, 48, 32, 3]
        face_width: median width of the face, px.
        crops: a few crops of the face, with the landmarks in them.
    """

    number: int
    frames: NDArray[np.int64]
    landmarks: FloatArray
    patches: NDArray[np.uint8]
    face_width: float
    crops: Sequence[tuple[NDArray[np.uint8], FloatArray]]

    def dense_landmarks(self, num_frames: int) -> FloatArray:
        """Spread the landmarks over all frames of the clip, NaN in frames without the person.

        Args:
            num_frames: number of the clip's frames, N.

        Returns:
            Landmarks in px; not a copy if the person is seen in every frame. [N, 478, 3]
        """
        if len(self.frames) == num_frames:
            return self.landmarks
        rows = np.full(num_frames, -1)  # row of each frame, or -1 without the person
        rows[self.frames] = np.arange(len(self.frames))
        missing = np.full((NUM_LANDMARKS, 3), np.nan, np.float32)
        dense = GrowableArray(missing.shape, np.float32)
        for index, row in enumerate(rows):
            dense.append(self.landmarks[row] if row >= 0 else missing)
            if index % BLOCK_ROWS == 0:
                release_pages(self.landmarks)
        return dense.take_array()


def cluster_tracklets(
    tracklet_set: TrackletSet, shot_starts: Sequence[int], num_frames: int
) -> list[DetectedPerson]:
    """Group the tracklets of a clip by person, the most seen person first.

    Tracklets that follow each other at the same place of a shot belong to one person. All others
    are compared by a face descriptor: the network of the extra `identity` where it is installed,
    else the upper face (`upper_face.py`).

    Args:
        tracklet_set: all faces of the clip.
        shot_starts: first frames of all shots but the first one.
        num_frames: number of the clip's frames.

    Returns:
        The people, numbered from 0 on.
    """
    edges = sorted({0, *shot_starts, num_frames})
    # Shot boundaries that were found late still split tracklets.
    pieces = [
        piece
        for tracklet in tracklet_set.tracklets
        for piece in _split_tracklet(tracklet, tracklet_set.tracklet_landmarks(tracklet), edges)
    ]
    groups = _group_tracklets(pieces, tracklet_set.landmarks, np.array(edges))
    lengths = [sum(len(piece.frames) for piece in group) for group in groups]
    people = [
        _merge_tracklets(group, tracklet_set)
        for group, length in zip(groups, lengths, strict=True)
        if length >= min(MIN_PERSON_FRAMES, max(lengths))
    ]
    # Frames times width: a large face counts more than a small one in the background.
    people.sort(key=lambda person: -len(person.frames) * person.face_width)
    return [replace(person, number=number) for number, person in enumerate(people)]


def choose_person(people: Sequence[DetectedPerson], selector: str | None) -> DetectedPerson:
    """Choose one person of a clip.

    Args:
        people: everyone in the clip, at least one person.
        selector: a person's number; "largest"; "X,Y", a position in the frame in px; or None for
            the most seen person.

    Raises:
        DubfewError: No person fits the selector, or the selector cannot be parsed.
    """
    if selector is None:
        return people[0]
    if selector == "largest":
        return max(people, key=lambda person: person.face_width)
    # A number, as `dubfew track --faces` lists them.
    if selector.isdecimal():
        if int(selector) < len(people):
            return people[int(selector)]
        raise DubfewError(
            f"there is no face {selector}: {len(people)} found, numbered from 0; "
            "`dubfew track --faces` lists all faces and where they are seen"
        )
    coordinates = re.fullmatch(r"(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", selector)
    if coordinates is None:
        raise DubfewError(
            f"no face {selector!r}: give a number, largest, or a position in px such as 320,200"
        )
    position = np.array([float(value) for value in coordinates.groups()])
    # People move: the person whose face is at this position in most frames is meant.
    hits = [int(_box_contains(person.landmarks, position).sum()) for person in people]
    if not any(hits):
        raise DubfewError(
            f"no face is ever at {selector}: give another position, or a number of `dubfew track "
            "--faces`"
        )
    return people[int(np.argmax(hits))]


def find_frame_runs(
    frames: NDArray[np.int64], max_gap: int = MAX_LOST_FRAMES
) -> list[tuple[int, int]]:
    """Find runs of frames, bridging short gaps.

    Args:
        frames: frame numbers, rising. [M]
        max_gap: largest difference of two numbers in one run; by default as long as the tracker
            waits for a lost face.

    Returns:
        First and last frame of every run.

    Example:
        >>> find_frame_runs(np.array([0, 1, 2, 30, 31]))
        [(0, 2), (30, 31)]
    """
    if not len(frames):
        return []
    ends = np.nonzero(np.diff(frames) > max_gap)[0]
    first, last = [0, *(ends + 1)], [*ends, len(frames) - 1]
    return [(int(frames[a]), int(frames[b])) for a, b in zip(first, last, strict=True)]


def _split_tracklet(
    tracklet: Tracklet, landmarks: FloatArray, shot_edges: Sequence[int]
) -> list[Tracklet]:
    """Split a tracklet where shots begin and where the face jumps."""
    gaps = np.diff(tracklet.frames, prepend=tracklet.frames[0])
    jumps = [
        tracklet.frames[row] for row in find_face_jumps(landmarks) if gaps[row] <= MAX_LOST_FRAMES
    ]
    parts = [tracklet.select_frames(a, b) for a, b in pairwise(sorted({*shot_edges, *jumps}))]
    return [part for part in parts if part.frames]


def _group_tracklets(
    tracklets: list[Tracklet], landmarks: FloatArray, shot_edges: NDArray[np.int64]
) -> list[list[Tracklet]]:
    """Group tracklets by person, by clustering with complete linkage."""
    if len(tracklets) < 2:
        return [tracklets] if tracklets else []
    # Imported here: most clips show one person without a break.
    from scipy.cluster.hierarchy import fcluster, linkage

    # One descriptor per tracklet, averaged over its crops.
    descriptor = load_face_descriptor()
    vectors = [
        compute_mean_descriptor([crop[1:] for crop in tracklet.crops], descriptor)
        if tracklet.crops
        else None
        for tracklet in tracklets
    ]
    count = len(tracklets)
    same_person_distance = descriptor.same_person_distance * MEAN_DESCRIPTOR_FACTOR
    # Distances of all pairs, in units of the largest distance within one person.
    distance = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            early, late = sorted((i, j), key=lambda k: tracklets[k].frames[0])
            is_near = _is_continued(tracklets[early], tracklets[late], landmarks)
            distance[i, j] = distance[j, i] = _tracklet_distance(
                tracklets[early],
                tracklets[late],
                is_near,
                _descriptor_distance(vectors[i], vectors[j], same_person_distance),
                shot_edges,
            )
    # Complete linkage: every pair of tracklets within a group must be near enough.
    rows, columns = np.triu_indices(count, 1)
    labels = fcluster(linkage(distance[rows, columns], "complete"), 1.0, "distance")
    return [
        [tracklet for tracklet, own in zip(tracklets, labels, strict=True) if own == label]
        for label in np.unique(labels)
    ]


def _is_continued(early: Tracklet, late: Tracklet, landmarks: FloatArray) -> bool:
    """Tell whether a tracklet begins where another one was going, or where it ended long ago."""
    last, first = landmarks[early.rows[-1]], landmarks[late.rows[0]]
    if late.frames[0] - early.frames[-1] <= MAX_MOVING_FRAMES:
        # Half of the way forward from the end, half of it backward from the begin.
        middle = (early.frames[-1] + late.frames[0]) // 2
        for tracklet, rows in (
            (early, slice(-SPEED_FRAMES, None)),
            (late, slice(0, SPEED_FRAMES)),
        ):
            centers = landmarks[tracklet.rows[rows], :, :2].mean(axis=1)
            shift = predict_face_shift(np.array(tracklet.frames[rows]), centers, middle)
            moved = np.append(shift, 0).astype(np.float32)
            last, first = (last + moved, first) if tracklet is early else (last, first + moved)
    return face_center_distance(last, first) < MAX_FACE_STEP_WIDTHS


def _descriptor_distance(
    first: FloatArray | None, second: FloatArray | None, same_person_distance: float
) -> float:
    """Measure the distance of two descriptors, in units of the largest within one person."""
    if first is None or second is None:
        return UNKNOWN_DESCRIPTOR_DISTANCE
    return float(np.linalg.norm(first - second)) / same_person_distance


def _tracklet_distance(
    first: Tracklet,
    second: Tracklet,
    is_near: bool,
    descriptor_distance: float,
    shot_edges: NDArray[np.int64],
) -> float:
    """Measure the distance of two tracklets; above 1 they belong to different people.

    Args:
        first: the tracklet that begins first.
        second: the other tracklet.
        is_near: True if the second begins where the first ends.
        descriptor_distance: distance of their descriptors, see ``_descriptor_distance``.
        shot_edges: first frames of all shots.
    """
    # Nobody is at two places at the same time.
    if np.intersect1d(first.frames, second.frames).size:
        return SIMULTANEOUS_DISTANCE
    shots = np.searchsorted(shot_edges, [first.frames[-1], second.frames[0]], side="right")
    # At the same place of one shot, twice the difference in appearance is accepted.
    return descriptor_distance / 2 if shots[0] == shots[1] and is_near else descriptor_distance


def _merge_tracklets(tracklets: Sequence[Tracklet], tracklet_set: TrackletSet) -> DetectedPerson:
    """Join the tracklets of one person in the order of time; the number is set later."""
    frames = np.array([frame for tracklet in tracklets for frame in tracklet.frames], np.int64)
    rows = np.array([row for tracklet in tracklets for row in tracklet.rows], np.int64)
    order = np.argsort(frames, kind="stable")
    landmarks = take_rows(tracklet_set.landmarks, rows[order])
    # The median ignores frames in which the person comes near the camera.
    widths = map_row_blocks(lambda rows: np.ptp(rows[..., 0], axis=1), landmarks)
    width = float(np.median(widths))
    ordered = sorted(tracklets, key=lambda tracklet: tracklet.frames[0])
    crops = [crop[1:] for tracklet in ordered for crop in tracklet.crops]
    return DetectedPerson(
        0, frames[order], landmarks, take_rows(tracklet_set.patches, rows[order]), width, crops
    )


def _box_contains(landmarks: FloatArray, position: NDArray) -> NDArray[np.bool_]:
    """Test in which frames the landmarks' bounding box contains a position [2] (px). [M]"""

    def contains(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
        points = rows[..., :2]
        return np.asarray(((points.min(1) <= position) & (position <= points.max(1))).all(1))

    return map_row_blocks(contains, landmarks)
