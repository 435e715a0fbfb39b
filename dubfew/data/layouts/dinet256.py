"""DINet's crop in 416 x 320 px, a mouth of 256 px: see `dubfew.data.layouts._dinet`."""

from __future__ import annotations

from dubfew.data.layouts._base import CropLayout
from dubfew.data.layouts._dinet import place_dinet_crops

LAYOUT = CropLayout(416, 320, place_dinet_crops)
