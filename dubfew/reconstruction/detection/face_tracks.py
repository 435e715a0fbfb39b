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
from dubfew.reconstruction.detection.landmarks import LANDMARKS
from dubfew.reconstruction.detection.recognition import FaceEmbedding, load_embedding
from dubfew.reconstruction.detection.shots import JUMP, face_jumps
from dubfew.reconstruction.similarity_transform import similarity
from dubfew.reconstruction.visibility.temporal_occlusion import HEIGHT, WIDTH, face_patch
from dubfew.utils.growable_array import Rows, taken

# A face that was lost for longer, frames, is linked by what it looks like.
LOST = 12
# Pictures of a passage to tell people apart by, how often one is taken, frames, and its edge, px.
PICTURES, EVERY, EDGE = 6, 12, 160
# Who is seen in fewer frames is the detector's mistake where others are seen longer.
BRIEF = 5
# Mean embeddings of one person lie nearer than single pictures do, by this factor.
OF_MEANS = 0.8

FloatArray = NDArray[np.float32]


@dataclass
class Passage:
    """One face through part of a shot.

    Attributes:
        frames: in which it is seen, rising.
        rows: of the ``Sightings`` that belong to it, one for each.
        pictures: a few: frame, picture of the face and the landmarks in it.
    """

    frames: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    pictures: list[tuple[int, NDArray[np.uint8], FloatArray]] = field(default_factory=list)

    def between(self, first: int, stop: int) -> Passage:
        """The part in some frames."""
        a, b = np.searchsorted(self.frames, [first, stop])
        pictures = [picture for picture in self.pictures if first <= picture[0] < stop]
        return Passage(self.frames[a:b], self.rows[a:b], pictures)


@dataclass(frozen=True)
class Sightings:
    """Every face of every frame, as a ``FaceLinker`` saw them: M in all.

    Attributes:
        passages: which of them belong together.
        landmarks: px. [M, 478, 3]
        patches: small pictures of the faces, see ``face_patch``. [M, 48, 32, 3]
    """

    passages: list[Passage]
    landmarks: FloatArray
    patches: NDArray[np.uint8]

    def landmarks_of(self, passage: Passage) -> FloatArray:
        """Px. [m, 478, 3]"""
        return taken(self.landmarks, np.array(passage.rows))


@dataclass(frozen=True)
class Person:
    """Somebody in a clip.

    Attributes:
        number: 0 is seen most, in frames times the width of the face.
        frames: in which they are seen, rising. [M]
        landmarks: px. [M, 478, 3]
        patches: small pictures of the face, see ``face_patch``. [M, 48, 32, 3]
        width: of the face in the middle of these frames, px.
        pictures: of the face, with the landmarks in them.
    """

    number: int
    frames: NDArray[np.int64]
    landmarks: FloatArray
    patches: NDArray[np.uint8]
    width: float
    pictures: Sequence[tuple[NDArray[np.uint8], FloatArray]]

    def rows(self, frames: int) -> FloatArray:
        """Landmarks of all frames of the clip, NaN where the person is not seen. [N, 478, 3]"""
        if len(self.frames) == frames:
            return self.landmarks
        rows = np.full((frames, LANDMARKS, 3), np.nan, np.float32)
        rows[self.frames] = self.landmarks
        return rows


class FaceLinker:
    """Links the faces of a frame to those of the frames before. Feed it frames in order."""

    def __init__(self) -> None:
        self._passages: list[Passage] = []
        self._open: list[tuple[Passage, FloatArray]] = []  # and where it was last seen
        self._landmarks = Rows((LANDMARKS, 3), np.float32)
        self._patches = Rows((HEIGHT, WIDTH, 3), np.uint8)

    def see(
        self, index: int, faces: Sequence[FloatArray], rgb: NDArray[np.uint8], new_shot: bool
    ) -> None:
        """Look at the faces of the next frame: landmarks [478, 3] px each, and its picture."""
        self._open = [] if new_shot else [o for o in self._open if index - o[0].frames[-1] <= LOST]
        for face, place in zip(faces, self._matched(faces), strict=True):
            if place is None:
                place = len(self._open)
                self._open.append((Passage(), face))
                self._passages.append(self._open[place][0])
            passage = self._open[place][0]
            self._open[place] = passage, face
            passage.frames.append(index)
            passage.rows.append(len(self._landmarks))
            self._landmarks.append(face)
            self._patches.append(face_patch(rgb, face))
            if len(passage.frames) % EVERY == 1:
                passage.pictures.append((index, *face_picture(rgb, face)))
                if len(passage.pictures) > 2 * PICTURES:
                    del passage.pictures[1::2]

    def _matched(self, faces: Sequence[FloatArray]) -> list[int | None]:
        """Which of the open passages each face goes on with: the nearest, and near enough."""
        result: list[int | None] = [None] * len(faces)
        if not faces or not self._open:
            return result
        distance = np.array([[_distance(last, face) for _, last in self._open] for face in faces])
        for row, column in zip(*linear_sum_assignment(np.minimum(distance, 10.0)), strict=True):
            if distance[row, column] < JUMP:
                result[row] = int(column)
        return result

    def sightings(self) -> Sightings:
        """All that was seen; the linker has nothing left then."""
        return Sightings(self._passages, self._landmarks.array(), self._patches.array())


