"""Build ``lite.safetensors``, the embedded head model, from tracked faces of many people.

    python -m tools.build_lite_head FOLDER_OF_CLIPS -o lite.safetensors

FOLDER_OF_CLIPS holds videos and a ``manifest.json`` whose entries with ``split: train`` and
``weights_may_ship: true`` are used. A person's contribution is a share in an average and in a
handful of principal components; no person's face is in the model.

Topology and landmark numbering are MediaPipe's (Apache-2.0); everything else is made here:

1. Landmarks of all frames are aligned in 3-D; their mean, made symmetric, is the mean head.
2. Every person's face at rest minus the mean head gives the shape basis, completed by smooth modes
   of the surface, since the people are few.
3. Faces minus the person's rest face, jaw rotation taken out, give the expression basis, in two
   blocks, of which the first moves the lower face alone.
4. A filled mouth, a skirt of neck skin and texture coordinates are added.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve
from scipy.spatial.transform import Rotation

from dubfew.media import read_frames
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.mesh_strips import triangulate_strip

# Landmarks of MediaPipe's face mesh without the ten of the irises.
MESH_VERTEX_COUNT = 468
# Distance of the outer eye corners of the mean head, m: an adult's mean. It sets the unit.
MEAN_INTER_OCULAR_METERS = 0.09
# Frames that one clip contributes: more would let long clips outweigh short ones.
MAX_FRAMES_PER_CLIP = 120
# Frames with a face that a clip must have: fewer do not show a closed mouth reliably.
MIN_FRAMES_PER_CLIP = 20
# Most principal components of identity, and modes of the surface that complete them. A smooth mode
# counts three times, once per axis.
MAX_SHAPE_MODES, NUM_SMOOTH_MODES = 24, 12
# Spread of a smooth mode, m: about what the principal components leave unexplained on people that
# were left out.
SMOOTH_MODE_METERS = 0.004
# Principal components of the lower face, which the fit and the voice move, and of the rest, of
# which only brows and lids matter. Every one costs the fit a column.
NUM_MOUTH_EXPRESSIONS, NUM_UPPER_EXPRESSIONS = 40, 10
# Rounds of aligning all faces to their mean, and the round after which it is turned upright. From
# the next one on it is made symmetric, which needs the upright pose.
NUM_ALIGNMENT_ROUNDS, UPRIGHT_ROUND = 8, 2
# Weight of a vertex that speech moves when faces are aligned; those that it does not have 1.
MOVING_VERTEX_WEIGHT = 0.02
# Largest jaw pitch that is taken out of a face, rad: people do not open wider when they speak.
MAX_JAW_PITCH_RADIANS = 0.6
# Depth of the mouth's filling behind the lips, m: where the teeth are. Also in FLAME's mouth sheet.
MOUTH_DEPTH_METERS = 0.008
# How far the skirt of neck skin reaches out from the jaw line and back, m: enough to cover the
# neck that a window around the mouth shows.
SKIRT_REACH_METERS, SKIRT_BACK_METERS = 0.035, 0.012
# The jaw's pitch when the head is unrolled, rad, so that the mouth's inside has texels of its own.
UNROLL_JAW_PITCH_RADIANS = 0.30
# Axis of the cylinder onto which the head is unrolled, m behind head space's origin.
CYLINDER_AXIS_BACK_METERS = 0.06
# Mirror image: x changes its sign.
MIRROR_AXES = np.array([-1, 1, 1])
# Parts of the face that speech hardly moves: forehead, temples, nose bridge, eye corners.
SPEECH_RIGID_VERTICES = (
    10, 338, 297, 332, 284, 251, 109, 67, 103, 54, 21, 151, 9, 8, 168, 6, 197, 195, 5, 4,
    33, 133, 263, 362, 127, 356, 234, 454, 162, 389, 108, 337, 69, 299,
)  # fmt: skip
# Inner edges of the lips from the image's left to its right, without the corners 78 and 308.
UPPER_INNER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_INNER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)
# Outline of the face from ear to ear under the chin.
LOWER_FACE_OVAL = (
    127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152,
    377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356,
)  # fmt: skip
# Vertices that turn fully with the jaw, and vertices that do not turn at all. Those between them
# get weights from the smoothest field over the mesh.
JAW_DRIVEN_VERTICES = (
    *LOWER_INNER_LIP, 146, 91, 181, 84, 17, 314, 405, 321, 375, 18, 200, 199, 175, 152, 148, 377,
    176, 400, 149, 378, 83, 313, 182, 406, 201, 421, 208, 428,
)  # fmt: skip
JAW_FIXED_VERTICES = (
    *UPPER_INNER_LIP, *SPEECH_RIGID_VERTICES, 185, 40, 39, 37, 0, 267, 269, 270, 409, 2, 98, 327,
    164, 50, 280, 117, 346, 205, 425, 203, 423, 93, 323, 123, 352, 116, 345,
)  # fmt: skip
# Vertices from which the jaw's pitch is measured.
CHIN_VERTICES = (152, 148, 377, 176, 400, 175, 199, 200)


def load_mesh_triangles() -> NDArray[np.int32]:
    """Find the triangles of MediaPipe's mesh: the 3-cliques of its published edges. [F, 3]

    Raises:
        RuntimeError: the installed MediaPipe has no list of edges.
    """
    package = importlib.util.find_spec("mediapipe")
    if package is None or package.origin is None:
        raise RuntimeError("mediapipe is not installed: its mesh has the triangles")
    # Loaded by path: importing mediapipe.solutions would load half of MediaPipe.
    path = Path(package.origin).parent / "python" / "solutions" / "face_mesh_connections.py"
    spec = importlib.util.spec_from_file_location("face_mesh_connections", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} cannot be loaded: this MediaPipe has no list of edges")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    neighbors: dict[int, set[int]] = {}
    for a, b in module.FACEMESH_TESSELATION:
        neighbors.setdefault(a, set()).add(b)
        neighbors.setdefault(b, set()).add(a)
    cliques = {
        tuple(sorted((a, b, c)))
        for a, near in neighbors.items()
        for b, c in combinations(sorted(near), 2)
        if c in neighbors[b]
    }
    # A clique that is no triangle of the mesh has neighbors on both sides of each of its edges.
    uses = Counter(edge for clique in cliques for edge in combinations(clique, 2))
    return np.array(
        sorted(t for t in cliques if not all(uses[e] > 2 for e in combinations(t, 2))), np.int32
    )


def align_faces(faces: NDArray, template: NDArray, weights: NDArray) -> NDArray:
    """Bring each face onto the template by rotation, uniform scale and translation.

    Args:
        faces: in any unit. [N, V, 3]
        template: target. [V, 3]
        weights: importance of each vertex. [V]

    Returns:
        The moved faces. [N, V, 3]

    Source: Umeyama 1991, "Least-Squares Estimation of Transformation Parameters Between Two Point
    Patterns" (PAMI), eq. 40 to 42, with weights.
    """
    w = weights / weights.sum()
    center = np.einsum("v,nvd->nd", w, faces)
    target_center = w @ template
    a, b = faces - center[:, None], template - target_center
    u, s, vt = np.linalg.svd(np.einsum("v,nvi,vj->nij", w, a, b))
    # The last sign keeps the result a rotation where a mirror image would be nearer.
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / np.einsum("v,nvd,nvd->n", w, a, a)
    return scale[:, None, None] * (a @ rotation) + target_center


def measure_lip_gap(faces: NDArray) -> NDArray:
    """Measure the distance between the middles of the inner lips of faces [N, V, 3]. [N]"""
    return np.linalg.norm(faces[:, 13] - faces[:, 14], axis=-1)


def find_mirror_vertices(template: NDArray) -> NDArray:
    """Find the index of each vertex's mirror image, one to one, for a head [V, 3]. [V]"""
    mirrored = template * MIRROR_AXES
    distance = np.linalg.norm(template[:, None] - mirrored[None], axis=-1)
    return linear_sum_assignment(distance)[1]


