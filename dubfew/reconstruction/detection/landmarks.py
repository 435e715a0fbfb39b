"""Face landmarks and face counts, frame by frame, by the models in MediaPipe's wheel."""

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
    """Base of classes that run one graph; the ``with`` block closes the graph at its end."""

    _graph: Any  # MediaPipe has no types

    def __enter__(self: GraphType) -> GraphType:
        return self

    def __exit__(self, *error: object) -> None:
        self._graph.close()


class FaceLandmarker(_MediapipeGraph):
    """Detect faces and follow them from frame to frame. Use as a context manager.

    The landmarker keeps state: feed frames in order, use one object per clip, and call `reset` at
    every cut.

    Args:
        use_tracking: search a face near its position in the frame before; False treats every frame
            as the first one, which takes longer.
        min_confidence: confidence below which a detected face is dropped, 0 to 1.
        max_faces: largest number of faces. While the landmarker follows fewer faces it searches
            every frame, so that 4 instead of 1 doubles the time of a clip with one face.

    Raises:
        MissingDependencyError: MediaPipe is not installed.
    """

    def __init__(
        self, *, use_tracking: bool = True, min_confidence: float = 0.5, max_faces: int = 1
    ) -> None:
        self._graph = load_solution_base()(
            binary_graph_path=FACE_LANDMARK_GRAPH,
            side_inputs={
                "num_faces": max_faces,
                # The model with attention has more exact lips and eyes, and the irises.
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
        """Find the landmarks of one face in an RGB image [H, W, 3].

        Returns:
            Landmarks in px (z in px as well, smaller is nearer), or None without a face. [478, 3]
        """
        faces = self.detect_all(rgb)
        return faces[0] if faces else None

    def detect_all(self, rgb: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Find the landmarks of all faces in an RGB image [H, W, 3]; px. [478, 3] each"""
        faces = self._graph.process(_share_picture(rgb)).multi_face_landmarks
        height, width = rgb.shape[:2]
        # MediaPipe's coordinates are fractions of the image; z has the scale of x.
        scale = np.array([width, height, width], np.float32)
        return [
            np.array([(p.x, p.y, p.z) for p in face.landmark], np.float32) * scale
            for face in faces or ()
        ]

    def reset(self) -> None:
        """Forget the faces of the frames before, as at a cut. Takes as long as one frame."""
        self._graph.reset()


class FaceCounter(_MediapipeGraph):
    """Count the faces of an image, without landmarks. Use as a context manager.

    Args:
        min_confidence: confidence below which a detection is dropped, 0 to 1. Lower values take
            plants and folds of cloth for faces now and then.

    Raises:
        MissingDependencyError: MediaPipe is not installed.
    """

    def __init__(self, *, min_confidence: float = 0.75) -> None:
        self._graph = load_solution_base()(
            binary_graph_path=FACE_DETECTION_GRAPH,
            calculator_params={
                "facedetectionshortrange__facedetection__TensorsToDetectionsCalculator"
                ".min_score_thresh": min_confidence,
            },
            outputs=["detections"],
        )

    def __call__(self, rgb: NDArray[np.uint8]) -> int:
        """Count the faces in an RGB image [H, W, 3]."""
        return len(self._graph.process(_share_picture(rgb)).detections or ())


def _share_picture(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a view of an image [H, W, 3] that MediaPipe reads where it is: read-only ones alone.

    The caller may change the image as soon as the graph has finished with it.
    """
    shared = np.ascontiguousarray(rgb).view()
    shared.flags.writeable = False
    return shared
