"""The rasterisers against each other: agreement and time per frame.

    python -m benchmarks.raster

PyTorch3D, where it is installed, is the reference; without it only our own kernel is timed. The
mesh is a finely divided octahedron turned into a ball (2,048 faces) and the embedded head.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import machine_line, markdown_table
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.rasterizer.backends import RASTERIZER_BACKENDS
from dubfew.reconstruction.rasterizer.raster import rasterize_frames

FOCAL = 1.5  # per image edge
FRAMES = 8  # of the row that works on several at once


def ball(divisions: int = 4) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A unit sphere of 8 * 4**divisions faces, seen from outside."""
    points = [np.array(p, float) for p in np.concatenate([np.eye(3), -np.eye(3)])]
    faces = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)]
    for _ in range(divisions):
        middle: dict[tuple[int, int], int] = {}

        def between(a: int, b: int, middle: dict = middle) -> int:
            key = (min(a, b), max(a, b))
            if key not in middle:
                middle[key] = len(points)
                points.append((points[a] + points[b]) / np.linalg.norm(points[a] + points[b]))
            return middle[key]

        finer = []
        for a, b, c in faces:
            ab, bc, ca = between(a, b), between(b, c), between(c, a)
            finer += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = finer
    return np.array(points, np.float32), np.array(faces, np.int32)


def projected(points: NDArray, size: int) -> NDArray[np.float32]:
    """Image x, y (px) and depth of points that are scaled to fill most of a square image."""
    centred = (points - points.mean(0)) / np.abs(points - points.mean(0)).max()
    depth = 4.0 - centred[:, 2]
    across = centred[:, :2] * [1, -1] / depth[:, None] * FOCAL * size + size / 2
    return np.concatenate([across, depth[:, None]], 1).astype(np.float32)


def median_ms(work, runs: int) -> float:
    work()  # compiles
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="image edges, px")
    parser.add_argument("--runs", type=int, default=5, help="times are medians of so many")
    options = parser.parse_args()
    reference = importlib.util.find_spec("pytorch3d") is not None
    head = load_head_model()
    rows = []
    for name, (points, faces) in {"ball": ball(), "head": (head.template, head.faces)}.items():
        for size in options.sizes:
            vertices = projected(points, size)
            ours = RASTERIZER_BACKENDS["numba"](vertices, faces, size, size)
            frames = np.repeat(vertices[None], FRAMES, 0)
            row = [
                f"{name}, {len(faces)} faces",
                f"{size} x {size}",
                median_ms(
                    lambda v=vertices, f=faces, s=size: RASTERIZER_BACKENDS["numba"](v, f, s, s),
                    options.runs,
                ),
                median_ms(
                    lambda v=frames, f=faces, s=size: rasterize_frames(v, f, s, s), options.runs
                )
                / FRAMES,
            ]
            if reference:
                theirs = RASTERIZER_BACKENDS["pytorch3d"](vertices, faces, size, size)
                either = ours.coverage | theirs.coverage
                same = either & (ours.face_id == theirs.face_id)
                away = np.abs(ours.barycentric - theirs.barycentric)[same]
                row += [
                    median_ms(
                        lambda v=vertices, f=faces, s=size: RASTERIZER_BACKENDS["pytorch3d"](
                            v, f, s, s
                        ),
                        options.runs,
                    ),
                    f"{100 * same.sum() / either.sum():.4f}",
                    f"{away.max():.1e}",
                ]
            rows.append(row + [None] * (7 - len(row)))
    print(machine_line())
    print(
        markdown_table(
            (
                "mesh",
                "image",
                "numba, ms",
                "numba, frames side by side, ms",
                "PyTorch3D, ms",
                "same face, % of covered px",
                "barycentrics differ by at most",
            ),
            rows,
        )
    )


if __name__ == "__main__":
    main()
