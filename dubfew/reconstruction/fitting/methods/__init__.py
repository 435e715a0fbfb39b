"""Tracking methods: what the head is fitted to. One module each.

Every track starts from a fit to landmarks. To add a method, put a module here that defines
``REFINE_TRACK``, a function with the signature of `TrackRefiner` that improves this fit. The
file's name is the name that options and stored tracks use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubfew.errors import DubfewError
from dubfew.utils.extension_table import ExtensionTable

if TYPE_CHECKING:
    from dubfew.reconstruction.fitting.methods._base import TrackRefiner

# Methods by name. Names are known without importing torch.
TRACKING_METHODS: ExtensionTable[TrackRefiner] = ExtensionTable(
    "tracking method", "dubfew.reconstruction.fitting.methods", "REFINE_TRACK", DubfewError
)
