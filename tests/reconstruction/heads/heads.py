"""Head models of toy size with all parts of FLAME: five joints, correctives, eyelids."""

from __future__ import annotations

import numpy as np

from dubfew.reconstruction.heads.head_model import HeadModel


def toy_head(vertices: int = 12, shapes: int = 3, expressions: int = 4, **changes) -> HeadModel:
    """Make a random head with large bases, so that a wrong term changes the result."""
    rng = np.random.default_rng(5)

    def normal(*size: int) -> np.ndarray:
        return rng.normal(0, 0.05, size).astype(np.float32)

    weights = rng.random((vertices, 5)).astype(np.float32)
    regressor = rng.random((5, vertices)).astype(np.float32)
    fields = {
        "name": "toy",
        "template": normal(vertices, 3),
        "shape_basis": normal(shapes, vertices, 3),
        "expression_basis": normal(expressions, vertices, 3),
        "pose_basis": normal(36, vertices, 3),
        "joint_regressor": regressor / regressor.sum(1, keepdims=True),
        "skin_weights": weights / weights.sum(1, keepdims=True),
        "parents": np.array([-1, 0, 1, 1, 1], np.int32),
        "faces": rng.integers(0, vertices, (6, 3)).astype(np.int32),
        "uv": rng.random((vertices, 2)).astype(np.float32),
        "landmark_ids": np.array([33, 263], np.int32),
        "landmark_faces": np.array([0, 1], np.int32),
        "landmark_barycentric": np.array([[1, 0, 0], [0, 1, 0]], np.float32),
        "mouth_expressions": expressions,
        "eyelid_basis": normal(2, vertices, 3),
        "expression_moves_joints": True,
    }
    return HeadModel(**{**fields, **changes})
