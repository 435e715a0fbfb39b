"""Finer meshes as linear maps of coarse vertices, made once and applied to every frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, identity, vstack

from dubfew.synthetic.parts import Part


def subdivide(faces: NDArray, count: int, *, smooth: bool) -> tuple[csr_matrix, NDArray[np.int32]]:
    """Split every triangle into four.

    Old vertices stay where they are, so landmarks keep their places. A new vertex lies on the
    middle of its edge, or, with ``smooth``, where the butterfly scheme puts it: on the curved
    surface that the neighbouring vertices suggest.

    Args:
        faces: of a manifold mesh, borders allowed. [F, 3]
        count: number of vertices V.
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

    def put(row: int, column: int, value: float) -> None:
        rows.append(row)
        columns.append(column)
        values.append(value)

    for (i, j), row in edges.items():
        put(row, i, 0.5)
        put(row, j, 0.5)
        if not smooth:
            continue
        wings = opposite[i, j]
        if len(wings) == 1:
            for here, there in ((i, j), (j, i)):
                beyond = [n for n in border[here] if n != there]
                if len(beyond) == 1:
                    put(row, here, 1 / 16)
                    put(row, beyond[0], -1 / 16)
            continue
        for wing in wings:
            # The two triangles across this wing's outer edges; where one is missing its share
            # goes back to the edge, so that rows sum to one.
            for end in (i, j):
                tips = [
                    tip for tip in opposite[min(wing, end), max(wing, end)] if tip not in (i, j)
                ]
                if tips:
                    put(row, wing, 1 / 16)
                    put(row, tips[0], -1 / 16)
    new = csr_matrix((values, (rows, columns)), shape=(len(edges), count))

    def middle(i: int, j: int) -> int:
        return count + edges[min(i, j), max(i, j)]

    split = []
    for a, b, c in faces.tolist():
        ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
        split += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return vstack([identity(count), new]).tocsr(), np.array(split, np.int32)


def refined(part: Part) -> Part:
    """The part with four times the triangles: position curved, everything else flat."""
    curved, faces = subdivide(part.faces, len(part.rest), smooth=True)
    flat, _ = subdivide(part.faces, len(part.rest), smooth=False)
    return Part(
        follow=(curved @ part.follow).tocsr(),
        rest=(curved @ part.rest).astype(np.float32),
        jaw=(flat @ part.jaw).astype(np.float32),
        body=(flat @ part.body).astype(np.float32),
        uv=(flat @ part.uv).astype(np.float32),
        tint=(flat @ part.tint).astype(np.float32),
        gloss=(flat @ part.gloss).astype(np.float32),
        faces=faces,
    )
