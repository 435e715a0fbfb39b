"""Rasterizer backends, one module each.

To add a backend, put a module here that defines ``RASTERIZER``, a function with the signature of
`RasterizerBackend`, and ``BATCH_RASTERIZER``, one with that of `BatchRasterizer`. The file's name
is the name that ``DUBFEW_RASTERISER`` uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubfew.errors import MissingDependencyError
from dubfew.utils.extension_table import ExtensionTable

if TYPE_CHECKING:
    from dubfew.reconstruction.rasterizer.base import BatchRasterizer, RasterizerBackend

# Backends by name. Names are known without importing numba or torch.
RASTERIZER_BACKENDS: ExtensionTable[RasterizerBackend] = ExtensionTable(
    "rasterizer",
    "dubfew.reconstruction.rasterizer.backends",
    "RASTERIZER",
    MissingDependencyError,
)
# The same backends for batches of tensors.
BATCH_RASTERIZERS: ExtensionTable[BatchRasterizer] = ExtensionTable(
    "rasterizer",
    "dubfew.reconstruction.rasterizer.backends",
    "BATCH_RASTERIZER",
    MissingDependencyError,
)
