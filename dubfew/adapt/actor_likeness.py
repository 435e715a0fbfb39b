"""Compare faces with an actor's.

The actor's face is known from the pictures that were stored with them; for an actor of an older
dubfew, from the footage that they were adapted on, if that file still exists; and otherwise from
the stored references, which show the mouth alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.artefact import ADAPTER_TRACK_FILE, ActorAdapter
from dubfew.errors import MediaError
from dubfew.media import read_frames
from dubfew.media.fields import stated_fields
from dubfew.reconstruction.detection.face_descriptors import (
    NUM_DESCRIPTOR_CROPS,
    FaceDescriptor,
    compute_mean_descriptor,
    compute_pixel_descriptor,
    crop_face,
    load_face_descriptor,
)
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.likeness import (
    MEAN_DESCRIPTOR_FACTOR,
    FacePictures,
    Likeness,
    measure_likeness,
)
from dubfew.reconstruction.track import Track
from dubfew.references.footage import Footage
from dubfew.utils.arrays import FloatArray
from dubfew.utils.files import sha256_file


@dataclass(frozen=True)
class ActorFace:
    """An actor's face, ready to be compared with others.

    Attributes:
        descriptor: the descriptor that made the vector.
        vector: mean vector of the actor. [D]
    """

    descriptor: FaceDescriptor
    vector: FloatArray

    @classmethod
    def from_adapter(cls, adapter: ActorAdapter, head: HeadModel) -> ActorFace:
        """Describe an actor's face by the best pictures that there are.

        Args:
            adapter: stored adapter of the actor.
            head: head model of the actor's track.
        """
        pictures = adapter.faces or sample_actor_faces(adapter)
        if pictures:
            descriptor = load_face_descriptor()
            return cls(descriptor, compute_mean_descriptor(pictures, descriptor))
        mouth = MouthDescriptor(head)
        return cls(mouth, mouth.describe_references(adapter.references))

    def measure_likeness(self, faces: FacePictures) -> Likeness:
        """Compare pictures of one person with the actor.

        Args:
            faces: crops and the landmarks in them; without any the likeness is 0 %.
        """
        return measure_likeness(faces, self.vector, self.descriptor)


def compare_actors(known: ActorAdapter, other: ActorAdapter) -> Likeness:
    """Compare the faces of two adapted actors, by what is stored with them.

    Files that the adapters name are not opened: they may be another machine's. Where one of them
    has no pictures of the face, the mouths of the references are compared.

    Args:
        known: adapter of an actor in the registry.
        other: adapter that is compared with it.
    """
    if known.faces and other.faces:
        descriptor = load_face_descriptor()
        vector = compute_mean_descriptor(known.faces, descriptor)
        return measure_likeness(other.faces, vector, descriptor)
    vectors = []
    for adapter in (known, other):
        mouth = MouthDescriptor(load_head_model(adapter.config["head"]))
        vectors.append(mouth.describe_references(adapter.references))
    return Likeness(
        float(np.linalg.norm(vectors[0] - vectors[1]))
        / (MouthDescriptor.stranger_distance * MEAN_DESCRIPTOR_FACTOR),
        MouthDescriptor.same_person_distance / MouthDescriptor.stranger_distance,
    )


def sample_actor_faces(adapter: ActorAdapter) -> FacePictures:
    """Cut a few faces out of the footage that the actor was adapted on.

    Returns:
        Face crops, spread over the footage. Empty if the file no longer exists, has changed, or
        cannot be decoded.
    """
    source = adapter.config["source"]
    path, first = Path(source["path"]), source.get("first")
    # The hash: another file under the same name may show somebody else.
    if not path.is_file() or not isinstance(first, int) or sha256_file(path) != source["sha256"]:
        return []
    track = Track.from_bytes(adapter.track_bytes, ADAPTER_TRACK_FILE)
    rows = np.flatnonzero(track.usable)
    # Short footage has fewer usable frames than are asked for.
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, NUM_DESCRIPTOR_CROPS).astype(int))]
    landmarks_by_frame = {first + int(row): track.landmarks[row] for row in rows}
    try:
        with stated_fields(path, int(source.get("fields", 0))):
            return [
                crop_face(frame.to_rgb(), landmarks_by_frame[frame.index])
                for frame in read_frames(path, start=first, stop=max(landmarks_by_frame) + 1)
                if frame.index in landmarks_by_frame
            ]
    except MediaError:
        return []


class MouthDescriptor:
    """Describe a face by a normalized image of its lower half.

    The stored references of an actor from an older dubfew show nothing else. Measured by
    ``benchmarks/likeness.py``; docs/reconstruction.md has the table.
    """

    # Largest distance between two unit vectors of one person. Means of six pictures lie nearer, by
    # MEAN_DESCRIPTOR_FACTOR; then 97 % of the distances within a clip are smaller.
    same_person_distance = 0.56
    # Mouths of one person differ from clip to clip nearly as much as those of two people: few
    # strangers can be refused by them.
    stranger_distance = 1.2
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
