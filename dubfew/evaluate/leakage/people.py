"""The people of a leak test: what their faces are like for a face-recognition network."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import NoFaceError
from dubfew.media import probe, read_frames
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.face_embeddings import FaceEmbedding
from dubfew.utils.files import sha256_file

PICTURES_PER_PERSON = 6  # pictures of everybody
SAMPLED_SECONDS = 10.0  # at the beginning of a video, from which they are


@dataclass(frozen=True)
class EmbeddedPerson:
    """Somebody's true face.

    Attributes:
        name: what they are called in results.
        embeddings: of some pictures of them. [F, D]
        in_training_set: whether the prior learned from this very file.
    """

    name: str
    embeddings: NDArray[np.float32]
    in_training_set: bool

    @property
    def mean_self_distance(self) -> float:
        """Mean Euclidean distance of their pictures from each other; NaN of a single one."""
        if len(self.embeddings) < 2:
            return math.nan
        between = pairwise_distances(self.embeddings, self.embeddings)
        return float(between[~np.eye(len(between), dtype=bool)].mean())

    def mean_distance_to(self, other: EmbeddedPerson) -> float:
        """Mean Euclidean distance of their pictures from another person's."""
        return float(pairwise_distances(self.embeddings, other.embeddings).mean())


def pairwise_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean distances of all of a [N, D] from all of b [M, D]. [N, M]"""
    return np.linalg.norm(a[:, None] - b[None], axis=-1)


def embed_person(
    name: str, video: Path, embedding: FaceEmbedding, training_hashes: Collection[str]
) -> EmbeddedPerson:
    """A person's true face, from pictures spread over the start of a video.

    Args:
        name: what to call them.
        video: footage of one person.
        embedding: what tells faces apart.
        training_hashes: SHA-256 of the files that the prior learned from.

    Raises:
        MediaError: the video cannot be read.
        NoFaceError: no face in the frames that were looked at.
    """
    info = probe(video)
    total = max(1, round(min(SAMPLED_SECONDS, info.duration) * float(info.fps)))
    wanted = {int((i + 0.5) * total / PICTURES_PER_PERSON) for i in range(PICTURES_PER_PERSON)}
    found = []
    with FaceLandmarker(use_tracking=False) as landmarker:
        for frame in read_frames(video, stop=max(wanted) + 1):
            if frame.index in wanted:
                rgb = frame.to_rgb()
                landmarks = landmarker(rgb)
                if landmarks is not None:
                    found.append(embedding(rgb, landmarks))
    if not found:
        raise NoFaceError(
            f"{video}: no face in {len(wanted)} frames of its first {total / float(info.fps):.0f} "
            "s: give footage that shows one"
        )
    return EmbeddedPerson(name, np.stack(found), sha256_file(video) in training_hashes)
