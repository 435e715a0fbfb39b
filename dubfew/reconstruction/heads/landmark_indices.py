"""Names for MediaPipe's face-mesh indices.

Rings run from the subject's right mouth corner (left in the image) over the upper lip to the
other corner and back along the lower lip.
"""

from __future__ import annotations

OUTER_LIPS = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146,
)  # fmt: skip
INNER_LIPS = (
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95,
)  # fmt: skip
# The jaw line from below one ear over the chin (152) to the other side.
JAW_LINE = (172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397)
CHIN_LANDMARKS = (18, 200, 199, 175)
CHEEK_LANDMARKS = (205, 425, 187, 411, 214, 434)
MOUTH_POINTS = OUTER_LIPS + INNER_LIPS + JAW_LINE + CHIN_LANDMARKS + CHEEK_LANDMARKS  # P = 63
# Outer eye corners: their distance is the unit of length ("inter-ocular distance").
EYE_CORNERS = (33, 263)