def build_graph_laplacian(faces: NDArray, num_vertices: int) -> NDArray:
    """Build the graph Laplacian of a mesh: degrees on the diagonal, -1 for every edge.

    Args:
        faces: triangles. [F, 3]
        num_vertices: number of vertices V.

    Returns:
        Symmetric matrix whose rows sum to 0. [V, V]

    Example:
        >>> build_graph_laplacian(np.array([[0, 1, 2]]), 3).tolist()
        [[2.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]]
    """
    matrix = np.zeros((num_vertices, num_vertices))
    for a, b in {tuple(sorted(e)) for f in faces for e in combinations(f.tolist(), 2)}:
        matrix[a, b] = matrix[b, a] = -1
    np.fill_diagonal(matrix, -matrix.sum(1))
    return matrix


def solve_harmonic_field(
    graph_laplacian: NDArray, ones: tuple[int, ...], zeros: tuple[int, ...]
) -> NDArray:
    """Find the smoothest field over a mesh that is 1 and 0 on given vertices.

    Args:
        graph_laplacian: of the mesh. [V, V]
        ones: vertices where the field is 1.
        zeros: vertices where the field is 0.

    Returns:
        The field in which every other vertex is the mean of its neighbors. [V]
    """
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
    """Compute weighted principal components, scaled to unit variance of their coefficients.

    Args:
        displacements: samples around zero. [N, V, 3]
        vertex_weights: importance of each vertex. [V]
        num_components: number of components; fewer where there are fewer samples.

    Returns:
        Components, the strongest first. [num_components, V, 3]
    """
    weighted = (displacements * vertex_weights[None, :, None]).reshape(len(displacements), -1)
    _, s, vt = np.linalg.svd(weighted, full_matrices=False)
    num_components = min(num_components, len(s))
    components = vt[:num_components] * (s[:num_components, None] / np.sqrt(len(displacements)))
    return components.reshape(num_components, -1, 3) / vertex_weights[None, :, None]