def people_of(seen: Sightings, starts: Sequence[int], frames: int) -> list[Person]:
    """The people of a clip, who is seen most first.

    Passages of one shot that follow each other in the same place are one person's; all others are
    told apart by the network of the extra `identity` where it is installed, and by plain
    likeness of the aligned pictures otherwise, which knows a person again in the same light and
    pose and not much beyond.

    Args:
        seen: by a ``FaceLinker``.
        starts: first frames of the shots after the first.
        frames: of the clip.
    """
    edges = sorted({0, *starts, frames})
    pieces = [
        part
        for passage in seen.passages
        for part in _steady(passage, seen.landmarks_of(passage), edges)
    ]
    groups = _grouped(pieces, seen.landmarks, np.array(edges))
    lengths = [sum(len(piece.frames) for piece in group) for group in groups]
    people = [
        _person(group, seen)
        for group, length in zip(groups, lengths, strict=True)
        if length >= min(BRIEF, max(lengths))
    ]
    people.sort(key=lambda person: -len(person.frames) * person.width)
    return [replace(person, number=number) for number, person in enumerate(people)]


def choose_person(people: Sequence[Person], wish: str | None) -> Person:
    """Whom somebody asked for.

    Args:
        people: of the clip, at least one.
        wish: a number; "largest"; "X,Y", a place in the picture, px; or None for who is seen most.

    Raises:
        DubfewError: there is no such person, or the wish cannot be read.
    """
    if wish is None:
        return people[0]
    if wish == "largest":
        return max(people, key=lambda person: person.width)
    if wish.isdecimal():
        if int(wish) < len(people):
            return people[int(wish)]
        raise DubfewError(
            f"there is no face {wish}: {len(people)} found, numbered from 0; "
            "`dubfew track --faces` says who is seen where"
        )
    place = re.fullmatch(r"(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", wish)
    if place is None:
        raise DubfewError(
            f"no face {wish!r}: give a number, largest, or a place in px such as 320,200"
        )
    at = np.array([float(value) for value in place.groups()])
    inside = [int(_contains(person.landmarks, at).sum()) for person in people]
    if not any(inside):
        raise DubfewError(
            f"no face is ever at {wish}: give another place, or a number of `dubfew track --faces`"
        )
    return people[int(np.argmax(inside))]


def stretches(frames: NDArray[np.int64], gap: int = LOST) -> list[tuple[int, int]]:
    """First and last frames of the stretches that some rising frame numbers make up."""
    if not len(frames):
        return []
    ends = np.nonzero(np.diff(frames) > gap)[0]
    first, last = [0, *(ends + 1)], [*ends, len(frames) - 1]
    return [(int(frames[a]), int(frames[b])) for a, b in zip(first, last, strict=True)]


class Likeness(Protocol):
    """What people are told apart by: vectors of faces, and how far apart one person's may be."""

    same: float

    def __call__(self, rgb: NDArray[np.uint8], landmarks: FloatArray) -> FloatArray: ...


class Appearance:
    """The aligned picture itself, small and freed of brightness: where no network is there.

    Of the means of six pictures each from the halves of 47 clips, 95 % of those of one clip are
    nearer than ``same`` times ``OF_MEANS``, and 0.2 % of those of different clips.
    """

    same = 0.76
    # Eye corners, root, bridge and end of the nose, and where they lie in a face 1 wide.
    _POINTS = (33, 133, 362, 263, 168, 6, 2)
    _PLACES = np.array(
        [[31, 42], [43, 42], [57, 42], [69, 42], [50, 42], [50, 48], [50, 66]], np.float32
    )
    _SIZE = 24

    def __call__(self, rgb: NDArray[np.uint8], landmarks: FloatArray) -> FloatArray:
        """Unit vector of the face with these landmarks. [1728]"""
        places = self._PLACES * (self._SIZE / 100)
        return plain_vector(rgb, landmarks[list(self._POINTS), :2], places, self._SIZE)


def plain_vector(rgb: NDArray[np.uint8], points: NDArray, places: NDArray, size: int) -> FloatArray:
    """A picture drawn ``size`` px wide with points [K, 2] (px) nearest to places [K, 2] (px), as a
    unit vector free of brightness. [3 size²]"""
    small = Image.fromarray(rgb).transform(
        (size, size),
        Image.Transform.AFFINE,
        tuple(similarity(places, points).ravel()),
        Image.Resampling.BILINEAR,
    )
    values = np.asarray(small, np.float32).ravel()
    values = values - values.mean()
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-6), np.float32)


def load_likeness() -> FaceEmbedding | Appearance:
    """The best that is installed."""
    try:
        return load_embedding()
    except MissingDependencyError:
        return Appearance()


