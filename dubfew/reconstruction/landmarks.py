"""Face landmarks and person segmentation, frame by frame (MediaPipe's models in its wheel)."""

from __future__ import annotations

from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.mediapipe_door import FACE_LANDMARK_GRAPH, SELFIE_GRAPH, solution_base

LANDMARKS = 478  # 468 on the face mesh, then 5 on each iris


class FaceLandmarker:
    """Detects one face and follows it from frame to frame.

    Feed frames in order; it keeps state, so use one per clip. Use as a context manager.
    """

    def __init__(self, *, video: bool = True, min_confidence: float = 0.5) -> None:
        self._graph = solution_base()(
            binary_graph_path=FACE_LANDMARK_GRAPH,
            side_inputs={
                "num_faces": 1,
                "with_attention": True,
                "use_prev_landmarks": video,
            },
            calculator_params={
                "facedetectionshortrangecpu__facedetectionshortrange__facedetection__"
                "TensorsToDetectionsCalculator.min_score_thresh": min_confidence,
                "facelandmarkcpu__ThresholdingCalculator.threshold": min_confidence,
            },
            outputs=["multi_face_landmarks"],
        )

    def __enter__(self) -> FaceLandmarker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._graph.close()

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Landmarks of the face in an RGB image [H, W, 3].

        Returns:
            [478, 3] in px (z in px as well, smaller is nearer), or None without a face.
        """
        faces = self._graph.process({"image": np.ascontiguousarray(rgb)}).multi_face_landmarks
        if not faces:
            return None
        height, width = rgb.shape[:2]
        points = np.array([(p.x, p.y, p.z) for p in faces[0].landmark], np.float32)
        return points * np.array([width, height, width], np.float32)


class PersonSegmenter:
    """Separates a person from the background. Use as a context manager."""

    def __init__(self) -> None:
        self._graph = solution_base()(
            binary_graph_path=SELFIE_GRAPH,
            side_inputs={"model_selection": 0},
            outputs=["segmentation_mask"],
        )

    def __enter__(self) -> PersonSegmenter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._graph.close()

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability that a pixel of an RGB image [H, W, 3] shows the person. [H, W]"""
        mask = self._graph.process({"image": np.ascontiguousarray(rgb)}).segmentation_mask
        return np.asarray(mask, np.float32)
