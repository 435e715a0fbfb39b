"""DINet's crop in 208 x 160 px, a mouth of 128 px: see `dubfew.data.layouts._dinet`."""

from __future__ import annotations

from dubfew.data.layouts._base import CropLayout
from dubfew.data.layouts._dinet import place_dinet_crops

LAYOUT = CropLayout(208, 160, place_dinet_crops)