@dataclass(frozen=True)
class AlignedFaces:
    """Everybody's faces on one mean head.

    Attributes:
        template: symmetric mean head in head space, m. [468, 3]
        mirror: index of each vertex's mirror image. [468]
        faces: aligned faces of every clip, m. [N, 468, 3] each
        rest: face at rest of every clip: the mean of its most closed mouths, m. [468, 3] each
    """

    template: NDArray
    mirror: NDArray
    faces: dict[str, NDArray]
    rest: dict[str, NDArray]


def build_head_model(landmarks_by_clip: Mapping[str, NDArray]) -> HeadModel:
    """Build the head model from landmarks of many clips.

    Args:
        landmarks_by_clip: landmarks of each clip, px, NaN rows without a face; clips with fewer
            than ``MIN_FRAMES_PER_CLIP`` faces are left out. [N, 478, 3] each
    """
    triangles = load_mesh_triangles()
    graph = build_graph_laplacian(triangles, MESH_VERTEX_COUNT)
    people = _align_people(_sample_faces(landmarks_by_clip))
    template = people.template
    jaw_weight = np.clip(solve_harmonic_field(graph, JAW_DRIVEN_VERTICES, JAW_FIXED_VERTICES), 0, 1)
    # The hinge lies before the ears, a little below the eyes' height of vertices 234 and 454.
    hinge = np.array([0, template[[234, 454], 1].mean() - 0.005, template[[234, 454], 2].mean()])
    shape_basis = _build_shape_basis(people, graph)
    mouth, upper = _build_expression_bases(people, jaw_weight, hinge)
    return _add_mouth_and_neck(
        template, shape_basis, np.concatenate([mouth, upper]), jaw_weight, hinge, triangles,
        len(mouth),
    )  # fmt: skip


