"""People of a leak test: embeddings of their true faces."""

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

# Pictures of each person, whose distances are averaged. More would make the test slow and change
# the mean little.
PICTURES_PER_PERSON = 6
# Length of the beginning of a video that the pictures are spread over, s.
SAMPLED_SECONDS = 10.0


@dataclass(frozen=True)
class EmbeddedPerson:
    """Embeddings of one person's true face.

    Attributes:
        name: name in results.
        embeddings: embeddings of some pictures of the person. [F, D]
        in_training_set: whether the prior was trained on this very file.
    """

    name: str
    embeddings: NDArray[np.float32]
    in_training_set: bool

    @property
    def mean_self_distance(self) -> float:
        """Mean Euclidean distance of the pictures from each other; NaN for a single one."""
        if len(self.embeddings) < 2:
            return math.nan
        between = pairwise_distances(self.embeddings, self.embeddings)
        return float(between[~np.eye(len(between), dtype=bool)].mean())

    def mean_distance_to(self, other: EmbeddedPerson) -> float:
        """Compute the mean Euclidean distance from another person's pictures."""
        return float(pairwise_distances(self.embeddings, other.embeddings).mean())


def pairwise_distances(
    a: NDArray[np.float32],  # [N, D]
    b: NDArray[np.float32],  # [M, D]
) -> NDArray[np.float32]:  # [N, M]
    """Compute the Euclidean distance of every vector of one set from every vector of another.

    Args:
        a: first set. [N, D]
        b: second set. [M, D]

    Example:
        >>> pairwise_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]))
        array([[5., 1.]])
    """
    return np.linalg.norm(a[:, None] - b[None], axis=-1)


def embed_person(
    name: str, video: Path, embedding: FaceEmbedding, training_hashes: Collection[str]
) -> EmbeddedPerson:
    """Embed a person's true face in pictures that are spread over the start of a video.

    Args:
        name: name of the person.
        video: footage of one person.
        embedding: network that maps faces to vectors.
        training_hashes: SHA-256 of the files that the prior was trained on.

    Returns:
        The person.

    Raises:
        MediaError: The video cannot be read.
        NoFaceError: None of the pictures shows a face.
    """
    info = probe(video)
    # Numbers of frames in the middles of equal parts of the sampled time.
    total = max(1, round(min(SAMPLED_SECONDS, info.duration) * float(info.fps)))
    numbers = {int((i + 0.5) * total / PICTURES_PER_PERSON) for i in range(PICTURES_PER_PERSON)}
    embeddings = []
    # Without tracking: the frames are seconds apart.
    with FaceLandmarker(use_tracking=False) as landmarker:
        for frame in read_frames(video, stop=max(numbers) + 1):
            if frame.index in numbers:
                rgb = frame.to_rgb()
                landmarks = landmarker(rgb)
                if landmarks is not None:
                    embeddings.append(embedding(rgb, landmarks))
    if not embeddings:
        raise NoFaceError(
            f"{video}: no face in {len(numbers)} frames of its first "
            f"{total / float(info.fps):.0f} s: give footage that shows one"
        )
    return EmbeddedPerson(name, np.stack(embeddings), sha256_file(video) in training_hashes)
