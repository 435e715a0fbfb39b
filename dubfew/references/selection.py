"""Windows of an actor at another size, and the few that show the most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.references.footage import Footage


def resize_footage(footage: Footage, size: int) -> Footage:
    """The same windows drawn ``size`` px wide."""
    if footage.window_size == size:
        return footage
    ratio = size / footage.window_size
    images = [
        np.asarray(Image.fromarray(i).resize((size, size), Image.Resampling.BILINEAR))
        for i in footage.images
    ]
    scale = np.array([ratio, ratio, 1], np.float32)
    return replace(
        footage,
        images=np.stack(images),
        vertices=footage.vertices * scale,
        hulls=footage.hulls * np.float32(ratio),
    )


def farthest_point_sampling(keys: NDArray, count: int) -> NDArray[np.int64]:
    """Rows that span the keys: each next one is farthest from those before.

    Source: Gonzalez 1985, farthest-point clustering.
    """
    rows = [int(np.argmin(np.linalg.norm(keys - keys.mean(0), axis=1)))]
    distance = np.linalg.norm(keys - keys[rows[0]], axis=1)
    while len(rows) < min(count, len(keys)):
        rows.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(keys - keys[rows[-1]], axis=1))
    return np.sort(np.array(rows, np.int64))
