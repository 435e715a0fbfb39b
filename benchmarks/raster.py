"""Benchmark of the rasterizers: agreement and time per frame.

    python -m benchmarks.raster

PyTorch3D is the reference where it is installed; without it only the numba kernel is timed. The
meshes are a sphere of 2,048 faces, made from an octahedron, and the embedded head.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import machine_line, markdown_table
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.rasterizer.backends import RASTERIZER_BACKENDS
from dubfew.reconstruction.rasterizer.raster import rasterize_frames

# Focal length over the edge of the image, and distance of the mesh in units of its half extent.
FOCAL_PER_EDGE, MESH_DISTANCE = 1.5, 4.0
# Frames of the measurement with several frames at a time.
NUM_PARALLEL_FRAMES = 8


def make_sphere(divisions: int = 4) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Make a unit sphere of 8 * 4**divisions faces that look outwards."""
    points = [np.array(p, float) for p in np.concatenate([np.eye(3), -np.eye(3)])]
    faces = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)]
    for _ in range(divisions):
        middle: dict[tuple[int, int], int] = {}

        def middle_vertex(a: int, b: int, middle: dict = middle) -> int:
            key = (min(a, b), max(a, b))
            if key not in middle:
                middle[key] = len(points)
                points.append((points[a] + points[b]) / np.linalg.norm(points[a] + points[b]))
            return middle[key]

        finer = []
        for a, b, c in faces:
            ab, bc, ca = middle_vertex(a, b), middle_vertex(b, c), middle_vertex(c, a)
            finer += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = finer
    return np.array(points, np.float32), np.array(faces, np.int32)


def project_to_square(points: NDArray, size: int) -> NDArray[np.float32]:
    """Scale points to fill most of a square image; return x, y (px) and depth."""
    centered = (points - points.mean(0)) / np.abs(points - points.mean(0)).max()
    depth = MESH_DISTANCE - centered[:, 2]
    image = centered[:, :2] * [1, -1] / depth[:, None] * FOCAL_PER_EDGE * size + size / 2
    return np.concatenate([image, depth[:, None]], 1).astype(np.float32)


def median_ms(work: Callable[[], object], runs: int) -> float:
    """Time a function: the median of some runs after a first one that compiles, ms."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="image edges, px")
    parser.add_argument("--runs", type=int, default=5, help="runs whose median is taken")
    options = parser.parse_args()
    reference = importlib.util.find_spec("pytorch3d") is not None
    head = load_head_model()
    rows = []
    for name, (points, faces) in {
        "ball": make_sphere(),
        "head": (head.template, head.faces),
    }.items():
        for size in options.sizes:
            vertices = project_to_square(points, size)
            ours = RASTERIZER_BACKENDS["numba"](vertices, faces, size, size)
            frames = np.repeat(vertices[None], NUM_PARALLEL_FRAMES, 0)
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
                / NUM_PARALLEL_FRAMES,
            ]
            if reference:
                theirs = RASTERIZER_BACKENDS["pytorch3d"](vertices, faces, size, size)
                either = ours.coverage | theirs.coverage
                same = either & (ours.face_id == theirs.face_id)
                difference = np.abs(ours.barycentric - theirs.barycentric)[same]
                row += [
                    median_ms(
                        lambda v=vertices, f=faces, s=size: RASTERIZER_BACKENDS["pytorch3d"](
                            v, f, s, s
                        ),
                        options.runs,
                    ),
                    f"{100 * same.sum() / either.sum():.4f}",
                    f"{difference.max():.1e}",
                ]
            rows.append(row + [None] * (7 - len(row)))
    print(machine_line())
    print(
        markdown_table(
            (
                "mesh",
                "image",
                "numba, ms",
                "numba, several frames at a time, ms",
                "PyTorch3D, ms",
                "same face, % of covered px",
                "barycentrics differ by at most",
            ),
            rows,
        )
    )


if __name__ == "__main__":
    main()
