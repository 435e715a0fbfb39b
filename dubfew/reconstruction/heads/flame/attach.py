"""The rest of MediaPipe's landmarks on FLAME, by way of the embedded head.

FLAME's published embedding has eyes, brows, nose and lips: no forehead, cheek, chin or jaw line.
dubfew measures mouths by chin and jaw as well, and a head is held steadier by all 468 points than
by 105. So ``lite``, whose vertices are those points, is laid onto FLAME's mean head: by a
similarity transform and a spline through the points that both know, then onto the surface along
its closest points, smoothed over the mesh so that neighbors stay neighbors. The 105 keep their
published places.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.sparse import csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from dubfew.reconstruction.heads.flame.landmarks import LandmarkEmbedding
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.vertex_normals import compute_vertex_normals

NUM_PROJECTION_ROUNDS = 8
# Triangles tried for the closest point, nearest middles first: they are a few mm wide.
NUM_CANDIDATE_TRIANGLES = 24
# Surfaces that face away from the point's own are another part: a nostril, the back of an ear.
MIN_NORMAL_COSINE = 0.3


def attach_landmarks(
    template: NDArray,  # [V, 3]
    faces: NDArray,  # [F, 3]
    known_landmarks: LandmarkEmbedding,
    lite_head: HeadModel,
) -> LandmarkEmbedding:
    """Place all landmarks of ``lite_head`` on another mean head.

    Args:
        template: the other head's vertices, m. [V, 3]
        faces: its triangles. [F, 3]
        known_landmarks: landmarks whose place on it is given.
        lite_head: the embedded head.

    Returns:
        One row per landmark of ``lite_head``, in its order; those of ``known_landmarks`` unchanged.
    """
    # The landmarks of `lite`, with the triangles between them: its other vertices close the mouth.
    count = len(lite_head.landmark_ids)
    points = np.asarray(lite_head.landmark_matrix() @ lite_head.template, np.float64)
    mesh = lite_head.faces[(lite_head.faces < count).all(1)]
    # Where both heads know a landmark, its place on the new head is the goal.
    row = {int(i): k for k, i in enumerate(lite_head.landmark_ids)}
    rows = np.array([row[int(i)] for i in known_landmarks.ids if int(i) in row])
    chosen = np.array([k for k, i in enumerate(known_landmarks.ids) if int(i) in row])
    goal = known_landmarks.positions(template, faces)[chosen].astype(np.float64)

    # Scale, turn and shift by the known landmarks, then bend space so that they lie on their goals.
    points = align_by_similarity(points[rows], goal, points)
    points = points + RBFInterpolator(points[rows], goal - points[rows], kernel="linear")(points)
    # The skin is the largest piece of the mesh. Eyeballs are pieces of their own, and nearer in
    # places.
    surface = _TriangleSurface(
        template.astype(np.float64), faces[_largest_component_mask(faces, len(template))]
    )
    # Pull the other landmarks to the skin, round by round. Half of each pull is the mean of its
    # neighbors', so that landmarks keep their order where the skin folds, as at the lips.
    free = np.ones(count, bool)
    free[rows] = False
    average = _neighbor_average_matrix(mesh, count)
    for _ in range(NUM_PROJECTION_ROUNDS):
        places, _, _ = surface.closest_points(points, compute_vertex_normals(points, mesh))
        pull = places - points
        pull[rows] = goal - points[rows]
        smooth = average @ pull
        points = points + np.where(free[:, None], (pull + smooth) / 2, pull)
    # Back from triangles of the skin to those of the whole mesh. Known landmarks stay as given.
    _, face, weights = surface.closest_points(points, compute_vertex_normals(points, mesh))
    face = np.nonzero(_largest_component_mask(faces, len(template)))[0][face]
    face[rows], weights[rows] = (
        known_landmarks.face_ids[chosen],
        known_landmarks.barycentric[chosen],
    )
    return LandmarkEmbedding(
        lite_head.landmark_ids, face.astype(np.int32), weights.astype(np.float32)
    )


def align_by_similarity(source: NDArray, target: NDArray, points: NDArray) -> NDArray:
    """Move points as ``source`` [K, 3] goes to ``target`` [K, 3] by rotation, scale and shift.

    Args:
        source: known points. [K, 3]
        target: where they go. [K, 3]
        points: points to move along. [M, 3]

    Returns:
        Moved points. [M, 3]

    Source: Umeyama 1991, eq. 40-42.
    """
    center, goal = source.mean(0), target.mean(0)
    u, s, vt = np.linalg.svd((target - goal).T @ (source - center))
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (s * sign).sum() / ((source - center) ** 2).sum()
    return scale * (points - center) @ ((u * sign) @ vt).T + goal


def _largest_component_mask(faces: NDArray, num_vertices: int) -> NDArray[np.bool_]:
    """Find the triangles of the largest part: eyeballs are parts of their own. [F]"""
    a, b = faces.ravel(), np.roll(faces, -1, 1).ravel()
    graph = csr_matrix((np.ones(len(a)), (a, b)), shape=(num_vertices, num_vertices))
    _, part = connected_components(graph, directed=False)
    return part[faces[:, 0]] == np.bincount(part[faces[:, 0]]).argmax()


def _neighbor_average_matrix(faces: NDArray, num_vertices: int) -> csr_matrix:
    """Make the matrix that averages each vertex's neighbors. [V, V]"""
    a, b = faces.ravel(), np.roll(faces, -1, 1).ravel()
    graph = csr_matrix(
        (np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(num_vertices, num_vertices)
    )
    graph.data[:] = 1
    degree = np.maximum(np.asarray(graph.sum(1)).ravel(), 1)
    return (diags(1 / degree) @ graph).tocsr()


class _TriangleSurface:
    """Triangles, of which the closest points are found."""

    def __init__(self, vertices: NDArray, faces: NDArray) -> None:
        self._corners = vertices[faces]  # [F, 3, 3]
        a, b, c = (self._corners[:, k] for k in range(3))
        normal = np.cross(b - a, c - a)
        self._face_normals = normal / np.maximum(
            np.linalg.norm(normal, axis=1, keepdims=True), 1e-12
        )
        self._center_tree = cKDTree(self._corners.mean(1))

    def closest_points(self, points: NDArray, normals: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Find closest points [P, 3], their triangles [P] and barycentric coordinates [P, 3]."""
        _, tried = self._center_tree.query(points, NUM_CANDIDATE_TRIANGLES)
        weights = closest_barycentric(points[:, None], self._corners[tried])
        places = np.einsum("pck,pckd->pcd", weights, self._corners[tried])
        distance = np.linalg.norm(places - points[:, None], axis=-1)
        facing = np.einsum("pcd,pd->pc", self._face_normals[tried], normals)
        distance = np.where(facing > MIN_NORMAL_COSINE, distance, distance + 1.0)
        best = distance.argmin(1)
        rows = np.arange(len(points))
        return places[rows, best], tried[rows, best], weights[rows, best]


def closest_barycentric(
    points: NDArray,  # [..., 3]
    corners: NDArray,  # [..., 3, 3]
) -> NDArray:  # [..., 3]
    """Compute the barycentric coordinates of a triangle's point that is closest to a point.

    Args:
        points: points. [..., 3]
        corners: corners of a triangle for each point. [..., 3, 3]

    Returns:
        Three weights, 0 or more, that sum up to 1. [..., 3]

    Source: Ericson 2004, Real-Time Collision Detection, sec. 5.1.5, as one minimum over the
    inside and the three edges.
    """
    a, b, c = (corners[..., k, :] for k in range(3))
    best = _plane_barycentric(points, a, b, c)
    # Inside where all weights are positive; elsewhere the closest point lies on an edge.
    ok = (best >= 0).all(-1)
    result = np.where(ok[..., None], best, 0.0)
    nearest = np.where(ok, 0.0, np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        start, end = corners[..., i, :], corners[..., j, :]
        edge = end - start
        # Triangles without an area, which some meshes have, must not divide by zero.
        length = np.maximum((edge**2).sum(-1), 1e-18)
        t = np.clip(((points - start) * edge).sum(-1) / length, 0, 1)
        away = ((start + t[..., None] * edge - points) ** 2).sum(-1)
        closer = ~ok & (away < nearest)
        weights = np.zeros(result.shape)
        weights[..., i], weights[..., j] = 1 - t, t
        result = np.where(closer[..., None], weights, result)
        nearest = np.where(closer, away, nearest)
    return result


def _plane_barycentric(points: NDArray, a: NDArray, b: NDArray, c: NDArray) -> NDArray:
    """Compute barycentric coordinates of a point's projections onto the triangles' planes."""
    ab, ac, ap = b - a, c - a, points - a
    aa, cc, across = (ab * ab).sum(-1), (ac * ac).sum(-1), (ab * ac).sum(-1)
    along, up = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = np.maximum(aa * cc - across**2, 1e-24)
    v, w = (cc * along - across * up) / area, (aa * up - across * along) / area
    return np.stack([1 - v - w, v, w], -1)
