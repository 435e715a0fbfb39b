"""Finer meshes as linear maps of coarse vertices, made once and applied to every frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, identity, vstack

from dubfew.synthetic.parts import MeshPart


def subdivide_mesh(
    faces: NDArray, num_vertices: int, *, smooth: bool
) -> tuple[csr_matrix, NDArray[np.int32]]:
    """Split every triangle into four.

    Old vertices stay where they are, so landmarks keep their places. A new vertex lies on the
    middle of its edge, or, with ``smooth``, where the butterfly scheme puts it: on the curved
    surface that the neighbouring vertices suggest.

    Args:
        faces: of a manifold mesh, borders allowed. [F, 3]
        num_vertices: number of vertices V.
        smooth: curved instead of flat.

    Returns:
        The map [V + edges, V] of old vertices to new ones, and the new faces [4F, 3].

    Source: Dyn, Levin and Gregory 1990, A butterfly subdivision scheme (w = 1/16); four-point
    scheme on borders.
    """
    opposite: dict[tuple[int, int], list[int]] = {}
    for a, b, c in faces.tolist():
        for i, j, k in ((a, b, c), (b, c, a), (c, a, b)):
            opposite.setdefault((min(i, j), max(i, j)), []).append(k)
    edges = {edge: index for index, edge in enumerate(opposite)}
    border: dict[int, list[int]] = {}
    for (i, j), wings in opposite.items():
        if len(wings) == 1:
            border.setdefault(i, []).append(j)
            border.setdefault(j, []).append(i)

    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []

    def add_entry(row: int, column: int, value: float) -> None:
        rows.append(row)
        columns.append(column)
        values.append(value)

    for (i, j), row in edges.items():
        add_entry(row, i, 0.5)
        add_entry(row, j, 0.5)
        if not smooth:
            continue
        wings = opposite[i, j]
        if len(wings) == 1:
            for here, there in ((i, j), (j, i)):
                beyond = [n for n in border[here] if n != there]
                if len(beyond) == 1:
                    add_entry(row, here, 1 / 16)
                    add_entry(row, beyond[0], -1 / 16)
            continue
        for wing in wings:
            # The two triangles across this wing's outer edges; where one is missing its share
            # goes back to the edge, so that rows sum to one.
            for end in (i, j):
                tips = [
                    tip for tip in opposite[min(wing, end), max(wing, end)] if tip not in (i, j)
                ]
                if tips:
                    add_entry(row, wing, 1 / 16)
                    add_entry(row, tips[0], -1 / 16)
    new = csr_matrix((values, (rows, columns)), shape=(len(edges), num_vertices))

    def midpoint_index(i: int, j: int) -> int:
        return num_vertices + edges[min(i, j), max(i, j)]

    split = []
    for a, b, c in faces.tolist():
        ab, bc, ca = midpoint_index(a, b), midpoint_index(b, c), midpoint_index(c, a)
        split += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return vstack([identity(num_vertices), new]).tocsr(), np.array(split, np.int32)


def subdivide_part(part: MeshPart) -> MeshPart:
    """The part with four times the triangles: position curved, everything else flat."""
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
