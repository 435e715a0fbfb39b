"""Crop layouts: the picture that a painting renderer sees and paints, one module each.

Every module of this package that does not begin with an underscore defines ``LAYOUT``, a
`CropLayout`: the size of the crop, where it lies in the frame, which part of it is blanked and
which part of the painting is shown. Prepared data and the configurations of painting renderers
name a layout by its module. Importing this package imports neither torch nor NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubfew.errors import ArtefactError
from dubfew.utils.extension_table import ExtensionTable
from dubfew.utils.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from dubfew.data.layouts._base import CropGeometry, CropLayout, MaskShape

LAYOUTS: ExtensionTable[CropLayout] = ExtensionTable(
    "crop layout", "dubfew.data.layouts", "LAYOUT", ArtefactError
)

__all__ = ["LAYOUTS", "CropGeometry", "CropLayout", "MaskShape"]

__getattr__ = lazy_exports(
    __name__, {"CropGeometry": "_base", "CropLayout": "_base", "MaskShape": "_base"}
)
