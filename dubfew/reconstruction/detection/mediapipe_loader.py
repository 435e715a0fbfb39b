"""MediaPipe's graph runner without the rest of the package.

``import mediapipe`` imports OpenCV (whose Linux wheel needs libGL and glib from the system), jax,
matplotlib and every solution. dubfew needs the graph runner and three graphs, all of which are in
the wheel and need nothing from the system. So the package is registered here without running its
``__init__``, and only the modules of the graph runner are imported.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import types
from functools import lru_cache
from pathlib import Path
from typing import Any

from dubfew.errors import MissingDependencyError
from dubfew.utils.native_logs import hide_native_logs

# Graphs inside the wheel: landmarks of the largest faces, boxes of faces, and the mask of a person.
FACE_LANDMARK_GRAPH = "mediapipe/modules/face_landmark/face_landmark_front_cpu.binarypb"
FACE_DETECTION_GRAPH = "mediapipe/modules/face_detection/face_detection_short_range_cpu.binarypb"
SELFIE_SEGMENTATION_GRAPH = "mediapipe/modules/selfie_segmentation/selfie_segmentation_cpu.binarypb"

# Protobuf modules that register the message types of these graphs. Without one of them the runner
# cannot parse the graph.
GRAPH_MESSAGE_MODULES = (
    "mediapipe.calculators.core.constant_side_packet_calculator_pb2",
    "mediapipe.calculators.core.gate_calculator_pb2",
    "mediapipe.calculators.core.split_vector_calculator_pb2",
    "mediapipe.calculators.tensor.image_to_tensor_calculator_pb2",
    "mediapipe.calculators.tensor.inference_calculator_pb2",
    "mediapipe.calculators.tensor.tensors_to_classification_calculator_pb2",
    "mediapipe.calculators.tensor.tensors_to_detections_calculator_pb2",
    "mediapipe.calculators.tensor.tensors_to_landmarks_calculator_pb2",
    "mediapipe.calculators.tensor.tensors_to_segmentation_calculator_pb2",
    "mediapipe.calculators.tflite.ssd_anchors_calculator_pb2",
    "mediapipe.calculators.util.association_calculator_pb2",
    "mediapipe.calculators.util.detections_to_rects_calculator_pb2",
    "mediapipe.calculators.util.landmarks_refinement_calculator_pb2",
    "mediapipe.calculators.util.local_file_contents_calculator_pb2",
    "mediapipe.calculators.util.logic_calculator_pb2",
    "mediapipe.calculators.util.non_max_suppression_calculator_pb2",
    "mediapipe.calculators.util.rect_transformation_calculator_pb2",
    "mediapipe.calculators.util.thresholding_calculator_pb2",
    "mediapipe.framework.tool.switch_container_pb2",
)

# Lines that MediaPipe and TensorFlow Lite write to stderr whenever a graph starts, and that no
# setting switches off: information and warnings of their C++ files, and what precedes them.
GRAPH_NOISE = re.compile(
    rb"[IW]\d{4} \d\d:\d\d:[\d.]+ +\d+ \w+\.cc:\d+\] "
    rb"|WARNING: All log messages before absl::InitializeLog\(\) "
    rb"|INFO: Created TensorFlow Lite \w* ?delegate"
)


@lru_cache(maxsize=1)
def load_solution_base() -> Any:
    """Import MediaPipe's ``SolutionBase``, the class that runs a graph, as one that starts quietly.

    Raises:
        MissingDependencyError: MediaPipe is not installed.
    """
    # Other log lines of MediaPipe's C++ core; users should see dubfew's lines only.
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "mediapipe" not in sys.modules:
        spec = importlib.util.find_spec("mediapipe")
        if spec is None or spec.origin is None:
            raise MissingDependencyError(
                "MediaPipe is not installed: pip install mediapipe==0.10.21"
            )
        # An empty package with the right path: submodules can be imported, __init__ never runs.
        package = types.ModuleType("mediapipe")
        package.__path__ = [str(Path(spec.origin).parent)]
        package.__spec__ = spec
        package.__file__ = spec.origin
        sys.modules["mediapipe"] = package
    for module in GRAPH_MESSAGE_MODULES:
        importlib.import_module(module)
    base: Any = importlib.import_module("mediapipe.python.solution_base").SolutionBase

    class QuietSolution(base):
        """A graph that leaves nothing on stderr."""

        def __init__(self, **settings: Any) -> None:
            self._has_found = False
            with hide_native_logs(GRAPH_NOISE):
                super().__init__(**settings)
                # Its parts start in threads of their own, and log there.
                self._graph.wait_until_idle()

        def process(self, input_data: Any) -> Any:
            # Parts that work on a face log when they see the first one.
            if self._has_found:
                return _take_outputs(super().process(input_data))
            with hide_native_logs(GRAPH_NOISE):
                found = _take_outputs(super().process(input_data))
            self._has_found = any(value is not None for value in vars(found).values())
            return found

        def reset(self) -> None:
            with hide_native_logs(GRAPH_NOISE):
                super().reset()
                self._graph.wait_until_idle()

    return QuietSolution


def _take_outputs(found: Any) -> types.SimpleNamespace:
    """Take the outputs of a graph from MediaPipe's result.

    That is a class of its own for every frame. Classes refer to themselves, so that masks of many
    frames would stay in memory until Python searches for such circles.
    """
    outputs = {name: getattr(found, name) for name in found._fields}
    for name in outputs:
        setattr(found, name, None)
    return types.SimpleNamespace(**outputs)
