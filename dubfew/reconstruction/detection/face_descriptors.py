"""Face descriptors: vectors by which tracklets of one person are recognized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.errors import MissingDependencyError
from dubfew.reconstruction.detection.upper_face import UpperFaceDescriptor
from dubfew.reconstruction.face_embeddings import FaceEmbedding, load_face_embedding
from dubfew.reconstruction.similarity_transform import fit_similarity_transform
from dubfew.utils.arrays import FloatArray

# Crops whose descriptors are averaged for one tracklet. More crops cost the network's time.
NUM_DESCRIPTOR_CROPS = 6
# Edge of a crop, px. dlib's network works at 150 px.
FACE_CROP_PX = 160
# Half the edge of a crop, in units of the face's larger side: 0.5 would touch the landmarks.
CROP_HALF_SIDE_PER_FACE = 0.75
# Pixels beside a crop that its bilinear samples reach.
SAMPLED_BESIDE_PX = 2
# Mean descriptors of one person lie nearer than descriptors of single images do, by this factor.
MEAN_DESCRIPTOR_FACTOR = 0.8


class FaceDescriptor(Protocol):
    """Map a face to a vector that identifies the person.

    Attributes:
        same_person_distance: largest Euclidean distance of two images of one person.
        stranger_distance: distance from which two images show different people; between the two
            it is uncertain.
    """

    same_person_distance: float
    stranger_distance: float

    def __call__(self, rgb: NDArray[np.uint8], landmarks: FloatArray) -> FloatArray:
        """Describe the face with these landmarks (px) in an image [H, W, 3]. [D]"""
        ...


def compute_pixel_descriptor(
    rgb: NDArray[np.uint8], points: NDArray, target_points: NDArray, crop_size: int
) -> FloatArray:
    """Align an image by some points and make a unit vector of it, independent of brightness.

    Args:
        rgb: image. [H, W, 3]
        points: points in the image, px. [K, 2]
        target_points: positions of these points in the aligned image, px. [K, 2]
        crop_size: edge of the aligned image, px.

    Returns:
        Pixels with mean 0, as a vector of length 1. [3 * crop_size²]
    """
    aligned = Image.fromarray(rgb).transform(
        (crop_size, crop_size),
        Image.Transform.AFFINE,
        # PIL wants the map from the result to the source.
        tuple(fit_similarity_transform(target_points, points).ravel()),
        Image.Resampling.BILINEAR,
    )
    values = np.asarray(aligned, np.float32).ravel()
    # Mean 0 and length 1 remove brightness and contrast.
    values = values - values.mean()
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-6), np.float32)


def load_face_descriptor() -> FaceEmbedding | UpperFaceDescriptor:
    """Load the face-recognition network if it is installed, else the upper face's descriptor."""
    try:
        return load_face_embedding()
    except MissingDependencyError:
        return UpperFaceDescriptor()


def compute_mean_descriptor(
    crops: Sequence[tuple[NDArray[np.uint8], FloatArray]], descriptor: FaceDescriptor
) -> FloatArray:
    """Average the descriptors of some crops of one person.

    Args:
        crops: images and the landmarks in them, px; at most ``NUM_DESCRIPTOR_CROPS`` are used,
            evenly spaced.
        descriptor: network or other descriptor.

    Returns:
        Mean vector. [D]
    """
    chosen = np.unique(np.linspace(0, len(crops) - 1, NUM_DESCRIPTOR_CROPS).astype(int))
    vectors = np.stack([descriptor(*crops[row]) for row in chosen])
    return np.asarray(vectors.mean(0), np.float32)


def crop_face(
    rgb: NDArray[np.uint8], landmarks: FloatArray
) -> tuple[NDArray[np.uint8], FloatArray]:
    """Cut out a face with some margin, at a fixed size.

    Args:
        rgb: image. [H, W, 3]
        landmarks: the face's landmarks, px. [478, 3]

    Returns:
        Crop [160, 160, 3], and the landmarks in it, px [478, 2].
    """
    # A square around the landmarks; it may reach beyond the image, where the crop is black.
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    half = float((high - low).max()) * CROP_HALF_SIDE_PER_FACE
    corner = (low + high) / 2 - half
    # Pillow copies what it reads: only the part around the square, not a whole frame of 4K.
    x0, y0 = (int(value) for value in np.maximum(corner - SAMPLED_BESIDE_PX, 0))
    x1, y1 = (int(value) for value in np.maximum(corner + 2 * half + SAMPLED_BESIDE_PX, 0))
    part = rgb[y0:y1, x0:x1]
    if not part.size:
        part = np.zeros((1, 1, 3), np.uint8)
    box = (corner[0] - x0, corner[1] - y0, corner[0] - x0 + 2 * half, corner[1] - y0 + 2 * half)
    crop = Image.fromarray(part).transform(
        (FACE_CROP_PX, FACE_CROP_PX),
        Image.Transform.EXTENT,
        tuple(map(float, box)),
        Image.Resampling.BILINEAR,
    )
    # The landmarks move and scale with the crop.
    points = (landmarks[:, :2] - corner) * np.float32(FACE_CROP_PX / (2 * half))
    return np.asarray(crop), points.astype(np.float32)
