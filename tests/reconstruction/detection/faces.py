"""Faces of random landmarks at a given position."""

from __future__ import annotations

import numpy as np


def face_at(x: float, y: float) -> np.ndarray:
    """Make a face 40 px wide around a position, px. [478, 3]"""
    face = np.random.default_rng(0).uniform(-20, 20, (478, 3)).astype(np.float32)
    return face + np.array([x, y, 0], np.float32)
