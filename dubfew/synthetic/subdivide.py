"""Finer meshes as linear maps of coarse vertices, made once and applied to every frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, identity, vstack

from dubfew.synthetic.parts import MeshPart

Edge = tuple[int, int]  # the lower vertex number first


def subdivide_mesh(
    faces: NDArray, num_vertices: int, *, smooth: bool
) -> tuple[csr_matrix, NDArray[np.int32]]:
    """Split every triangle into four, as a linear map of the old vertices.

    Old vertices stay where they are, so landmarks keep their places. A new vertex lies on the
    middle of its edge, or, with ``smooth``, where the butterfly scheme puts it: on the curved
    surface that the neighboring vertices suggest.

    Args:
        faces: corner indices of a manifold mesh, which may have borders. [F, 3]
        num_vertices: number of vertices V.
        smooth: put new vertices on a curved surface instead of the flat triangles.

    Returns:
        The map [V + edges, V] of old vertices to new ones, and the new faces [4F, 3].

    Source: Dyn, Levin and Gregory 1990, "A Butterfly Subdivision Scheme for Surface Interpolation
    with Tension Control" (ACM TOG 9), w = 1/16; on borders their four-point scheme of 1987.

    Example:
        >>> matrix, finer = subdivide_mesh(np.array([[0, 1, 2]]), 3, smooth=False)
        >>> matrix.toarray()[3].tolist(), len(finer)
        ([0.5, 0.5, 0.0], 4)
    """
    opposite = _opposite_vertices(faces)
    border = _border_neighbors(opposite)
    # New vertices are numbered by edges, in the order in which the faces name them.
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for row, edge in enumerate(opposite):
        weights = [(edge[0], 0.5), (edge[1], 0.5)]
        if smooth:
            weights += _butterfly_weights(edge, opposite, border)
        for column, value in weights:
            rows.append(row)
            columns.append(column)
            values.append(value)
    new = csr_matrix((values, (rows, columns)), shape=(len(opposite), num_vertices))
    matrix = vstack([identity(num_vertices), new]).tocsr()
    return matrix, _split_faces(faces, {e: num_vertices + k for k, e in enumerate(opposite)})


def _opposite_vertices(faces: NDArray) -> dict[Edge, list[int]]:
    """Map every edge to the third vertices of the one or two triangles that share it."""
    opposite: dict[Edge, list[int]] = {}
    for a, b, c in faces.tolist():
        for i, j, k in ((a, b, c), (b, c, a), (c, a, b)):
            opposite.setdefault(_edge(i, j), []).append(k)
    return opposite


def _border_neighbors(opposite: dict[Edge, list[int]]) -> dict[int, list[int]]:
    """Map every vertex on the mesh's border to its neighbors along the border."""
    border: dict[int, list[int]] = {}
    for (i, j), wings in opposite.items():
        if len(wings) == 1:
            border.setdefault(i, []).append(j)
            border.setdefault(j, []).append(i)
    return border


def _butterfly_weights(
    edge: Edge, opposite: dict[Edge, list[int]], border: dict[int, list[int]]
) -> list[tuple[int, float]]:
    """What the smooth scheme adds to the middle of an edge: vertices and weights that sum to 0."""
    weights: list[tuple[int, float]] = []
    i, j = edge
    wings = opposite[edge]
    if len(wings) == 1:
        # Two more vertices along the border, one beyond each end; none where the border branches.
        for here, there in ((i, j), (j, i)):
            beyond = [n for n in border[here] if n != there]
            if len(beyond) == 1:
                weights += [(here, 1 / 16), (beyond[0], -1 / 16)]
        return weights
    for wing in wings:
        # The two triangles across this wing's outer edges; where one is missing its share
        # goes back to the edge, so that rows sum to one.
        for end in edge:
            tips = [tip for tip in opposite[_edge(wing, end)] if tip not in edge]
            if tips:
                weights += [(wing, 1 / 16), (tips[0], -1 / 16)]
    return weights


def _split_faces(faces: NDArray, middles: dict[Edge, int]) -> NDArray[np.int32]:
    """Four triangles for each one: its three corners, then its middle. [4F, 3]"""
    split = []
    for a, b, c in faces.tolist():
        ab, bc, ca = middles[_edge(a, b)], middles[_edge(b, c)], middles[_edge(c, a)]
        split += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return np.array(split, np.int32)


def _edge(i: int, j: int) -> Edge:
    return min(i, j), max(i, j)


def subdivide_part(part: MeshPart) -> MeshPart:
    """Give a part four times the triangles: positions curved, everything else linear.

    Curved texture coordinates and weights would leave their ranges where they change abruptly.
    """
    curved, faces = subdivide_mesh(part.faces, len(part.rest_offset), smooth=True)
    flat, _ = subdivide_mesh(part.faces, len(part.rest_offset), smooth=False)
    return MeshPart(
        face_weights=(curved @ part.face_weights).tocsr(),
        rest_offset=(curved @ part.rest_offset).astype(np.float32),
        jaw_weight=(flat @ part.jaw_weight).astype(np.float32),
        body_weight=(flat @ part.body_weight).astype(np.float32),
        uv=(flat @ part.uv).astype(np.float32),
        tint=(flat @ part.tint).astype(np.float32),
        gloss=(flat @ part.gloss).astype(np.float32),
        faces=faces,
    )
