"""The generator of "Dubbing for Everyone" at the paper's size, for a GPU.

| renderer  | crop   | frames | texture | parameters |
|-----------|--------|--------|---------|------------|
| stylesync | 256 px | 5      | 16      | 74.4 M     |
"""

from __future__ import annotations

from dubfew.prior.renderers._base import RendererEntry
from dubfew.prior.renderers._stylesync import StyleSyncConfig, StyleSyncGenerator

RENDERER = RendererEntry(
    StyleSyncGenerator,
    StyleSyncConfig(),
    recipe="stylesync",
    tiny={"shrink": 4, "narrow": 16, "style": 64, "frames": 3, "references": 3, "mapping": 2},
)
