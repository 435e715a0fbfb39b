"""Positions of the parameters and values in the fit's vectors and matrices."""

from __future__ import annotations

# A frame's parameters, [9 + E]: rotation left of the head's own (axis-angle, rad), translation (m),
# jaw rotation (axis-angle, rad), expression coefficients. Rotation and translation together are
# the pose.
ROTATION_COLUMNS, TRANSLATION_COLUMNS, JAW_COLUMNS, EXPRESSION_COLUMNS = (
    slice(0, 3),
    slice(3, 6),
    slice(6, 9),
    slice(9, None),
)
NUM_POSE_PARAMETERS = 6
NUM_RIGID_PARAMETERS = 9  # pose and jaw: the first expression coefficient's column
FRAME_PARAMETER_COLUMNS = {
    "rotation": ROTATION_COLUMNS,
    "translation": TRANSLATION_COLUMNS,
    "jaw": JAW_COLUMNS,
    "expression": EXPRESSION_COLUMNS,
}
# A clip's parameters, [S + 1]: shape coefficients, then the logarithm of the focal length. Where a
# clip is fitted as a whole they follow the frame's in every Jacobian.
SHAPE_COLUMNS, LOG_FOCAL_COLUMN = slice(0, -1), -1
CLIP_PARAMETER_COLUMNS = {"shape": SHAPE_COLUMNS, "focal": LOG_FOCAL_COLUMN}

# Values of a vertex or of a point on the face, [5]: x and y in the picture, unit normal in view
# axes. A Jacobian of a pixel has a column for each.
POSITION_VALUES, NORMAL_VALUES = slice(0, 2), slice(2, 5)
VALUES_PER_VERTEX = 5
