"""Rasterization: which face of a projected mesh a pixel shows, and where on this face.

No gradients pass through here. For gradients, ``torch_gradients.py`` computes the barycentrics
again from the face ids, in the same way for every backend.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from numpy.typing import NDArray

from dubfew.errors import MissingDependencyError
from dubfew.reconstruction.rasterizer.backends import RASTERIZER_BACKENDS
from dubfew.reconstruction.rasterizer.base import RasterizedMesh

# Environment variable with the name of the backend that everything in this process uses.
RASTERIZER_ENV_VARIABLE = "DUBFEW_RASTERISER"
# It needs no GPU, and no package that is not installed anyway.
DEFAULT_RASTERIZER = "numba"


def rasterize_mesh(
    vertices: NDArray,  # [V, 3]
    faces: NDArray,  # [F, 3]
    height: int,
    width: int,
    *,
    left: int = 0,
    top: int = 0,
    cull_backfaces: bool = False,
    backend: str | None = None,
) -> RasterizedMesh:
    """Rasterize a mesh that is already projected into the image.

    A face covers a pixel when the pixel's center (at +0.5) lies inside; on a shared edge exactly
    one of the two neighbors covers it. The nearest face wins, the lower index on a tie. A face
    with a corner behind the camera (z <= 0) or with a corner that is not finite is left out.

    Args:
        vertices: x px, y px, depth z > 0 in any unit. [V, 3]
        faces: corner indices. [F, 3]
        height: height of the window, px.
        width: width of the window, px.
        left: image column of the window's first column; the result equals that window cut
            out of the whole image's raster, bit for bit.
        top: image row of the window's first row.
        cull_backfaces: leave out faces whose corners run clockwise on the screen (back faces).
        backend: an entry of ``RASTERIZER_BACKENDS``; default: the value of ``DUBFEW_RASTERISER``,
            else "numba".

    Returns:
        The window's raster, [height, width].

    Raises:
        ShapeError: Shapes are wrong, or a face names a vertex that does not exist.
        MissingDependencyError: The backend is not installed, or its name is unknown.
    """
    rasterize = RASTERIZER_BACKENDS[choose_rasterizer(backend)]
    return rasterize(
        vertices, faces, height, width, left=left, top=top, cull_backfaces=cull_backfaces
    )


def choose_rasterizer(backend: str | None = None) -> str:
    """Return the name of the backend: the given one, that of ``DUBFEW_RASTERISER``, or "numba".

    Args:
        backend: an entry of ``RASTERIZER_BACKENDS``, or None.

    Raises:
        MissingDependencyError: There is no such backend.
    """
    # The argument counts more than the environment.
    name = backend or os.environ.get(RASTERIZER_ENV_VARIABLE) or DEFAULT_RASTERIZER
    if name not in RASTERIZER_BACKENDS:
        raise MissingDependencyError(
            f"no rasterizer {name!r}: {RASTERIZER_ENV_VARIABLE} may be "
            f"{' or '.join(RASTERIZER_BACKENDS)}"
        )
    return name


def rasterize_frames(
    vertices: NDArray,  # [N, V, 3]
    faces: NDArray,  # [F, 3]
    height: int,
    width: int,
    *,
    left: int = 0,
    top: int = 0,
    cull_backfaces: bool = False,
    num_threads: int | None = None,
) -> list[RasterizedMesh]:
    """Rasterize every frame of a moving mesh, several frames at a time.

    Args:
        vertices: projected vertices of N frames, as in `rasterize_mesh`. [N, V, 3]
        faces: corner indices. [F, 3]
        height: height of the window, px.
        width: width of the window, px.
        left: image column of the window's first column.
        top: image row of the window's first row.
        cull_backfaces: leave out faces whose corners run clockwise on the screen (back faces).
        num_threads: threads; default: one per CPU core. The kernel releases the GIL.

    Returns:
        One raster per frame.

    Raises:
        ShapeError: Shapes are wrong, or a face names a vertex that does not exist.
        MissingDependencyError: The backend is not installed, or its name is unknown.
    """

    def rasterize_frame(frame: NDArray) -> RasterizedMesh:
        return rasterize_mesh(
            frame, faces, height, width, left=left, top=top, cull_backfaces=cull_backfaces
        )

    with ThreadPoolExecutor(num_threads or os.cpu_count() or 1) as pool:
        return list(pool.map(rasterize_frame, vertices))
