"""Triangle strips between two rows of vertices."""

from __future__ import annotations


def triangulate_strip(upper: list[int], lower: list[int]) -> list[list[int]]:
    """Connect two chains of vertices by triangles.

    Args:
        upper: vertex indices of one chain.
        lower: vertex indices of the other chain, of the same length. Both may share vertices:
            triangles without area are left out.

    Returns:
        Corner indices of each triangle. [F, 3]

    Example:
        >>> triangulate_strip([0, 1, 2], [0, 3, 2])
        [[0, 3, 1], [1, 3, 2]]
    """
    triangles = []
    for a, b, c, d in zip(upper, upper[1:], lower, lower[1:], strict=False):
        if a != c:
            triangles.append([a, c, d])
        if b != d:
            triangles.append([a, d, b])
    return triangles
