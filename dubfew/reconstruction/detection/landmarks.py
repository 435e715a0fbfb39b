"""Face landmarks and face counts, frame by frame (MediaPipe's models in its wheel)."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.detection.mediapipe_loader import (
    FACE_DETECTION_GRAPH,
    FACE_LANDMARK_GRAPH,
    load_solution_base,
)

NUM_LANDMARKS = 478  # 468 on the face mesh, then 5 on each iris


GraphType = TypeVar("GraphType", bound="_MediapipeGraph")


class _MediapipeGraph:
    """One of MediaPipe's graphs, closed at the end of the ``with`` block."""

    _graph: Any  # MediaPipe has no types

    def __enter__(self: GraphType) -> GraphType:
        return self

    def __exit__(self, *error: object) -> None:
        self._graph.close()


class FaceLandmarker(_MediapipeGraph):
    """Detects faces and follows them from frame to frame.

    Feed frames in order; it keeps state, so use one per clip and have it ``reset`` at a cut. Use
    as a context manager.
    """

    def __init__(
        self, *, use_tracking: bool = True, min_confidence: float = 0.5, max_faces: int = 1
    ) -> None:
        """It looks for up to ``max_faces`` faces. While it follows fewer it searches every frame,
        so
        that looking for four where there is one takes twice as long."""
        self._graph = load_solution_base()(
            binary_graph_path=FACE_LANDMARK_GRAPH,
            side_inputs={
                "num_faces": max_faces,
                "with_attention": True,
                "use_prev_landmarks": use_tracking,
            },
            calculator_params={
                "facedetectionshortrangecpu__facedetectionshortrange__facedetection__"
                "TensorsToDetectionsCalculator.min_score_thresh": min_confidence,
                "facelandmarkcpu__ThresholdingCalculator.threshold": min_confidence,
            },
            outputs=["multi_face_landmarks"],
        )

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Landmarks of the face in an RGB image [H, W, 3].

        Returns:
            [478, 3] in px (z in px as well, smaller is nearer), or None without a face.
        """
        found = self.detect_all(rgb)
        return found[0] if found else None

    def detect_all(self, rgb: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Landmarks of all faces in an RGB image [H, W, 3]: [478, 3] px each."""
        faces = self._graph.process({"image": np.ascontiguousarray(rgb)}).multi_face_landmarks
        height, width = rgb.shape[:2]
        scale = np.array([width, height, width], np.float32)
        return [
            np.array([(p.x, p.y, p.z) for p in face.landmark], np.float32) * scale
            for face in faces or ()
        ]

    def reset(self) -> None:
        """Search the next frame as if it were the first: where a shot begins, the faces of the
        last one are not to be looked for. Takes as long as a frame."""
        self._graph.reset()


class FaceCounter(_MediapipeGraph):
    """Says how many faces an image shows, without landmarks. Use as a context manager."""

    def __init__(self, *, min_confidence: float = 0.75) -> None:
        """Below the default, plants and folds of cloth are taken for faces now and then."""
        self._graph = load_solution_base()(
            binary_graph_path=FACE_DETECTION_GRAPH,
            calculator_params={
                "facedetectionshortrange__facedetection__TensorsToDetectionsCalculator"
                ".min_score_thresh": min_confidence,
            },
            outputs=["detections"],
        )

    def __call__(self, rgb: NDArray[np.uint8]) -> int:
        """Faces in an RGB image [H, W, 3]."""
        return len(self._graph.process({"image": np.ascontiguousarray(rgb)}).detections or ())
