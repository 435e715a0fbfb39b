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
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

# Time between two pictures that a graph is told, microseconds: MediaPipe's own. It smooths nothing
# by it in these graphs.
FRAME_STEP_US = 33333

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

        def process(self, image: NDArray[np.uint8]) -> types.SimpleNamespace:
            """Run the graph on a picture [H, W, 3]; return its outputs by name, None for none.

            MediaPipe's own method makes a class of each result, which refers to
            itself, so that masks of many frames stay in memory.
            """
            # Parts that work on a face log when they see the first one.
            noise = nullcontext() if self._has_found else hide_native_logs(GRAPH_NOISE)
            with noise:
                self._graph_outputs.clear()
                self._simulated_timestamp += FRAME_STEP_US
                ((stream, kind),) = self._input_stream_type_info.items()
                picture = self._make_packet(kind, image).at(self._simulated_timestamp)
                self._graph.add_packet_to_input_stream(stream=stream, packet=picture)
                self._graph.wait_until_idle()
            found = dict.fromkeys(self._output_stream_type_info)
            for name, packet in self._graph_outputs.items():
                found[name] = self._get_packet_content(self._output_stream_type_info[name], packet)
            self._has_found = self._has_found or any(v is not None for v in found.values())
            return types.SimpleNamespace(**found)

        def reset(self) -> None:
            with hide_native_logs(GRAPH_NOISE):
                super().reset()
                self._graph.wait_until_idle()

    return QuietSolution
