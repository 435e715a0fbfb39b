"""FLAME's named regions of vertices (``FLAME_masks.pkl``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import AssetError
from dubfew.reconstruction.heads.flame.model import NUM_FLAME_VERTICES
from dubfew.reconstruction.heads.flame.pickles import read_pickle


def read_flame_masks(path: Path | str) -> dict[str, NDArray[np.int32]]:
    """Read the vertex numbers of each region, such as face, lips, nose, scalp and left_eyeball.

    Returns:
        Vertex numbers by the name of their region. [n] each

    Raises:
        AssetError: The file has other content.
    """
    held = read_pickle(path)
    if not isinstance(held, dict) or not held:
        raise AssetError(f"{path} holds no regions: give FLAME_masks.pkl")
    regions = {}
    for name, value in held.items():
        array = np.asarray(value)
        if array.ndim != 1 or array.dtype.kind not in "iu" or not _has_valid_vertex_ids(array):
            raise AssetError(f"{name!r} in {path} is no list of FLAME's vertices")
        regions[str(name)] = array.astype(np.int32)
    return regions


def _has_valid_vertex_ids(array: NDArray) -> bool:
    return array.size == 0 or (array.min() >= 0 and array.max() < NUM_FLAME_VERTICES)
