"""Names for indices of MediaPipe's face mesh.

Lip rings run from the subject's right mouth corner (left in the image) along the upper lip to the
other corner, and back along the lower lip.
"""

from __future__ import annotations

# Outer edge of the lips. [20]
OUTER_LIPS = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146,
)  # fmt: skip
# Inner edge of the lips, which encloses the opening of the mouth. [20]
INNER_LIPS = (
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95,
)  # fmt: skip
# Jaw line from below one ear over the chin (152) to the other side.
JAW_LINE = (172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397)
# Middle of the chin, from below the lower lip downwards.
CHIN_LANDMARKS = (18, 200, 199, 175)
# Cheeks beside the mouth, right and left in turns.
CHEEK_LANDMARKS = (205, 425, 187, 411, 214, 434)
# Points of `MouthMotion`. Their number and order are part of stored files. [63]
MOUTH_POINTS = OUTER_LIPS + INNER_LIPS + JAW_LINE + CHIN_LANDMARKS + CHEEK_LANDMARKS
# Outer eye corners. Their distance, the inter-ocular distance, is dubfew's unit of length.
EYE_CORNERS = (33, 263)
