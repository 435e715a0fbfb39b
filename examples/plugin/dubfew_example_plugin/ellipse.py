"""The ellipse that the landmarks span: no network, for tests and as a baseline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.reconstruction.segmenters._base import FaceSegmentation
from dubfew.utils.arrays import FloatArray


class EllipseSegmenter:
    """Call everything inside the landmarks' bounding ellipse a person."""

    name = "ellipse"
    has_face_parts = False

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: FloatArray | None = None
    ) -> FaceSegmentation:
        """Segment an image [H, W, 3] by a face's landmarks [478, 3] (px).

        Raises:
            DubfewError: there are no landmarks.
        """
        if landmarks is None:
            raise DubfewError("the segmenter ellipse needs landmarks: give those of the face")
        low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
        y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]] + 0.5  # pixel centers
        unit = np.hypot(
            *((2 * v - a - b) / (b - a) for v, a, b in zip((x, y), low, high, strict=True))
        )
        person = (unit <= 1).astype(np.float32)
        return FaceSegmentation({"background": 1 - person, "person": person})

    def close(self) -> None:
        """Release nothing: there is no network."""


SEGMENTER = EllipseSegmenter
