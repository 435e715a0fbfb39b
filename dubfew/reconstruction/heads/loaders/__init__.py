"""Loaders of head models, one module each.

To add a head model, put a module here that defines ``HEAD_LOADER``, a function without arguments
that returns a `HeadModel`. The file's name is the name that options use. A loader whose files
differ between users gives every edition a name of its own, "<file's name>-<digits>".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dubfew.errors import AssetError
from dubfew.utils.extension_table import ExtensionTable

if TYPE_CHECKING:
    from dubfew.reconstruction.heads.head_model import HeadModel

# Loaders by name. Names are known without importing NumPy.
HEAD_LOADERS: ExtensionTable[Callable[[], HeadModel]] = ExtensionTable(
    "head model", "dubfew.reconstruction.heads.loaders", "HEAD_LOADER", AssetError
)
