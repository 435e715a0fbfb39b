"""Masks of MediaPipe go when nobody uses them, not when Python searches for garbage."""

import gc
import weakref

import numpy as np

from dubfew.reconstruction.detection.mediapipe_loader import (
    SELFIE_SEGMENTATION_GRAPH,
    load_solution_base,
)


def test_a_mask_is_freed_with_its_last_name() -> None:
    graph = load_solution_base()(
        binary_graph_path=SELFIE_SEGMENTATION_GRAPH, outputs=["segmentation_mask"]
    )
    gc.disable()
    try:
        found = graph.process(np.full((64, 64, 3), 128, np.uint8))
        mask = weakref.ref(found.segmentation_mask)
        assert mask().shape == (64, 64)
        graph._graph_outputs.clear()  # as the next frame does
        del found
        assert mask() is None
    finally:
        gc.enable()
        graph.close()
