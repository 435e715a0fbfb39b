"""The whole face in 512 x 512 px, a rectangle below the nose blanked: the crop of ``sidgan``.

The rectangle lies between the cheeks and reaches from below the nose to below the open chin, so
that it says nothing of the mouth.

Source: Muaz et al. 2023, "SIDGAN: High-Resolution Dubbed Video Generation via Shift-Invariant
Learning", section 3.4.
"""

from __future__ import annotations

import numpy as np

from dubfew.data.layouts._base import CropLayout, Placement, rectangle_hulls
from dubfew.reconstruction.crop import FaceRegions
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track


def _place(track: Track, head: HeadModel, regions: FaceRegions) -> Placement:
    low, high = regions.hull.min(1), regions.hull.max(1)
    hulls = rectangle_hulls(np.concatenate([low, high], 1))
    return regions.box, hulls, hulls


LAYOUT = CropLayout(512, 512, _place)
