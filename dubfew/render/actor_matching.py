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

from dubfew.adapt.artefact import ADAPTER_TRACK_FILE, ActorAdapter
from dubfew.errors import MediaError
from dubfew.media import read_frames
from dubfew.reconstruction.detection.face_descriptors import (
    MEAN_DESCRIPTOR_FACTOR,
    NUM_DESCRIPTOR_CROPS,
    FaceDescriptor,
    compute_mean_descriptor,
    compute_pixel_descriptor,
    crop_face,
    load_face_descriptor,
)
from dubfew.reconstruction.detection.people import DetectedPerson
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track
from dubfew.references.footage import Footage
from dubfew.utils.arrays import FloatArray
from dubfew.utils.files import sha256_file

FacePictures = list[tuple[NDArray[np.uint8], FloatArray]]

# Whoever comes this near to the nearest, in units of what one person's pictures may differ by, is
# nearly as like the actor.
AMBIGUITY_MARGIN = 0.15


def match_actor(
    people: Sequence[DetectedPerson], actor_id: str, adapter: ActorAdapter, head: HeadModel
) -> tuple[DetectedPerson, str]:
    """Who of several people the actor is, and one line that says so.

    If nobody is like the actor it is who is seen most; that, and that two are nearly alike, is a
    warning, too, for the work that follows takes minutes.

    Args:
        people: of the scene, two or more.
        actor_id: their id.
        adapter: what is stored of them.
        head: that they were tracked with.
    """
    distance = distances_from_actor(people, adapter, head)
    first, second = np.argsort(distance, kind="stable")[:2]
    chosen, sure = people[first], False
    if distance[first] > 1:
        chosen = people[0]
        line = f"none of {len(people)} faces is like {actor_id!r}: face 0 is taken, seen most"
    elif distance[second] - distance[first] < AMBIGUITY_MARGIN:
        line = f"faces {first} and {second} are nearly alike: {first} is taken for {actor_id!r}"
    else:
        line, sure = f"face {first} of {len(people)} is {actor_id!r}, by likeness", True
    if not sure:
        line += " (--face chooses)"
        warnings.warn(line, stacklevel=2)
    return chosen, line


def distances_from_actor(
    people: Sequence[DetectedPerson], adapter: ActorAdapter, head: HeadModel
) -> FloatArray:
    """How unlike the actor each is; above 1 it is somebody else. [P]"""
    shown = sample_actor_faces(adapter)
    likeness: FaceDescriptor
    if shown:
        likeness = load_face_descriptor()
        own = compute_mean_descriptor(shown, likeness)
    else:
        likeness = mouths = MouthDescriptor(head)
        own = mouths.describe_references(adapter.references)
    return np.array(
        [
            np.linalg.norm(compute_mean_descriptor(person.crops, likeness) - own)
            / (likeness.same_person_distance * MEAN_DESCRIPTOR_FACTOR)
            if person.crops
            else np.inf
            for person in people
        ],
        np.float32,
    )


def sample_actor_faces(adapter: ActorAdapter) -> FacePictures:
    """Some pictures of the actor's face; none where their footage is gone or another one."""
    source = adapter.config["source"]
    path, first = Path(source["path"]), source.get("first")
    if not path.is_file() or not isinstance(first, int) or sha256_file(path) != source["sha256"]:
        return []
    track = Track.from_bytes(adapter.track_bytes, ADAPTER_TRACK_FILE)
    rows = np.flatnonzero(track.usable)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, NUM_DESCRIPTOR_CROPS).astype(int))]
    wanted = {first + int(row): track.landmarks[row] for row in rows}
    try:
        return [
            crop_face(frame.to_rgb(), wanted[frame.index])
            for frame in read_frames(path, start=first, stop=max(wanted) + 1)
            if frame.index in wanted
        ]
    except MediaError:
        return []


class MouthDescriptor:
    """The lower face as a plain picture: all that is stored of an actor's looks.

    Of the means of six pictures each from the halves of 47 clips, 96 % of those of one clip are
    nearer than ``same_person_distance`` times ``MEAN_DESCRIPTOR_FACTOR``, and 5 % of those of
    different clips.
    """

    same_person_distance = 0.56
    # Below the nose and beside the mouth: inside of the windows that are stored, and moved little.
    LANDMARK_INDICES = (2, 98, 327, 203, 423, 192, 416, 214, 434)
    PATCH_SIZE_PX = 24

    def __init__(self, head: HeadModel) -> None:
        self._point_weights = head.point_matrix(self.LANDMARK_INDICES)
        places = (self._point_weights @ head.template)[:, :2] * [1, -1]
        # Cheek to cheek a little more than the whole width: what is behind is not seen, and of the
        # neck nothing.
        places *= 1.25 * self.PATCH_SIZE_PX / np.ptp(places[:, 0])
        self._patch_points = places - places[0] + [self.PATCH_SIZE_PX / 2, self.PATCH_SIZE_PX / 12]

    def __call__(self, rgb: NDArray[np.uint8], landmarks: FloatArray) -> FloatArray:
        """Unit vector of the mouth with these landmarks. [1728]"""
        return compute_pixel_descriptor(
            rgb, landmarks[list(self.LANDMARK_INDICES), :2], self._patch_points, self.PATCH_SIZE_PX
        )

    def describe_references(self, references: Footage) -> FloatArray:
        """Mean vector of stored windows. [1728]"""
        rows = np.unique(np.linspace(0, len(references) - 1, NUM_DESCRIPTOR_CROPS).astype(int))
        vectors = [
            compute_pixel_descriptor(
                references.images[row],
                (self._point_weights @ references.vertices[row])[:, :2],
                self._patch_points,
                self.PATCH_SIZE_PX,
            )
            for row in rows
        ]
        return np.asarray(np.mean(vectors, 0), np.float32)
