"""MediaPipe's selfie segmentation: person or background, with weights in MediaPipe's wheel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.detection.mediapipe_loader import (
    SELFIE_SEGMENTATION_GRAPH,
    load_solution_base,
)
from dubfew.reconstruction.segmenters._base import FaceSegmentation
from dubfew.utils.arrays import FloatArray


class MediapipeSegmenter:
    """Separate a person from the background.

    Raises:
        MissingDependencyError: MediaPipe is not installed.
    """

    name = "mediapipe"
    has_face_parts = False

    def __init__(self) -> None:
        self._graph = load_solution_base()(
            binary_graph_path=SELFIE_SEGMENTATION_GRAPH,
            # 0 is the general model (256 x 256); 1 is the one for landscape pictures.
            side_inputs={"model_selection": 0},
            outputs=["segmentation_mask"],
        )

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: FloatArray | None = None
    ) -> FaceSegmentation:
        """Segment an image [H, W, 3]; ``landmarks`` are not used."""
        mask = self._graph.process(np.ascontiguousarray(rgb)).segmentation_mask
        person = np.asarray(mask, np.float32)
        return FaceSegmentation({"background": 1 - person, "person": person})

    def close(self) -> None:
        """Release the network."""
        self._graph.close()


SEGMENTER = MediapipeSegmenter
