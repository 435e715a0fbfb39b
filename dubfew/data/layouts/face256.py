"""The whole face in 256 x 256 px, its mouth region blanked: the crop of ``stylesync``.

The square encloses the head with its jaw closed and open. The mask is a region of the head's
surface, from below the nose to the chin and the cheeks, rasterized with the jaw closed, half open
and open: neither the crop nor the mask tells how far the mouth is open.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), section 3.2 and appendix A.2.
"""

from __future__ import annotations

from dubfew.data.layouts._base import CropLayout, Placement
from dubfew.reconstruction.crop import FaceRegions
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track


def _place(track: Track, head: HeadModel, regions: FaceRegions) -> Placement:
    return regions.box, regions.hull, regions.hull


LAYOUT = CropLayout(256, 256, _place, mask="texture")