def _sample_faces(landmarks_by_clip: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Pick frames spread over each clip, y up and z towards the camera. [N, 468, 3] each"""
    samples = {}
    for name, landmarks in landmarks_by_clip.items():
        detected = np.isfinite(landmarks[:, 0, 0])
        faces = landmarks[detected][:, :MESH_VERTEX_COUNT] * np.array([1, -1, -1])
        if len(faces) < MIN_FRAMES_PER_CLIP:
            continue
        rows = np.unique(np.linspace(0, len(faces) - 1, MAX_FRAMES_PER_CLIP).astype(int))
        samples[name] = faces[rows].astype(np.float64)
    return samples


def _align_people(samples: Mapping[str, NDArray]) -> AlignedFaces:
    """Find the mean head and bring all faces onto it, in turns (generalized Procrustes)."""
    # Speech moves the lower face, so the rest of it decides the pose.
    weights = np.full(MESH_VERTEX_COUNT, MOVING_VERTEX_WEIGHT)
    weights[list(SPEECH_RIGID_VERTICES)] = 1.0
    template = np.mean([s[len(s) // 2] - s[len(s) // 2].mean(0) for s in samples.values()], 0)
    for step in range(NUM_ALIGNMENT_ROUNDS):
        rest = _average_closed_faces(_align_all(samples, template, weights))
        # The mean of people, not of frames: long clips count no more than short ones.
        template = np.mean(list(rest.values()), 0)
        # Upright by now up to a common tilt, which symmetry would blur: mirror from then on.
        if step == UPRIGHT_ROUND:
            template = _rotate_upright(template)
        if step > UPRIGHT_ROUND:
            mirror = find_mirror_vertices(template)
            template = (template + template[mirror] * MIRROR_AXES) / 2
        template *= MEAN_INTER_OCULAR_METERS / np.linalg.norm(template[33] - template[263])
    mirror = find_mirror_vertices(template)
    # Head space's origin: at the height of the nose's bridge, between the ears.
    template -= np.array([0, template[168, 1], template[[234, 454], 2].mean()])
    faces = _align_all(samples, template, weights)
    return AlignedFaces(template, mirror, faces, _average_closed_faces(faces))


def _align_all(
    samples: Mapping[str, NDArray], template: NDArray, weights: NDArray
) -> dict[str, NDArray]:
    return {name: align_faces(faces, template, weights) for name, faces in samples.items()}


def _average_closed_faces(faces_by_clip: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Average the sixth of each clip's faces whose lips are closest. [468, 3] each"""
    return {
        name: faces[np.argsort(measure_lip_gap(faces))[: max(3, len(faces) // 6)]].mean(0)
        for name, faces in faces_by_clip.items()
    }


def _build_shape_basis(people: AlignedFaces, graph_laplacian: NDArray) -> NDArray:
    """Principal components of the rest faces, then smooth modes of the surface. [S, 468, 3]"""
    identity = np.stack([rest - people.template for rest in people.rest.values()])
    # Everybody's mirror image is a person, too; half of the components then say something new.
    identity = np.concatenate([identity, _mirror_displacements(identity, people.mirror)])
    components = compute_principal_components(
        identity, np.ones(MESH_VERTEX_COUNT), min(MAX_SHAPE_MODES, len(identity) // 2)
    )
    # The graph's lowest eigenvectors are the smoothest fields on the surface.
    _, modes = np.linalg.eigh(graph_laplacian)
    smooth = modes[:, :NUM_SMOOTH_MODES] * np.sqrt(MESH_VERTEX_COUNT) * SMOOTH_MODE_METERS / 3
    return np.concatenate(
        [components, np.stack([np.outer(m, axis) for m in smooth.T for axis in np.eye(3)])]
    )


def _build_expression_bases(
    people: AlignedFaces, jaw_weight: NDArray, hinge: NDArray
) -> tuple[NDArray, NDArray]:
    """Principal components of the lower face and of the rest. [40, 468, 3], [10, 468, 3]"""
    template = people.template
    residual = np.concatenate(
        [
            _remove_jaw_rotation(faces, people.rest[name], hinge, jaw_weight)
            for name, faces in people.faces.items()
        ]
    )
    residual = np.concatenate([residual, _mirror_displacements(residual, people.mirror)])
    lower = _lower_face_weights(template)
    # Errors at the lips count up to four times as much as those at the cheeks.
    importance = 1 + 3 * np.exp(
        -((np.linalg.norm(template - template[[13, 14]].mean(0), axis=1) / 0.03) ** 2)
    )
    mouth = compute_principal_components(
        residual * lower[None, :, None], importance, NUM_MOUTH_EXPRESSIONS
    )
    upper = compute_principal_components(
        residual * (1 - lower)[None, :, None], np.ones(MESH_VERTEX_COUNT), NUM_UPPER_EXPRESSIONS
    )
    return mouth, upper


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
    return displacements[:, mirror] * MIRROR_AXES


def _lower_face_weights(template: NDArray) -> NDArray:
    """1 on the mouth, chin, jaw and lower cheeks, 0 from the nose upwards, smooth between. [V]"""
    top, bottom = template[5, 1], template[2, 1]  # nose ridge, base of the nose
    ramp = np.clip((top - template[:, 1]) / (top - bottom), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def _remove_jaw_rotation(
    faces: NDArray, rest: NDArray, hinge: NDArray, jaw_weight: NDArray
) -> NDArray:
    """Displacements from rest with the best jaw pitch taken out. [N, V, 3]"""
    # The pitch is the mean angle by which the chin has turned about the hinge.
    chin = list(CHIN_VERTICES)
    arm = rest[chin] - hinge
    moved = faces[:, chin] - hinge
    angle = np.arctan2(moved[..., 1], moved[..., 2]) - np.arctan2(arm[:, 1], arm[:, 2])
    pitch = -np.clip(angle.mean(1), -MAX_JAW_PITCH_RADIANS, MAX_JAW_PITCH_RADIANS)
    rotation = Rotation.from_rotvec(np.stack([pitch, 0 * pitch, 0 * pitch], 1)).as_matrix()
    turned = np.einsum("nab,vb->nva", rotation, rest - hinge) + hinge
    w = jaw_weight[None, :, None]
    displacement = faces - (w * turned + (1 - w) * rest)
    # Skinning turns expressions with the jaw, so they are stored turned back.
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
    combine, shift = _extra_vertices(template)
    vertices = combine @ template + shift
    num_inner, num_skirt = len(UPPER_INNER_LIP), len(LOWER_FACE_OVAL)
    # The skirt follows the identity and neither expressions nor the jaw: necks do not talk.
    moves = np.concatenate([np.ones(MESH_VERTEX_COUNT + num_inner), np.zeros(num_skirt)])
    weight = moves * (combine @ jaw_weight)
    faces = _extend_triangles(template, triangles, num_inner, num_skirt)

    joints = np.stack([np.zeros(3), np.array([0, template[152, 1], 0.0]), hinge])
    regressor = np.stack([_regress_joint(template, joint) for joint in joints])
    regressor = np.concatenate([regressor, np.zeros((3, len(combine) - MESH_VERTEX_COUNT))], 1)
    extend = np.einsum("wv,bvd->bwd", combine, shape_basis)
    express = np.einsum("wv,bvd->bwd", combine, expression_basis) * moves[None, :, None]
    # Every landmark is a vertex: any face around it carries it, with all weight on that corner.
    carriers = np.array([np.nonzero((faces == i).any(1))[0][0] for i in range(MESH_VERTEX_COUNT)])
    corners = faces[carriers] == np.arange(MESH_VERTEX_COUNT)[:, None]
    model = HeadModel(
        name="lite",
        template=vertices.astype(np.float32),
        shape_basis=extend.astype(np.float32),
        expression_basis=express.astype(np.float32),
        pose_basis=None,
        joint_regressor=regressor.astype(np.float32),
        skin_weights=np.stack([1 - weight, 0 * weight, weight], 1).astype(np.float32),
        parents=np.array([-1, 0, 1], np.int32),
        faces=faces,
        uv=np.zeros((len(vertices), 2), np.float32),
        landmark_ids=np.arange(MESH_VERTEX_COUNT, dtype=np.int32),
        landmark_faces=carriers.astype(np.int32),
        landmark_barycentric=corners.astype(np.float32),
        mouth_expressions=mouth_count,
    )
    return _add_cylindrical_uv(model)


def _extra_vertices(template: NDArray) -> tuple[NDArray, NDArray]:
    """All vertices as means of the mesh's [W, 468], and what is added to each, m [W, 3].

    Behind the mesh's own come a row half way between the inner lips, as deep as the teeth, and a
    row outside of the jaw line.
    """
    inner = np.zeros((len(UPPER_INNER_LIP), MESH_VERTEX_COUNT))
    for row, pair in zip(inner, zip(UPPER_INNER_LIP, LOWER_INNER_LIP, strict=True), strict=True):
        row[list(pair)] = 0.5
    oval = list(LOWER_FACE_OVAL)
    skirt = np.eye(MESH_VERTEX_COUNT)[oval]
    combine = np.concatenate([np.eye(MESH_VERTEX_COUNT), inner, skirt])
    shift = np.zeros((len(combine), 3))
    shift[MESH_VERTEX_COUNT : MESH_VERTEX_COUNT + len(inner), 2] = -MOUTH_DEPTH_METERS
    out = template[oval] - template[5]
    out[:, 2] = 0
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    shift[MESH_VERTEX_COUNT + len(inner) :] = out * SKIRT_REACH_METERS
    shift[MESH_VERTEX_COUNT + len(inner) :, 2] -= SKIRT_BACK_METERS
    return combine, shift


def _extend_triangles(
    template: NDArray, triangles: NDArray, num_inner: int, num_skirt: int
) -> NDArray[np.int32]:
    """The mesh's triangles turned outwards, those of the mouth's filling, those of the skirt."""
    normal = np.cross(
        template[triangles[:, 1]] - template[triangles[:, 0]],
        template[triangles[:, 2]] - template[triangles[:, 0]],
    )
    # Outwards from a point inside the head behind the nose.
    middle = template[triangles].mean(1) - np.array([0, template[5, 1], -0.05])
    inwards = (normal * middle).sum(1) < 0
    triangles = np.where(inwards[:, None], triangles[:, ::-1], triangles)
    first = MESH_VERTEX_COUNT
    chain = [78, *range(first, first + num_inner), 308]
    mouth = triangulate_strip([78, *UPPER_INNER_LIP, 308], chain) + triangulate_strip(
        chain, [78, *LOWER_INNER_LIP, 308]
    )
    first += num_inner
    neck = triangulate_strip(list(LOWER_FACE_OVAL), list(range(first, first + num_skirt)))
    return np.concatenate([triangles, np.array(mouth + neck)]).astype(np.int32)


def _regress_joint(template: NDArray, joint: NDArray) -> NDArray:
    """Least-norm weights, summing to 1, that make a joint from the vertices. [V]"""
    system = np.concatenate([template.T, np.ones((1, len(template)))])
    return np.linalg.pinv(system) @ np.append(joint, 1.0)


def _add_cylindrical_uv(model: HeadModel) -> HeadModel:
    """Unroll the head, jaw open so that the mouth's inside has texture of its own."""
    open_jaw = np.array([[UNROLL_JAW_PITCH_RADIANS, 0, 0]], np.float32)
    flat = np.zeros((1, len(model.expression_basis)), np.float32)
    v = model.vertices(np.zeros(len(model.shape_basis)), flat, open_jaw)[0].astype(np.float64)
    around = np.arctan2(v[:, 0], v[:, 2] + CYLINDER_AXIS_BACK_METERS)
    uv = np.stack([around, -v[:, 1] / 0.12], 1)
    low, high = uv.min(0), uv.max(0)
    # A margin of 1 % keeps texels of the border from being cut in half.
    uv = 0.01 + 0.98 * (uv - low) / (high - low)
    return dataclasses.replace(model, uv=uv.astype(np.float32))


def detect_clip_landmarks(path: Path) -> NDArray[np.float32]:
    """Detect the landmarks of every frame in which a face is found. [N, 478, 3] px"""
    with FaceLandmarker() as landmarker:
        found = [landmarker(frame.to_rgb()) for frame in read_frames(path)]
    return np.stack([f for f in found if f is not None] or [np.full((478, 3), np.nan, np.float32)])


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, help="folder of clips with a manifest.json")
    parser.add_argument("-o", "--out", type=Path, required=True, help="file to write")
    options = parser.parse_args(arguments)
    entries = json.loads((options.clips / "manifest.json").read_text())
    usable = [e["file"] for e in entries if e["split"] == "train" and e["weights_may_ship"]]
    landmarks = {name: detect_clip_landmarks(options.clips / name) for name in usable}
    build_head_model(landmarks).save(options.out)


if __name__ == "__main__":
    main()
