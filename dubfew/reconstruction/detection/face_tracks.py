"""Who is seen where: faces linked over frames, and over shots to people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS
from dubfew.reconstruction.detection.shots import MAX_FACE_STEP_WIDTHS, find_face_jumps
from dubfew.reconstruction.face_embeddings import FaceEmbedding, load_face_embedding
from dubfew.reconstruction.similarity_transform import fit_similarity_transform
from dubfew.reconstruction.visibility.temporal_occlusion import (
    PATCH_HEIGHT_PX,
    PATCH_WIDTH_PX,
    extract_face_patch,
)
from dubfew.utils.arrays import FloatArray
from dubfew.utils.growable_array import GrowableArray, take_rows

# A face that was lost for longer, frames, is linked by what it looks like.
MAX_LOST_FRAMES = 12
# Pictures of a passage to tell people apart by, how often one is taken, frames, and its edge, px.
NUM_DESCRIPTOR_CROPS, CROP_INTERVAL_FRAMES, FACE_CROP_PX = 6, 12, 160
# Who is seen in fewer frames is the detector's mistake where others are seen longer.
MIN_PERSON_FRAMES = 5
# Mean embeddings of one person lie nearer than single pictures do, by this factor.
MEAN_DESCRIPTOR_FACTOR = 0.8


@dataclass
class Tracklet:
    """One face through part of a shot.

    Attributes:
        frames: in which it is seen, rising.
        rows: of the ``TrackletSet`` that belong to it, one for each.
        crops: a few: frame, picture of the face and the landmarks in it.
    """

    frames: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    crops: list[tuple[int, NDArray[np.uint8], FloatArray]] = field(default_factory=list)

    def select_frames(self, first: int, stop: int) -> Tracklet:
        """The part in some frames."""
        a, b = np.searchsorted(self.frames, [first, stop])
        pictures = [picture for picture in self.crops if first <= picture[0] < stop]
        return Tracklet(self.frames[a:b], self.rows[a:b], pictures)


@dataclass(frozen=True)
class TrackletSet:
    """Every face of every frame, as a ``FaceTracker`` saw them: M in all.

    Attributes:
        tracklets: which of them belong together.
        landmarks: px. [M, 478, 3]
        patches: small pictures of the faces, see ``extract_face_patch``. [M, 48, 32, 3]
    """

    tracklets: list[Tracklet]
    landmarks: FloatArray
    patches: NDArray[np.uint8]

    def tracklet_landmarks(self, tracklet: Tracklet) -> FloatArray:
        """Px. [m, 478, 3]"""
        return take_rows(self.landmarks, np.array(tracklet.rows))


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


class FaceTracker:
    """Links the faces of a frame to those of the frames before. Feed it frames in order."""

    def __init__(self) -> None:
        self._tracklets: list[Tracklet] = []
        self._active_tracklets: list[tuple[Tracklet, FloatArray]] = []  # and where it was last seen
        self._landmarks = GrowableArray((NUM_LANDMARKS, 3), np.float32)
        self._patches = GrowableArray((PATCH_HEIGHT_PX, PATCH_WIDTH_PX, 3), np.uint8)

    def update(
        self,
        frame_index: int,
        faces: Sequence[FloatArray],
        rgb: NDArray[np.uint8],
        is_new_shot: bool,
    ) -> None:
        """Look at the faces of the next frame: landmarks [478, 3] px each, and its picture."""
        self._active_tracklets = (
            []
            if is_new_shot
            else [
                o
                for o in self._active_tracklets
                if frame_index - o[0].frames[-1] <= MAX_LOST_FRAMES
            ]
        )
        for face, place in zip(faces, self._match_faces(faces), strict=True):
            if place is None:
                place = len(self._active_tracklets)
                self._active_tracklets.append((Tracklet(), face))
                self._tracklets.append(self._active_tracklets[place][0])
            passage = self._active_tracklets[place][0]
            self._active_tracklets[place] = passage, face
            passage.frames.append(frame_index)
            passage.rows.append(len(self._landmarks))
            self._landmarks.append(face)
            self._patches.append(extract_face_patch(rgb, face))
            if len(passage.frames) % CROP_INTERVAL_FRAMES == 1:
                passage.crops.append((frame_index, *crop_face(rgb, face)))
                if len(passage.crops) > 2 * NUM_DESCRIPTOR_CROPS:
                    del passage.crops[1::2]

    def _match_faces(self, faces: Sequence[FloatArray]) -> list[int | None]:
        """Which of the open passages each face goes on with: the nearest, and near enough."""
        result: list[int | None] = [None] * len(faces)
        if not faces or not self._active_tracklets:
            return result
        distance = np.array(
            [
                [_face_center_distance(last, face) for _, last in self._active_tracklets]
                for face in faces
            ]
        )
        for row, column in zip(*linear_sum_assignment(np.minimum(distance, 10.0)), strict=True):
            if distance[row, column] < MAX_FACE_STEP_WIDTHS:
                result[row] = int(column)
        return result

    def take_tracklets(self) -> TrackletSet:
        """All that was seen; the linker has nothing left then."""
        return TrackletSet(
            self._tracklets, self._landmarks.take_array(), self._patches.take_array()
        )


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


class FaceDescriptor(Protocol):
    """What people are told apart by: vectors of faces, and how far apart one person's may be."""

    same_person_distance: float

    def __call__(self, rgb: NDArray[np.uint8], landmarks: FloatArray) -> FloatArray: ...


