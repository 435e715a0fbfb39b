"""DINet at the paper's size.

| renderer | crop         | frames | references | parameters |
|----------|--------------|--------|------------|------------|
| dinet    | 320 x 416 px | any    | 5          | 19.2 M     |
"""

from __future__ import annotations

from dubfew.prior.renderers._base import RendererEntry
from dubfew.prior.renderers._dinet import DINet, DINetConfig

RENDERER = RendererEntry(
    DINet,
    DINetConfig(),
    recipe="dinet",
    tiny={"shrink": 4, "narrow": 8, "sound": "ctc29_espeak"},
)
