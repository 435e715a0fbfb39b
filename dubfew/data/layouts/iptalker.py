"""DINet's crop in 416 x 320 px with the lower face's hull blanked: the crop of ``iptalker``.

The painting is shown inside the hull of all landmarks of the face, smoothed by a Gaussian.

Source: Liu et al. 2025, "IPTalker" (see docs/iptalker.md), section III: the hull of the source's
lower half is blanked, which fits faces in profile; the paste mask is the hull of all landmarks,
smoothed by a Gaussian (figure 5).
"""

from __future__ import annotations

from dubfew.data.layouts._base import CropLayout, Placement
from dubfew.data.layouts._dinet import place_dinet_crops
from dubfew.reconstruction.crop import FaceRegions, compute_face_hulls
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track


def _place(track: Track, head: HeadModel, regions: FaceRegions) -> Placement:
    boxes, _, _ = place_dinet_crops(track, head, regions)
    return boxes, regions.hull, compute_face_hulls(track, head)


LAYOUT = CropLayout(416, 320, _place, fade="gaussian")
