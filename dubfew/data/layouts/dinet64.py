"""DINet's crop in 104 x 80 px, a mouth of 64 px: see `dubfew.data.layouts._dinet`."""

from __future__ import annotations

from dubfew.data.layouts._base import CropLayout
from dubfew.data.layouts._dinet import place_dinet_crops

LAYOUT = CropLayout(104, 80, place_dinet_crops)
