"""Makes ``lite.safetensors``, the embedded head model, from tracked faces of many people.

    python -m tools.build_lite_head FOLDER_OF_CLIPS -o lite.safetensors

FOLDER_OF_CLIPS holds videos and a ``manifest.json`` whose entries with ``split: train`` and
``weights_may_ship: true`` are used. What the model takes from a person is a share in an
average and in a handful of principal components; it holds nobody's face.

Topology and landmark numbering are MediaPipe's (Apache-2.0); everything else is made here:
aligned 3-D landmarks -> mean head; people's rest faces -> shape basis (completed by smooth
modes of the surface, since the people are few); faces minus rest, jaw rotation taken out ->
expression basis, in two blocks, of which the first moves the lower face alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse.linalg import spsolve
from scipy.spatial.transform import Rotation

from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.mesh_strips import triangulate_strip

MESH_VERTEX_COUNT = 468
MEAN_INTER_OCULAR_METERS = 0.09  # m, outer eye corners of the mean head
MAX_FRAMES_PER_CLIP = 120
MAX_SHAPE_MODES, NUM_SMOOTH_MODES = 24, 12  # smooth modes count three times, once per axis
NUM_MOUTH_EXPRESSIONS, NUM_UPPER_EXPRESSIONS = 40, 10
# Parts of the face that speech hardly moves: forehead, temples, nose bridge, eye corners.
SPEECH_RIGID_VERTICES = (
    10, 338, 297, 332, 284, 251, 109, 67, 103, 54, 21, 151, 9, 8, 168, 6, 197, 195, 5, 4,
    33, 133, 263, 362, 127, 356, 234, 454, 162, 389, 108, 337, 69, 299,
)  # fmt: skip
UPPER_INNER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_INNER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)
LOWER_FACE_OVAL = (
    127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152,
    377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356,
)  # fmt: skip
JAW_DRIVEN_VERTICES = (
    *LOWER_INNER_LIP, 146, 91, 181, 84, 17, 314, 405, 321, 375, 18, 200, 199, 175, 152, 148, 377,
    176, 400, 149, 378, 83, 313, 182, 406, 201, 421, 208, 428,
)  # fmt: skip
JAW_FIXED_VERTICES = (
    *UPPER_INNER_LIP, *SPEECH_RIGID_VERTICES, 185, 40, 39, 37, 0, 267, 269, 270, 409, 2, 98, 327,
    164, 50, 280, 117, 346, 205, 425, 203, 423, 93, 323, 123, 352, 116, 345,
)  # fmt: skip
CHIN_VERTICES = (152, 148, 377, 176, 400, 175, 199, 200)


def load_mesh_triangles() -> NDArray[np.int32]:
    """The triangles of MediaPipe's mesh: 3-cliques of its published edges. [F, 3]"""
    package = importlib.util.find_spec("mediapipe")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "python" / "solutions" / "face_mesh_connections.py"
    spec = importlib.util.spec_from_file_location("face_mesh_connections", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    neighbours: dict[int, set[int]] = {}
    for a, b in module.FACEMESH_TESSELATION:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    found = {
        tuple(sorted((a, b, c)))
        for a, near in neighbours.items()
        for b, c in combinations(sorted(near), 2)
        if c in neighbours[b]
    }
    # A clique that is no face has a neighbour face on both sides of each of its edges.
    uses = Counter(edge for face in found for edge in combinations(face, 2))
    return np.array(
        sorted(f for f in found if not all(uses[e] > 2 for e in combinations(f, 2))), np.int32
    )


def align_faces(faces: NDArray, template: NDArray, weights: NDArray) -> NDArray:
    """Bring each face [N, V, 3] onto the template by a similarity transform (Umeyama 1991)."""
    w = weights / weights.sum()
    centre = np.einsum("v,nvd->nd", w, faces)
    target_centre = w @ template
    a, b = faces - centre[:, None], template - target_centre
    u, s, vt = np.linalg.svd(np.einsum("v,nvi,vj->nij", w, a, b))
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / np.einsum("v,nvd,nvd->n", w, a, a)
    return scale[:, None, None] * (a @ rotation) + target_centre


def measure_lip_gap(faces: NDArray) -> NDArray:
    """Inner-lip gap of faces [N, V, 3]. [N]"""
    return np.linalg.norm(faces[:, 13] - faces[:, 14], axis=-1)


def find_mirror_vertices(template: NDArray) -> NDArray:
    """Index of each vertex's mirror image. [V]"""
    mirrored = template * np.array([-1, 1, 1])
    distance = np.linalg.norm(template[:, None] - mirrored[None], axis=-1)
    return linear_sum_assignment(distance)[1]


def build_graph_laplacian(faces: NDArray, num_vertices: int) -> NDArray:
    """Graph Laplacian of the mesh. [V, V]"""
    matrix = np.zeros((num_vertices, num_vertices))
    for a, b in {tuple(sorted(e)) for f in faces for e in combinations(f.tolist(), 2)}:
        matrix[a, b] = matrix[b, a] = -1
    np.fill_diagonal(matrix, -matrix.sum(1))
    return matrix


def solve_harmonic_field(
    graph_laplacian: NDArray, ones: tuple[int, ...], zeros: tuple[int, ...]
) -> NDArray:
    """The smoothest field that is 1 and 0 on the given vertices. [V]"""
    from scipy.sparse import csc_matrix

    fixed = np.array([*ones, *zeros])
    values = np.array([1.0] * len(ones) + [0.0] * len(zeros))
    free = np.setdiff1d(np.arange(len(graph_laplacian)), fixed)
    field = np.zeros(len(graph_laplacian))
    field[fixed] = values
    field[free] = spsolve(
        csc_matrix(graph_laplacian[np.ix_(free, free)]),
        -graph_laplacian[np.ix_(free, fixed)] @ values,
    )
    return field


def compute_principal_components(
    displacements: NDArray, vertex_weights: NDArray, num_components: int
) -> NDArray:
    """Weighted principal components, scaled to unit variance of their coefficients.

    Args:
        displacements: displacements. [N, V, 3]
        vertex_weights: importance of each vertex. [V]
        num_components: how many.

    Returns:
        [count, V, 3]
    """
    weighted = (displacements * vertex_weights[None, :, None]).reshape(len(displacements), -1)
    _, s, vt = np.linalg.svd(weighted, full_matrices=False)
    num_components = min(num_components, len(s))
    components = vt[:num_components] * (s[:num_components, None] / np.sqrt(len(displacements)))
    return components.reshape(num_components, -1, 3) / vertex_weights[None, :, None]


def build_head_model(landmarks_by_clip: Mapping[str, NDArray]) -> HeadModel:
    """Make the head model from landmarks [N, 478, 3] (px) of many clips."""
    faces = load_mesh_triangles()
    graph = build_graph_laplacian(faces, MESH_VERTEX_COUNT)
    flip = np.array([1, -1, -1])
    samples = {}
    for name, landmarks in landmarks_by_clip.items():
        seen = landmarks[np.isfinite(landmarks[:, 0, 0])][:, :MESH_VERTEX_COUNT] * flip
        if len(seen) < 20:
            continue
        rows = np.unique(np.linspace(0, len(seen) - 1, MAX_FRAMES_PER_CLIP).astype(int))
        samples[name] = seen[rows].astype(np.float64)

    weights = np.full(MESH_VERTEX_COUNT, 0.02)
    weights[list(SPEECH_RIGID_VERTICES)] = 1.0
    template = np.mean([s[len(s) // 2] - s[len(s) // 2].mean(0) for s in samples.values()], 0)
    for step in range(8):
        aligned = {name: align_faces(s, template, weights) for name, s in samples.items()}
        rest = {
            name: a[np.argsort(measure_lip_gap(a))[: max(3, len(a) // 6)]].mean(0)
            for name, a in aligned.items()
        }
        template = np.mean(list(rest.values()), 0)
        if step == 2:  # upright by now up to a common tilt: mirror from here on
            template = _rotate_upright(template)
        if step >= 3:
            mirror = find_mirror_vertices(template)
            template = (template + template[mirror] * np.array([-1, 1, 1])) / 2
        template *= MEAN_INTER_OCULAR_METERS / np.linalg.norm(template[33] - template[263])
    mirror = find_mirror_vertices(template)
    template -= np.array([0, template[168, 1], template[[234, 454], 2].mean()])
    aligned = {name: align_faces(s, template, weights) for name, s in samples.items()}
    rest = {
        name: a[np.argsort(measure_lip_gap(a))[: max(3, len(a) // 6)]].mean(0)
        for name, a in aligned.items()
    }

    jaw_weight = np.clip(solve_harmonic_field(graph, JAW_DRIVEN_VERTICES, JAW_FIXED_VERTICES), 0, 1)
    # The hinge lies before the ears, a little below the eyes' height of vertices 234 and 454.
    hinge = np.array([0, template[[234, 454], 1].mean() - 0.005, template[[234, 454], 2].mean()])

    identity = np.stack([r - template for r in rest.values()])
    identity = np.concatenate([identity, _mirror_displacements(identity, mirror)])
    shape_basis = compute_principal_components(
        identity, np.ones(MESH_VERTEX_COUNT), min(MAX_SHAPE_MODES, len(identity) // 2)
    )
    _, modes = np.linalg.eigh(graph)
    # 4 mm: about what the principal components leave unexplained on people left out.
    smooth = modes[:, :NUM_SMOOTH_MODES] * np.sqrt(MESH_VERTEX_COUNT) * 0.004 / 3
    shape_basis = np.concatenate(
        [shape_basis, np.stack([np.outer(m, axis) for m in smooth.T for axis in np.eye(3)])]
    )

    residual = np.concatenate(
        [_remove_jaw_rotation(a, rest[name], hinge, jaw_weight) for name, a in aligned.items()]
    )
    residual = np.concatenate([residual, _mirror_displacements(residual, mirror)])
    lower = _lower_face_weights(template)
    importance = 1 + 3 * np.exp(
        -((np.linalg.norm(template - template[[13, 14]].mean(0), axis=1) / 0.03) ** 2)
    )
    mouth = compute_principal_components(
        residual * lower[None, :, None], importance, NUM_MOUTH_EXPRESSIONS
    )
    upper = compute_principal_components(
        residual * (1 - lower)[None, :, None], np.ones(MESH_VERTEX_COUNT), NUM_UPPER_EXPRESSIONS
    )
    expression_basis = np.concatenate([mouth, upper])

    return _add_mouth_and_neck(
        template, shape_basis, expression_basis, jaw_weight, hinge, faces, len(mouth)
    )


def _rotate_upright(template: NDArray) -> NDArray:
    """Rotate so that the eyes are level and nose bridge to chin is vertical."""
    x = template[263] - template[33]
    x = x / np.linalg.norm(x)
    y = template[10] - template[152]
    y = y - x * (x @ y)
    y = y / np.linalg.norm(y)
    axes = np.stack([x, y, np.cross(x, y)])
    return (template - template[[33, 263]].mean(0)) @ axes.T


def _mirror_displacements(displacements: NDArray, mirror: NDArray) -> NDArray:
    return displacements[:, mirror] * np.array([-1, 1, 1])


def _lower_face_weights(template: NDArray) -> NDArray:
    """1 on the mouth, chin, jaw and lower cheeks, 0 from the nose upwards, smooth between. [V]"""
    top, bottom = template[5, 1], template[2, 1]  # nose ridge, base of the nose
    # The nose itself stays: it lies further forward than any cheek at its height.
    ramp = np.clip((top - template[:, 1]) / (top - bottom), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def _remove_jaw_rotation(
    faces: NDArray, rest: NDArray, hinge: NDArray, jaw_weight: NDArray
) -> NDArray:
    """Displacements from rest with the best jaw pitch taken out. [N, V, 3]"""
    chin = list(CHIN_VERTICES)
    arm = rest[chin] - hinge
    moved = faces[:, chin] - hinge
    angle = np.arctan2(moved[..., 1], moved[..., 2]) - np.arctan2(arm[:, 1], arm[:, 2])
    pitch = -np.clip(angle.mean(1), -0.6, 0.6)
    rotation = Rotation.from_rotvec(np.stack([pitch, 0 * pitch, 0 * pitch], 1)).as_matrix()
    turned = np.einsum("nab,vb->nva", rotation, rest - hinge) + hinge
    w = jaw_weight[None, :, None]
    displacement = faces - (w * turned + (1 - w) * rest)
    inverse = np.einsum("nba,nvb->nva", rotation, displacement)
    return w * inverse + (1 - w) * displacement


def _add_mouth_and_neck(
    template: NDArray,
    shape_basis: NDArray,
    expression_basis: NDArray,
    jaw_weight: NDArray,
    hinge: NDArray,
    triangles: NDArray,
    mouth_count: int,
) -> HeadModel:
    """Fill the mouth, hang a skirt of neck skin from the jaw line, lay out the texture."""
    # Mouth: a row of vertices half way between the inner lips, as deep as the teeth.
    combine = np.eye(MESH_VERTEX_COUNT)
    rows = [np.zeros(MESH_VERTEX_COUNT) for _ in UPPER_INNER_LIP]
    for row, up, low in zip(rows, UPPER_INNER_LIP, LOWER_INNER_LIP, strict=True):
        row[[up, low]] = 0.5
    inner = np.stack(rows)
    skirt = np.zeros((len(LOWER_FACE_OVAL), MESH_VERTEX_COUNT))
    skirt[np.arange(len(LOWER_FACE_OVAL)), list(LOWER_FACE_OVAL)] = 1
    combine = np.concatenate([combine, inner, skirt])
    shift = np.zeros((len(combine), 3))
    shift[MESH_VERTEX_COUNT : MESH_VERTEX_COUNT + len(inner), 2] = -0.008
    centre = template[[5]].mean(0)
    out = template[list(LOWER_FACE_OVAL)] - centre
    out[:, 2] = 0
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    shift[MESH_VERTEX_COUNT + len(inner) :] = out * 0.035 + np.array([0, 0, -0.012])

    moves = np.concatenate([np.ones(MESH_VERTEX_COUNT + len(inner)), np.zeros(len(skirt))])
    vertices = combine @ template + shift
    weight = np.concatenate([jaw_weight, inner @ jaw_weight, np.zeros(len(skirt))])

    # Orientation: outwards, towards +z.
    normal = np.cross(
        template[triangles[:, 1]] - template[triangles[:, 0]],
        template[triangles[:, 2]] - template[triangles[:, 0]],
    )
    middle = template[triangles].mean(1) - np.array([0, template[5, 1], -0.05])
    turn = (normal * middle).sum(1) < 0
    triangles = np.where(turn[:, None], triangles[:, ::-1], triangles)

    first = MESH_VERTEX_COUNT
    chain = [78, *range(first, first + len(inner)), 308]
    mouth = triangulate_strip([78, *UPPER_INNER_LIP, 308], chain) + triangulate_strip(
        chain, [78, *LOWER_INNER_LIP, 308]
    )
    first += len(inner)
    neck = triangulate_strip(list(LOWER_FACE_OVAL), list(range(first, first + len(skirt))))
    faces = np.concatenate([triangles, np.array(mouth + neck)]).astype(np.int32)

    joints = np.stack([np.zeros(3), np.array([0, template[152, 1], 0.0]), hinge])
    regressor = np.stack([_regress_joint(template, joint) for joint in joints])
    regressor = np.concatenate([regressor, np.zeros((3, len(combine) - MESH_VERTEX_COUNT))], 1)
    skin = np.stack([1 - weight, 0 * weight, weight], 1)
    extend = np.einsum("wv,bvd->bwd", combine, shape_basis)
    express = np.einsum("wv,bvd->bwd", combine, expression_basis) * moves[None, :, None]

    model = HeadModel(
        name="lite",
        template=vertices.astype(np.float32),
        shape_basis=extend.astype(np.float32),
        expression_basis=express.astype(np.float32),
        pose_basis=None,
        joint_regressor=regressor.astype(np.float32),
        skin_weights=skin.astype(np.float32),
        parents=np.array([-1, 0, 1], np.int32),
        faces=faces,
        uv=np.zeros((len(vertices), 2), np.float32),
        landmark_ids=np.arange(MESH_VERTEX_COUNT, dtype=np.int32),
        landmark_faces=np.array(
            [np.nonzero((faces == i).any(1))[0][0] for i in range(MESH_VERTEX_COUNT)], np.int32
        ),
        landmark_barycentric=np.stack(
            [(faces[np.nonzero((faces == i).any(1))[0][0]] == i) for i in range(MESH_VERTEX_COUNT)]
        ).astype(np.float32),
        mouth_expressions=mouth_count,
    )
    return _add_cylindrical_uv(model)


def _regress_joint(template: NDArray, joint: NDArray) -> NDArray:
    """Least-norm weights, summing to 1, that make a joint from the vertices. [V]"""
    system = np.concatenate([template.T, np.ones((1, len(template)))])
    return np.linalg.pinv(system) @ np.append(joint, 1.0)


def _add_cylindrical_uv(model: HeadModel) -> HeadModel:
    """Unroll the head, jaw open so that the mouth's inside has texture of its own."""

    open_jaw = np.array([[0.30, 0, 0]], np.float32)
    flat = np.zeros((1, len(model.expression_basis)), np.float32)
    v = model.vertices(np.zeros(len(model.shape_basis)), flat, open_jaw)[0].astype(np.float64)
    around = np.arctan2(v[:, 0], v[:, 2] + 0.06)
    uv = np.stack([around, -v[:, 1] / 0.12], 1)
    low, high = uv.min(0), uv.max(0)
    uv = 0.01 + 0.98 * (uv - low) / (high - low)
    return dataclasses.replace(model, uv=uv.astype(np.float32))


def detect_clip_landmarks(path: Path) -> NDArray[np.float32]:
    """Landmarks of every frame in which a face is found. [N, 478, 3] px"""
    from dubfew.media import read_frames

    with FaceLandmarker() as landmarker:
        found = [landmarker(frame.to_rgb()) for frame in read_frames(path)]
    return np.stack([f for f in found if f is not None] or [np.full((478, 3), np.nan, np.float32)])


def main() -> None:
    """Command line of this script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    entries = json.loads((arguments.clips / "manifest.json").read_text())
    usable = [e["file"] for e in entries if e["split"] == "train" and e["weights_may_ship"]]
    build_head_model({name: detect_clip_landmarks(arguments.clips / name) for name in usable}).save(
        arguments.out
    )


if __name__ == "__main__":
    main()
