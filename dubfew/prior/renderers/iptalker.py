"""IPTalker at the crop's size of the paper, which names no widths.

| renderer | crop         | frames | references | parameters |
|----------|--------------|--------|------------|------------|
| iptalker | 320 x 416 px | any    | 5          | 22.2 M     |
"""

from __future__ import annotations

from dubfew.prior.renderers._base import RendererEntry
from dubfew.prior.renderers._iptalker import IPTalker, IPTalkerConfig

RENDERER = RendererEntry(
    IPTalker,
    IPTalkerConfig(),
    recipe="iptalker",
    tiny={"shrink": 4, "narrow": 8, "units": 2, "sound": "ctc29_espeak"},
)
