"""The upper face, unrolled from the face mesh and compared with the mean face.

Works without a face-recognition network. Every image is warped through MediaPipe's mesh into the
shape of one face seen from the front, so that pose and expression hardly count; local contrast
removes light and color of the picture; what is left of the mean face is what distinguishes people.
The mouth and what lies below are left out, because speech, beards and dubs change them.

``upper_face.safetensors`` is written by ``tools/build_upper_face.py``. It holds the warp and the
mean over many people, and no person's face.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from dubfew.utils.arrays import FloatArray
from dubfew.utils.luma import LUMA_BT601

ATLAS_FILE = Path(__file__).with_name("upper_face.safetensors")
# Standard deviation of the neighborhood by which a pixel's contrast is measured, in pixels of the
# atlas, which is 48 wide. Narrower ones keep grain that compression changes, wider ones keep light.
CONTRAST_SIGMA_PX = 4.0
# Contrast that counts as nothing, in the natural logarithm of brightness: smooth skin under noise.
LEAST_CONTRAST = 0.05
# Added to brightness before its logarithm, 8-bit levels: noise of dark pixels must not count.
DARK_LEVEL = 1.0


@dataclass(frozen=True)
class FaceAtlas:
    """Pixels of the unrolled upper face, and the mean face in them.

    Attributes:
        mask: which pixels of the picture belong to the face; M of them. [H, W] bool
        vertices: the mesh's vertices around each pixel. [M, 3]
        weights: barycentric weights of these vertices. [M, 3]
        mean: mean over people of the vectors before centering. [M]
    """

    mask: NDArray[np.bool_]
    vertices: NDArray[np.int64]
    weights: FloatArray
    mean: FloatArray

    @classmethod
    @functools.cache
    def load(cls) -> FaceAtlas:
        """Load the atlas that ships."""
        from safetensors.numpy import load_file

        arrays = load_file(ATLAS_FILE)
        return cls(
            mask=arrays["mask"].astype(bool),
            vertices=arrays["vertices"].astype(np.int64),
            weights=arrays["weights"],
            mean=arrays["mean"],
        )

    def measure_contrast(
        self,
        rgb: NDArray[np.uint8],  # [H, W, 3]
        landmarks: FloatArray,  # [478, 2 or 3] px
    ) -> FloatArray:  # [M]
        """Unroll a face and measure the local contrast of every pixel.

        Args:
            rgb: image. [H, W, 3]
            landmarks: the face's landmarks in the image, px. [478, 2 or 3]

        Returns:
            Unit vector. [M]
        """
        places = np.einsum("mk,mkd->md", self.weights, landmarks[self.vertices, :2])
        # Pixel centers are at +0.5; map_coordinates has them at whole numbers.
        luma = np.asarray(rgb, np.float32) @ LUMA_BT601
        values = map_coordinates(luma, (places - 0.5).T[::-1], order=1, mode="nearest")
        picture = np.zeros(self.mask.shape, np.float32)
        picture[self.mask] = np.log(DARK_LEVEL + values)
        # Means within the mask alone: its surroundings are no part of the face.
        share = gaussian_filter(self.mask.astype(np.float32), CONTRAST_SIGMA_PX) + 1e-6
        mean = gaussian_filter(picture, CONTRAST_SIGMA_PX) / share
        difference = (picture - mean) * self.mask
        variance = gaussian_filter(difference**2, CONTRAST_SIGMA_PX) / share
        contrast = difference / (np.sqrt(np.maximum(variance, 0)) + LEAST_CONTRAST)
        return to_unit_length(contrast[self.mask])


class UpperFaceDescriptor:
    """Describe a face by how its upper half differs from the mean face.

    Distances of mean vectors of six images each, measured by ``benchmarks/likeness.py`` on 68
    clips of 57 people: docs/reconstruction.md has the table.
    """

    # Largest distance of two images of one person. Means of six images lie nearer by
    # MEAN_DESCRIPTOR_FACTOR; then 99 % of the distances within people are smaller, and 0.1 % of
    # those between people.
    same_person_distance = 1.0
    # Distance from which two images show different people: between people 99 % are larger.
    stranger_distance = 1.16

    def __call__(self, rgb: NDArray[np.uint8], landmarks: FloatArray) -> FloatArray:
        """Describe the face with these landmarks (px) in an image [H, W, 3]. [M], length 1"""
        atlas = FaceAtlas.load()
        return to_unit_length(atlas.measure_contrast(rgb, landmarks) - atlas.mean)


def to_unit_length(vector: FloatArray) -> FloatArray:
    """Scale a vector to length 1; zero stays zero."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6), np.float32)