class PixelDescriptor:
    """The aligned picture itself, small and freed of brightness: where no network is there.

    Of the means of six pictures each from the halves of 47 clips, 95 % of those of one clip are
    nearer than ``same_person_distance`` times ``MEAN_DESCRIPTOR_FACTOR``, and 0.2 % of those of
    different clips.
    """

    same_person_distance = 0.76
    # Eye corners, root, bridge and end of the nose, and where they lie in a face 1 wide.
    _ALIGNMENT_LANDMARKS = (33, 133, 362, 263, 168, 6, 2)
    _ALIGNMENT_TARGETS = np.array(
        [[31, 42], [43, 42], [57, 42], [69, 42], [50, 42], [50, 48], [50, 66]], np.float32
    )
    _CROP_PX = 24

    def __call__(self, rgb: NDArray[np.uint8], landmarks: FloatArray) -> FloatArray:
        """Unit vector of the face with these landmarks. [1728]"""
        places = self._ALIGNMENT_TARGETS * (self._CROP_PX / 100)
        return compute_pixel_descriptor(
            rgb, landmarks[list(self._ALIGNMENT_LANDMARKS), :2], places, self._CROP_PX
        )


def compute_pixel_descriptor(
    rgb: NDArray[np.uint8], points: NDArray, target_points: NDArray, crop_size: int
) -> FloatArray:
    """A picture drawn ``crop_size`` px wide with points [K, 2] (px) nearest to places [K, 2] (px),
    as a
    unit vector free of brightness. [3 size²]"""
    small = Image.fromarray(rgb).transform(
        (crop_size, crop_size),
        Image.Transform.AFFINE,
        tuple(fit_similarity_transform(target_points, points).ravel()),
        Image.Resampling.BILINEAR,
    )
    values = np.asarray(small, np.float32).ravel()
    values = values - values.mean()
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-6), np.float32)


def load_face_descriptor() -> FaceEmbedding | PixelDescriptor:
    """The best that is installed."""
    try:
        return load_face_embedding()
    except MissingDependencyError:
        return PixelDescriptor()


def compute_mean_descriptor(
    crops: Sequence[tuple[NDArray[np.uint8], FloatArray]], descriptor: FaceDescriptor
) -> FloatArray:
    """Mean vector of some pictures of one person. [D]"""
    chosen = np.unique(np.linspace(0, len(crops) - 1, NUM_DESCRIPTOR_CROPS).astype(int))
    vectors = np.stack([descriptor(*crops[row]) for row in chosen])
    return np.asarray(vectors.mean(0), np.float32)


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
            near = _face_center_distance(ends[early][1], ends[late][0]) < MAX_FACE_STEP_WIDTHS
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


def _face_center_distance(first: FloatArray, second: FloatArray) -> float:
    """Of two faces' middles, in widths of the larger."""
    width = max(float(np.ptp(first[:, 0])), float(np.ptp(second[:, 0])), 1e-6)
    return float(np.linalg.norm(first[:, :2].mean(0) - second[:, :2].mean(0))) / width


def _box_contains(landmarks: FloatArray, position: NDArray) -> NDArray[np.bool_]:
    points = landmarks[..., :2]
    return np.asarray(((points.min(1) <= position) & (position <= points.max(1))).all(1))


def crop_face(
    rgb: NDArray[np.uint8], landmarks: FloatArray
) -> tuple[NDArray[np.uint8], FloatArray]:
    """A small picture of a face with room around it, and the landmarks in it."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    half = float((high - low).max()) * 0.75
    corner = (low + high) / 2 - half
    box = (corner[0], corner[1], corner[0] + 2 * half, corner[1] + 2 * half)
    picture = Image.fromarray(rgb).transform(
        (FACE_CROP_PX, FACE_CROP_PX),
        Image.Transform.EXTENT,
        tuple(map(float, box)),
        Image.Resampling.BILINEAR,
    )
    points = (landmarks[:, :2] - corner) * np.float32(FACE_CROP_PX / (2 * half))
    return np.asarray(picture), points.astype(np.float32)
