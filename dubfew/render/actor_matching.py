"""Find the actor among several people in a scene.

The faces of the scene are compared with the footage that the actor was adapted on, if that file
still exists, and otherwise with the stored references, which show the mouth alone. The descriptors
are not stored.
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

# Face crops [H, W, 3] with their landmarks in the crop, px [478, 2].
FacePictures = list[tuple[NDArray[np.uint8], FloatArray]]

# Two people are ambiguous if their distances from the actor differ by less than this, in units of
# the largest distance between pictures of one person. Larger values warn more often.
AMBIGUITY_MARGIN = 0.15


def match_actor(
    people: Sequence[DetectedPerson], actor_id: str, adapter: ActorAdapter, head: HeadModel
) -> tuple[DetectedPerson, str]:
    """Choose the person who resembles the actor most, and describe the choice in one line.

    If nobody resembles the actor, the person who is seen most is chosen. This case and a close
    second person raise a warning, because the render that follows takes minutes.

    Args:
        people: people of the scene, two or more, the one who is seen most first.
        actor_id: id of the actor, for the message.
        adapter: stored adapter of the actor.
        head: head model of the actor's track.

    Returns:
        The person, and a line for the user.
    """
    distance = distances_from_actor(people, adapter, head)
    first, second = np.argsort(distance, kind="stable")[:2]
    chosen, sure = people[first], False
    # A distance above 1 is larger than between pictures of one person.
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
    """Measure how far each person's face is from the actor's.

    Args:
        people: P people of the scene.
        adapter: stored adapter of the actor.
        head: head model of the actor's track.

    Returns:
        Distances; above 1 the person is probably somebody else, infinite without face crops. [P]
    """
    actor_faces = sample_actor_faces(adapter)
    descriptor: FaceDescriptor
    if actor_faces:
        descriptor = load_face_descriptor()
        actor_vector = compute_mean_descriptor(actor_faces, descriptor)
    else:
        descriptor = mouth_descriptor = MouthDescriptor(head)
        actor_vector = mouth_descriptor.describe_references(adapter.references)
    return np.array(
        [
            np.linalg.norm(compute_mean_descriptor(person.crops, descriptor) - actor_vector)
            / (descriptor.same_person_distance * MEAN_DESCRIPTOR_FACTOR)
            if person.crops
            else np.inf
            for person in people
        ],
        np.float32,
    )


def sample_actor_faces(adapter: ActorAdapter) -> FacePictures:
    """Cut a few faces out of the footage that the actor was adapted on.

    Returns:
        Face crops, spread over the footage. Empty if the file no longer exists, has changed, or
        cannot be decoded.
    """
    source = adapter.config["source"]
    path, first = Path(source["path"]), source.get("first")
    if not path.is_file() or not isinstance(first, int) or sha256_file(path) != source["sha256"]:
        return []
    track = Track.from_bytes(adapter.track_bytes, ADAPTER_TRACK_FILE)
    rows = np.flatnonzero(track.usable)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, NUM_DESCRIPTOR_CROPS).astype(int))]
    landmarks_by_frame = {first + int(row): track.landmarks[row] for row in rows}
    try:
        return [
            crop_face(frame.to_rgb(), landmarks_by_frame[frame.index])
            for frame in read_frames(path, start=first, stop=max(landmarks_by_frame) + 1)
            if frame.index in landmarks_by_frame
        ]
    except MediaError:
        return []


class MouthDescriptor:
    """Describe a face by a normalized image of its lower half.

    The stored references show nothing else of the actor. Measured on 47 clips, split in half, with
    the mean of six pictures per half: 96 % of the pairs from one clip and 5 % of the pairs from
    different clips are nearer than ``same_person_distance`` times ``MEAN_DESCRIPTOR_FACTOR``.
    """

    # Largest distance between two unit vectors of one person. Chosen on the same 47 clips.
    same_person_distance = 0.56
    # Landmarks below the nose and beside the mouth: they lie inside the stored windows, and speech
    # moves them little.
    LANDMARK_INDICES = (2, 98, 327, 203, 423, 192, 416, 214, 434)
    # Edge of the normalized image. Larger images compare detail that light and blur change.
    PATCH_SIZE_PX = 24

    def __init__(self, head: HeadModel) -> None:
        self._point_weights = head.point_matrix(self.LANDMARK_INDICES)
        places = (self._point_weights @ head.template)[:, :2] * [1, -1]
        # The cheeks span 1.25 times the patch, so that it shows neither background nor neck.
        places *= 1.25 * self.PATCH_SIZE_PX / np.ptp(places[:, 0])
        self._patch_points = places - places[0] + [self.PATCH_SIZE_PX / 2, self.PATCH_SIZE_PX / 12]

    def __call__(self, rgb: NDArray[np.uint8], landmarks: FloatArray) -> FloatArray:
        """Describe the mouth with these landmarks as a unit vector.

        Args:
            rgb: image. [H, W, 3]
            landmarks: landmarks of the face in the image, px. [478, 2 or more]

        Returns:
            Unit vector. [1728]
        """
        return compute_pixel_descriptor(
            rgb, landmarks[list(self.LANDMARK_INDICES), :2], self._patch_points, self.PATCH_SIZE_PX
        )

    def describe_references(self, references: Footage) -> FloatArray:
        """Average the vectors of stored reference windows. [1728]"""
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
