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
from dubfew.reconstruction.covering import face_patch
from dubfew.reconstruction.landmarks import LANDMARKS
from dubfew.reconstruction.recognition import FaceEmbedding, load_embedding
from dubfew.reconstruction.shots import JUMP, face_jumps
from dubfew.reconstruction.similarity import similarity

# A face that was lost for longer, frames, is linked by what it looks like.
LOST = 12
# Pictures of a passage to tell people apart by, how often one is taken, frames, and its edge, px.
PICTURES, EVERY, EDGE = 6, 12, 160
# Passages shorter than this, frames, are the detector's mistakes where there are longer ones.
BRIEF = 5
# Mean embeddings of one person lie nearer than single pictures do, by this factor.
OF_MEANS = 0.8

FloatArray = NDArray[np.float32]


@dataclass
class Passage:
    """One face through part of a shot.

    Attributes:
        frames: in which it is seen, rising.
        landmarks: px. [478, 3] for each
        patches: small pictures of the face, see ``face_patch``.
        pictures: a few: frame, picture of the face and the landmarks in it.
    """

    frames: list[int] = field(default_factory=list)
    landmarks: list[FloatArray] = field(default_factory=list)
    patches: list[NDArray[np.uint8]] = field(default_factory=list)
    pictures: list[tuple[int, NDArray[np.uint8], FloatArray]] = field(default_factory=list)

    def between(self, first: int, stop: int) -> Passage:
        """The part in some frames."""
        a, b = np.searchsorted(self.frames, [first, stop])
        pictures = [picture for picture in self.pictures if first <= picture[0] < stop]
        return Passage(self.frames[a:b], self.landmarks[a:b], self.patches[a:b], pictures)


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
        self.passages: list[Passage] = []
        self._open: list[Passage] = []

    def see(
        self, index: int, faces: Sequence[FloatArray], rgb: NDArray[np.uint8], new_shot: bool
    ) -> None:
        """Look at the faces of the next frame: landmarks [478, 3] px each, and its picture."""
        if new_shot:
            self._open = []
        self._open = [p for p in self._open if index - p.frames[-1] <= LOST]
        for face, passage in zip(faces, self._matched(faces), strict=True):
            if passage is None:
                passage = Passage()
                self.passages.append(passage)
                self._open.append(passage)
            passage.frames.append(index)
            passage.landmarks.append(face)
            passage.patches.append(face_patch(rgb, face))
            if len(passage.frames) % EVERY == 1:
                passage.pictures.append((index, *face_picture(rgb, face)))
                if len(passage.pictures) > 2 * PICTURES:
                    del passage.pictures[1::2]

    def _matched(self, faces: Sequence[FloatArray]) -> list[Passage | None]:
        """The passage that each face goes on with: the nearest, and near enough."""
        result: list[Passage | None] = [None] * len(faces)
        if not faces or not self._open:
            return result
        distance = np.array(
            [[_distance(p.landmarks[-1], face) for p in self._open] for face in faces]
        )
        for row, column in zip(*linear_sum_assignment(np.minimum(distance, 10.0)), strict=True):
            if distance[row, column] < JUMP:
                result[row] = self._open[column]
        return result


def people_of(passages: Sequence[Passage], starts: Sequence[int], frames: int) -> list[Person]:
    """The people of a clip, who is seen most first.

    Passages of one shot that follow each other in the same place are one person's; all others are
    told apart by the network of the extra `identity` where it is installed, and by plain
    likeness of the aligned pictures otherwise, which knows a person again in the same light and
    pose and not much beyond.

    Args:
        passages: of a ``FaceLinker``.
        starts: first frames of the shots after the first.
        frames: of the clip.
    """
    edges = sorted({0, *starts, frames})
    pieces = [part for passage in passages for part in _steady(passage, edges)]
    longest = max((len(piece.frames) for piece in pieces), default=0)
    pieces = [piece for piece in pieces if len(piece.frames) >= min(BRIEF, longest)]
    groups = _grouped(pieces, np.array(edges))
    people = [_person(group) for group in groups]
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


def _steady(passage: Passage, edges: Sequence[int]) -> list[Passage]:
    """A passage cut where shots begin and where the face jumps."""
    rows = np.stack(passage.landmarks)
    gaps = np.diff(passage.frames, prepend=passage.frames[0])
    jumps = [passage.frames[row] for row in face_jumps(rows) if gaps[row] <= LOST]
    parts = [passage.between(a, b) for a, b in pairwise(sorted({*edges, *jumps}))]
    return [part for part in parts if part.frames]


def _grouped(pieces: list[Passage], edges: NDArray[np.int64]) -> list[list[Passage]]:
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
    # In units of what is one person at most.
    distance = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            distance[i, j] = distance[j, i] = _apart(
                pieces[i], pieces[j], vectors[i], vectors[j], likeness.same * OF_MEANS, edges
            )
    rows, columns = np.triu_indices(n, 1)
    names = fcluster(linkage(distance[rows, columns], "complete"), 1.0, "distance")
    return [
        [piece for piece, name in zip(pieces, names, strict=True) if name == wanted]
        for wanted in np.unique(names)
    ]


def _apart(
    first: Passage,
    second: Passage,
    one: FloatArray | None,
    other: FloatArray | None,
    same: float,
    edges: NDArray[np.int64],
) -> float:
    """How unlike one person's two passages are; above 1 they are two people's."""
    if first.frames[0] > second.frames[0]:
        first, second = second, first
    if np.intersect1d(first.frames, second.frames).size:
        return 1e6
    unlike = 2.0
    if one is not None and other is not None:
        unlike = float(np.linalg.norm(one - other)) / same
    ends = np.searchsorted(edges, [first.frames[-1], second.frames[0]], side="right")
    near = _distance(first.landmarks[-1], second.landmarks[0]) < JUMP
    # Where they are in the same place of a shot it takes more to tell them apart.
    return unlike / 2 if ends[0] == ends[1] and near else unlike


def _person(pieces: Sequence[Passage]) -> Person:
    ordered = sorted(pieces, key=lambda piece: piece.frames[0])
    frames = np.concatenate([np.array(piece.frames, np.int64) for piece in ordered])
    landmarks = np.concatenate([np.stack(piece.landmarks) for piece in ordered])
    order = np.argsort(frames, kind="stable")
    width = float(np.median(np.ptp(landmarks[..., 0], axis=1)))
    pictures = [picture[1:] for piece in ordered for picture in piece.pictures]
    patches = np.concatenate([np.stack(piece.patches) for piece in ordered])
    return Person(0, frames[order], landmarks[order], patches[order], width, pictures)


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
