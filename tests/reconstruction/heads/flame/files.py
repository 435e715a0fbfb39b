"""Files in FLAME's formats, of a head that is nobody's: made from the embedded one.

5023 vertices, 300 shapes and 100 expressions, five joints, FLAME's names, members as chumpy and
SciPy pickle them. The face is `lite`, refined and bent; eyeballs and scalp are parts beside it.
"""

from __future__ import annotations

import pickle
import sys
import types
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from dubfew.reconstruction.heads.flame.landmarks import IBUG_51_MEDIAPIPE_IDS, LandmarkEmbedding
from dubfew.reconstruction.heads.flame.model import NUM_FLAME_VERTICES
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.synthetic.subdivide import subdivide_mesh

MESH = 468
EYEBALL = 546
# Eyes, brows, nose and lips, as in the published embedding: no chin, no jaw line, no cheek.
KNOWN = (
    *OUTER_LIPS, *INNER_LIPS,
    33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246,
    263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466,
    46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336,
    168, 6, 197, 195, 5, 4, 129, 98, 97, 2, 326, 327, 358,
)  # fmt: skip


def _spiral(count: int, middle: np.ndarray, radius: float, turn: int) -> tuple[Any, np.ndarray]:
    """A closed-looking ball of exactly so many vertices. [count, 3], [F, 3]"""
    i = np.arange(count)
    high, around = 1 - 2 * (i + 0.5) / count, 2 * np.pi * i / turn
    flat = np.sqrt(1 - high**2)
    points = np.stack([flat * np.sin(around), high, flat * np.cos(around)], 1)
    first = np.arange(count - turn - 1)
    faces = [
        np.stack([first, first + 1, first + turn], 1),
        np.stack([first + 1, first + turn + 1, first + turn], 1),
    ]
    return middle + radius * points, np.concatenate(faces)


def bent(points: np.ndarray) -> np.ndarray:
    """Another head: longer, narrower, moved, its chin pushed forward."""
    moved = points * np.array([0.95, 1.06, 1.03]) + np.array([0, -0.03, 0.01])
    chin = np.exp(-(((points[:, 1] + 0.1) / 0.04) ** 2))
    return moved + chin[:, None] * np.array([0, 0, 0.004])


@lru_cache(maxsize=1)
def flame_arrays() -> dict[str, Any]:
    """What a FLAME file holds, as plain arrays under FLAME's names."""
    rng = np.random.default_rng(7)
    lite = load_head_model()
    mesh = lite.faces[(lite.faces < MESH).all(1)]
    finer, faces = subdivide_mesh(mesh, MESH, smooth=False)
    face = finer.shape[0]
    scalp = NUM_FLAME_VERTICES - face - 2 * EYEBALL
    sizes = (scalp // 2, scalp - scalp // 2, EYEBALL, EYEBALL)
    eyes = lite.template[[33, 133]].mean(0), lite.template[[263, 362]].mean(0)
    places = (np.array([-0.04, 0.02, -0.06]), np.array([0.04, 0.02, -0.06]), *eyes[::-1])
    parts = [finer @ lite.template[:MESH].astype(np.float64)]
    triangles = [faces]
    for size, place, radius in zip(sizes, places, (0.03, 0.03, 0.008, 0.008), strict=True):
        points, more = _spiral(size, place, radius, 40)
        triangles.append(more + sum(map(len, parts)))
        parts.append(points)
    template = bent(np.concatenate(parts))

    bases = rng.normal(0, 2e-4, (NUM_FLAME_VERTICES, 3, 400))
    for start, basis in ((0, lite.shape_basis), (300, lite.expression_basis)):
        count = len(basis)
        bases[:, :, start : start + count] = 0
        spread = np.einsum("bvd->vdb", basis[:, :MESH]).reshape(MESH, -1)
        bases[:face, :, start : start + count] = (finer @ spread).reshape(face, 3, count)
    weights = np.zeros((NUM_FLAME_VERTICES, 5))
    weights[:face, 2] = finer @ lite.skin_weights[:MESH, 2]
    weights[-2 * EYEBALL : -EYEBALL, 3] = weights[-EYEBALL:, 4] = 1
    weights[:, 1] = 1 - weights.sum(1)
    regressor = np.zeros((5, NUM_FLAME_VERTICES))
    regressor[:3, :MESH] = lite.joint_regressor[:, :MESH]
    regressor[3, -2 * EYEBALL : -EYEBALL] = regressor[4, -EYEBALL:] = 1 / EYEBALL
    return {
        "v_template": template,
        "shapedirs": bases,
        "posedirs": rng.normal(0, 5e-4, (NUM_FLAME_VERTICES, 3, 36))
        * (weights[:, 2] > 0)[:, None, None],
        "J_regressor": sparse.csc_matrix(regressor),
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "f": np.concatenate(triangles).astype(np.uint32),
    }


def embedded(ids: tuple[int, ...]) -> LandmarkEmbedding:
    """These landmarks of the head, which are vertices of it."""
    faces = flame_arrays()["f"].astype(int)
    rows = np.array([np.nonzero((faces == i).any(1))[0][0] for i in ids])
    weights = (faces[rows] == np.array(ids)[:, None]).astype(np.float32)
    return LandmarkEmbedding(np.array(ids, np.int32), rows.astype(np.int32), weights)


def write_flame(path: Path, kind: str, **changes: Any) -> Path:
    """A model file, as those of 2019 and 2020 ("chumpy"), of 2023 ("plain"), or ".npz"."""
    held = {**flame_arrays(), **changes}
    held = {name: value for name, value in held.items() if value is not None}
    if path.suffix == ".npz":
        dense = {k: v.toarray() if sparse.issparse(v) else v for k, v in held.items()}
        np.savez(path, **dense)
        return path
    if kind == "chumpy":
        path.write_bytes(_as_chumpy({**held, "bs_style": "lbs", "bs_type": "lrotmin"}))
    else:
        path.write_bytes(pickle.dumps(held, 4))
    return path


def _as_chumpy(held: dict[str, Any]) -> bytes:
    module = types.ModuleType("chumpy.ch")

    class Ch:
        pass

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch  # type: ignore[attr-defined]
    for name in ("v_template", "shapedirs", "posedirs"):
        wrapped = Ch()
        wrapped.__dict__.update(x=held[name], _dirty_vars={"x"}, _itr=None)
        held[name] = wrapped
    there = {name: sys.modules.get(name) for name in ("chumpy", "chumpy.ch")}
    sys.modules.update({"chumpy": types.ModuleType("chumpy"), "chumpy.ch": module})
    try:
        return pickle.dumps(held, 2)
    finally:
        for name, before in there.items():
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before


def write_mediapipe(path: Path) -> Path:
    """An embedding file in the form of the one with 105 points."""
    known = embedded(KNOWN)
    np.savez(
        path,
        lmk_face_idx=known.face_ids.astype(np.uint32),
        lmk_b_coords=known.barycentric.astype(np.float64),
        landmark_indices=known.ids.astype(np.int64),
    )
    return path


def write_68(path: Path) -> Path:
    """An embedding file in the form of the one with 68 points."""
    known = embedded(IBUG_51_MEDIAPIPE_IDS)
    held = {
        "static_lmk_faces_idx": known.face_ids.astype(np.int64),
        "static_lmk_bary_coords": known.barycentric.astype(np.float64),
    }
    np.save(path, held, allow_pickle=True)  # type: ignore[arg-type]
    return path
