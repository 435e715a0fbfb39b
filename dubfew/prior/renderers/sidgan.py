"""SIDGAN's generator at the paper's size, for a GPU.

| renderer | crop   | frames | texture | parameters |
|----------|--------|--------|---------|------------|
| sidgan   | 512 px | 1      | none    | 37.6 M     |
"""

from __future__ import annotations

from dubfew.prior.renderers._base import RendererEntry
from dubfew.prior.renderers._sidgan import SidganConfig, SidganGenerator

RENDERER = RendererEntry(
    SidganGenerator,
    SidganConfig(),
    recipe="sidgan",
    tiny={"shrink": 8, "narrow": 16},
)