def likeness_of(
    pictures: Sequence[tuple[NDArray[np.uint8], FloatArray]], likeness: Likeness
) -> FloatArray:
    """Mean vector of some pictures of one person. [D]"""
    chosen = np.unique(np.linspace(0, len(pictures) - 1, PICTURES).astype(int))
    vectors = np.stack([likeness(*pictures[row]) for row in chosen])
    return np.asarray(vectors.mean(0), np.float32)


def _steady(passage: Passage, landmarks: FloatArray, edges: Sequence[int]) -> list[Passage]:
    """A passage cut where shots begin and where the face jumps."""
    gaps = np.diff(passage.frames, prepend=passage.frames[0])
    jumps = [passage.frames[row] for row in face_jumps(landmarks) if gaps[row] <= LOST]
    parts = [passage.between(a, b) for a, b in pairwise(sorted({*edges, *jumps}))]
    return [part for part in parts if part.frames]


def _grouped(
    pieces: list[Passage], landmarks: FloatArray, edges: NDArray[np.int64]
) -> list[list[Passage]]:
    """Pieces of the same person together."""
    if len(pieces) < 2:
        return [pieces] if pieces else []
    likeness = load_likeness()
    vectors = [
        likeness_of([picture[1:] for picture in piece.pictures], likeness)
        if piece.pictures
        else None
        for piece in pieces
    ]
    n = len(pieces)
    ends = [(landmarks[piece.rows[0]], landmarks[piece.rows[-1]]) for piece in pieces]
    # In units of what is one person at most.
    distance = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            early, late = sorted((i, j), key=lambda k: pieces[k].frames[0])
            near = _distance(ends[early][1], ends[late][0]) < JUMP
            distance[i, j] = distance[j, i] = _apart(
                pieces[early],
                pieces[late],
                near,
                _unlike(vectors[i], vectors[j], likeness.same * OF_MEANS),
                edges,
            )
    rows, columns = np.triu_indices(n, 1)
    names = fcluster(linkage(distance[rows, columns], "complete"), 1.0, "distance")
    return [
        [piece for piece, name in zip(pieces, names, strict=True) if name == wanted]
        for wanted in np.unique(names)
    ]


def _unlike(one: FloatArray | None, other: FloatArray | None, same: float) -> float:
    """How unlike two faces look, in units of what is one person at most."""
    if one is None or other is None:
        return 2.0
    return float(np.linalg.norm(one - other)) / same


def _apart(
    first: Passage, second: Passage, near: bool, unlike: float, edges: NDArray[np.int64]
) -> float:
    """How far apart the two are as passages of one person; above 1 they are two people's.

    Args:
        first: the one that begins first.
        second: the other.
        near: it begins where the first ends.
        unlike: see ``_unlike``.
        edges: first frames of the shots.
    """
    if np.intersect1d(first.frames, second.frames).size:
        return 1e6
    ends = np.searchsorted(edges, [first.frames[-1], second.frames[0]], side="right")
    # Where they are in the same place of a shot it takes more to tell them apart.
    return unlike / 2 if ends[0] == ends[1] and near else unlike


def _person(pieces: Sequence[Passage], seen: Sightings) -> Person:
    frames = np.array([frame for piece in pieces for frame in piece.frames], np.int64)
    rows = np.array([row for piece in pieces for row in piece.rows], np.int64)
    order = np.argsort(frames, kind="stable")
    landmarks = taken(seen.landmarks, rows[order])
    width = float(np.median(np.ptp(landmarks[..., 0], axis=1)))
    ordered = sorted(pieces, key=lambda piece: piece.frames[0])
    pictures = [picture[1:] for piece in ordered for picture in piece.pictures]
    return Person(0, frames[order], landmarks, taken(seen.patches, rows[order]), width, pictures)


def _distance(first: FloatArray, second: FloatArray) -> float:
    """Of two faces' middles, in widths of the larger."""
    width = max(float(np.ptp(first[:, 0])), float(np.ptp(second[:, 0])), 1e-6)
    return float(np.linalg.norm(first[:, :2].mean(0) - second[:, :2].mean(0))) / width


def _contains(landmarks: FloatArray, at: NDArray) -> NDArray[np.bool_]:
    points = landmarks[..., :2]
    return np.asarray(((points.min(1) <= at) & (at <= points.max(1))).all(1))


def face_picture(
    rgb: NDArray[np.uint8], landmarks: FloatArray
) -> tuple[NDArray[np.uint8], FloatArray]:
    """A small picture of a face with room around it, and the landmarks in it."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    half = float((high - low).max()) * 0.75
    corner = (low + high) / 2 - half
    box = (corner[0], corner[1], corner[0] + 2 * half, corner[1] + 2 * half)
    picture = Image.fromarray(rgb).transform(
        (EDGE, EDGE), Image.Transform.EXTENT, tuple(map(float, box)), Image.Resampling.BILINEAR
    )
    points = (landmarks[:, :2] - corner) * np.float32(EDGE / (2 * half))
    return np.asarray(picture), points.astype(np.float32)
