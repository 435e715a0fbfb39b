"""Which of a scene's people the actor is, where several are seen.

Their faces are compared with the actor's: in the footage that the actor was adapted on while it is
there, or else with the mouths that are stored. Nothing of what is computed here is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.artefact import TRACK, ActorAdapter
from dubfew.errors import MediaError
from dubfew.media import read_frames
from dubfew.reconstruction.detection.face_tracks import (
    OF_MEANS,
    PICTURES,
    Likeness,
    Person,
    face_picture,
    likeness_of,
    load_likeness,
    plain_vector,
)
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track
from dubfew.references.footage import Footage
from dubfew.utils.files import sha256_file

FloatArray = NDArray[np.float32]
Pictures = list[tuple[NDArray[np.uint8], FloatArray]]

# Whoever comes this near to the nearest, in units of what one person's pictures may differ by, is
# nearly as like the actor.
CLOSE = 0.15


def most_like(
    people: Sequence[Person], actor: str, adapter: ActorAdapter, head: HeadModel
) -> tuple[Person, str]:
    """Who of several people the actor is, and one line that says so.

    If nobody is like the actor it is who is seen most; that, and that two are nearly alike, is a
    warning, too, for the work that follows takes minutes.

    Args:
        people: of the scene, two or more.
        actor: their id.
        adapter: what is stored of them.
        head: that they were tracked with.
    """
    distance = distances(people, adapter, head)
    first, second = np.argsort(distance, kind="stable")[:2]
    chosen, sure = people[first], False
    if distance[first] > 1:
        chosen = people[0]
        line = f"none of {len(people)} faces is like {actor!r}: face 0 is taken, seen most"
    elif distance[second] - distance[first] < CLOSE:
        line = f"faces {first} and {second} are nearly alike: {first} is taken for {actor!r}"
    else:
        line, sure = f"face {first} of {len(people)} is {actor!r}, by likeness", True
    if not sure:
        line += " (--face chooses)"
        warnings.warn(line, stacklevel=2)
    return chosen, line


def distances(people: Sequence[Person], adapter: ActorAdapter, head: HeadModel) -> FloatArray:
    """How unlike the actor each is; above 1 it is somebody else. [P]"""
    shown = pictures_of(adapter)
    likeness: Likeness
    if shown:
        likeness = load_likeness()
        own = likeness_of(shown, likeness)
    else:
        likeness = mouths = MouthLikeness(head)
        own = mouths.of_references(adapter.references)
    return np.array(
        [
            np.linalg.norm(likeness_of(person.pictures, likeness) - own)
            / (likeness.same * OF_MEANS)
            if person.pictures
            else np.inf
            for person in people
        ],
        np.float32,
    )


def pictures_of(adapter: ActorAdapter) -> Pictures:
    """Some pictures of the actor's face; none where their footage is gone or another one."""
    source = adapter.config["source"]
    path, first = Path(source["path"]), source.get("first")
    if not path.is_file() or not isinstance(first, int) or sha256_file(path) != source["sha256"]:
        return []
    track = Track.from_bytes(adapter.track, TRACK)
    rows = np.flatnonzero(track.usable)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, PICTURES).astype(int))]
    wanted = {first + int(row): track.landmarks[row] for row in rows}
    try:
        return [
            face_picture(frame.to_rgb(), wanted[frame.index])
            for frame in read_frames(path, start=first, stop=max(wanted) + 1)
            if frame.index in wanted
        ]
    except MediaError:
        return []


class MouthLikeness:
    """The lower face as a plain picture: all that is stored of an actor's looks.

    Of the means of six pictures each from the halves of 47 clips, 96 % of those of one clip are
    nearer than ``same`` times ``OF_MEANS``, and 5 % of those of different clips.
    """

    same = 0.56
    # Below the nose and beside the mouth: inside of the windows that are stored, and moved little.
    POINTS = (2, 98, 327, 203, 423, 192, 416, 214, 434)
    SIZE = 24

    def __init__(self, head: HeadModel) -> None:
        self._points = head.points(self.POINTS)
        places = (self._points @ head.template)[:, :2] * [1, -1]
        # Cheek to cheek a little more than the whole width: what is behind is not seen, and of the
        # neck nothing.
        places *= 1.25 * self.SIZE / np.ptp(places[:, 0])
        self._places = places - places[0] + [self.SIZE / 2, self.SIZE / 12]

    def __call__(self, rgb: NDArray[np.uint8], landmarks: FloatArray) -> FloatArray:
        """Unit vector of the mouth with these landmarks. [1728]"""
        return plain_vector(rgb, landmarks[list(self.POINTS), :2], self._places, self.SIZE)

    def of_references(self, references: Footage) -> FloatArray:
        """Mean vector of stored windows. [1728]"""
        rows = np.unique(np.linspace(0, len(references) - 1, PICTURES).astype(int))
        vectors = [
            plain_vector(
                references.images[row],
                (self._points @ references.vertices[row])[:, :2],
                self._places,
                self.SIZE,
            )
            for row in rows
        ]
        return np.asarray(np.mean(vectors, 0), np.float32)
