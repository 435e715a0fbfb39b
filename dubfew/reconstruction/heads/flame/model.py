"""FLAME's own file: pickles of 2019, 2020 and 2023, and ``.npz`` of the same names."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import AssetError
from dubfew.reconstruction.heads.flame.arrays import read_named_arrays, to_float_array
from dubfew.reconstruction.heads.flame.pickles import read_pickle
from dubfew.utils.arrays import FloatArray

NUM_FLAME_VERTICES = 5023
# Of `shapedirs`: identity first, expression behind it.
NUM_SHAPE_BASES = 300
REDUCED_BASIS_SIZES = (10, 10)  # shapes and expressions of the cut-down files, as smplx has it
JOINT_PARENTS = (-1, 0, 1, 1, 1)  # root, neck, jaw, left eye, right eye
# Names that the same array has in other files.
ARRAY_KEYS = {
    "template": ("v_template",),
    "bases": ("shapedirs",),
    "correctives": ("posedirs",),
    "regressor": ("J_regressor",),
    "tree": ("kintree_table", "parents"),
    "weights": ("weights", "lbs_weights"),
    "faces": ("f", "faces"),
}


@dataclass(frozen=True)
class FlameModel:
    """Content of a FLAME file, with axes in dubfew's order.

    Attributes:
        template: mean head, m, y up, z out of the face. [5023, 3]
        shape_basis: [S, 5023, 3]
        expression_basis: [E, 5023, 3]
        pose_basis: [36, 5023, 3]
        joint_regressor: [5, 5023]
        skin_weights: [5023, 5]
        faces: [F, 3]
    """

    template: FloatArray
    shape_basis: FloatArray
    expression_basis: FloatArray
    pose_basis: FloatArray
    joint_regressor: FloatArray
    skin_weights: FloatArray
    faces: NDArray[np.int32]


def read_flame_model(path: Path | str) -> FlameModel:
    """Read a FLAME model.

    Raises:
        AssetError: The file is no head model, or damaged, or not in meters.
    """
    # Editions differ in the container and in the arrays' names, which `ARRAY_KEYS` has.
    held = read_named_arrays(path) if zipfile.is_zipfile(path) else read_pickle(path)
    if not isinstance(held, Mapping):
        raise AssetError(f"{path} is no FLAME model: it holds no named arrays")
    found = {name: _find_array(held, keys, path) for name, keys in ARRAY_KEYS.items()}
    template = to_float_array(found["template"], f"v_template of {path}", 2)
    if template.shape != (NUM_FLAME_VERTICES, 3):
        raise AssetError(
            f"{path} has {len(template)} vertices, FLAME has {NUM_FLAME_VERTICES}: give FLAME's "
            "own file "
            "(generic_model.pkl, flame2023.pkl)"
        )
    # One array holds both bases: shapes first, then expressions.
    bases = _array_of_shape(found["bases"], "shapedirs", (NUM_FLAME_VERTICES, 3, None), path)
    shapes, expressions = _split_basis_count(bases.shape[2], path)
    faces = _to_face_array(found["faces"], path)
    # Exports in centimeters or millimeters have the right number of vertices, and would track
    # nothing.
    size = float(np.ptp(template, axis=0).max())
    if not 0.1 < size < 1.0:
        raise AssetError(f"the head in {path} is {size:.3g} m tall: FLAME is in meters")
    _check_joint_parents(found["tree"], path)
    # Weights that do not add up to 1 tear the mesh where the jaw opens.
    weights = _array_of_shape(found["weights"], "weights", (NUM_FLAME_VERTICES, 5), path)
    if not np.allclose(weights.sum(1), 1, atol=1e-3):
        raise AssetError(f"the skinning weights in {path} do not sum to 1: fetch the file again")
    return FlameModel(
        template=template,
        shape_basis=_basis_axis_first(bases[..., :shapes]),
        expression_basis=_basis_axis_first(bases[..., shapes : shapes + expressions]),
        pose_basis=_basis_axis_first(
            _array_of_shape(found["correctives"], "posedirs", (NUM_FLAME_VERTICES, 3, 36), path)
        ),
        joint_regressor=_array_of_shape(
            found["regressor"], "J_regressor", (5, NUM_FLAME_VERTICES), path
        ),
        skin_weights=weights,
        faces=faces,
    )


def _find_array(arrays: Mapping[str, Any], keys: tuple[str, ...], path: Path | str) -> Any:
    for key in keys:
        if arrays.get(key) is not None:
            return arrays[key]
    raise AssetError(f"{path} is no FLAME model: it has no {keys[0]!r}")


def _array_of_shape(
    value: Any, name: str, shape: tuple[int | None, ...], path: Path | str
) -> NDArray[np.float32]:
    array = to_float_array(value, f"{name} of {path}", len(shape))
    if any(want not in (None, is_) for want, is_ in zip(shape, array.shape, strict=True)):
        raise AssetError(f"{name} of {path} has shape {array.shape}, FLAME's is {shape}")
    return array


def _basis_axis_first(basis: FloatArray) -> FloatArray:
    """Move the axis of the basis to the front: [V, 3, B] to [B, V, 3]."""
    return np.ascontiguousarray(np.moveaxis(basis, 2, 0))


def _split_basis_count(count: int, path: Path | str) -> tuple[int, int]:
    """Count the basis vectors of shape and those of expression."""
    if count == sum(REDUCED_BASIS_SIZES):
        return REDUCED_BASIS_SIZES
    if count <= NUM_SHAPE_BASES:
        raise AssetError(
            f"{path} has {count} basis vectors, FLAME has {NUM_SHAPE_BASES} shapes and 100 "
            "expressions: "
            "give the complete file"
        )
    return NUM_SHAPE_BASES, count - NUM_SHAPE_BASES


def _to_face_array(value: Any, path: Path | str) -> NDArray[np.int32]:
    array = to_float_array(value, f"faces of {path}", 2)
    if array.shape[1] != 3 or array.min() < 0 or array.max() >= NUM_FLAME_VERTICES:
        raise AssetError(f"the faces in {path} are no triangles of its vertices")
    return array.astype(np.int32)


def _check_joint_parents(value: Any, path: Path | str) -> None:
    # The root's parent is written as -1 or, unsigned, as 2**32 - 1.
    parents = np.atleast_2d(np.asarray(value)).astype(np.int64)[0].astype(np.int32)
    if parents.tolist()[1:] != list(JOINT_PARENTS[1:]):
        raise AssetError(
            f"{path} has joints with parents {parents.tolist()}, FLAME {JOINT_PARENTS}"
        )
