"""Faces between two rows of vertices."""

from __future__ import annotations


def triangulate_strip(upper: list[int], lower: list[int]) -> list[list[int]]:
    """Triangles between two chains of equal length; shared ends give no empty triangle."""
    result = []
    for a, b, c, d in zip(upper, upper[1:], lower, lower[1:], strict=False):
        if a != c:
            result.append([a, c, d])
        if b != d:
            result.append([a, d, b])
    return result
