"""Eyes: balls behind the holes that the head model has there, lids that close, and irises.

A patch of mesh fills each hole. Its rim hangs on the lids, its middle lies on the eyeball.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from dubfew.synthetic.parts import EYE_TILE, NUM_FACE_VERTICES, MeshPart, grid_faces, make_part

# MediaPipe's landmarks around the eyes. Rings run from the outer corner over the lower lid to the
# inner corner and back: at position 4 is the lower lid's middle, at 8 the inner corner, at 12 the
# upper lid's middle.
IMAGE_LEFT_EYE_RING = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
IMAGE_RIGHT_EYE_RING = (
    263,
    249,
    390,
    373,
    374,
    380,
    381,
    382,
    362,
    398,
    384,
    385,
    386,
    387,
    388,
    466,
)
EYE_RINGS = (IMAGE_LEFT_EYE_RING, IMAGE_RIGHT_EYE_RING)
# Landmarks of each upper lid and, in the same order, those below them on the lower lid.
_LID_PAIRS = (
    ((246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155)),
    ((466, 388, 387, 386, 385, 384, 398), (249, 390, 373, 374, 380, 381, 382)),
)
# Rows of skin above the lids and how far they follow: the crease about half, the brow's lower edge
# hardly. Image left and right in turns.
_UPPER_LID_SKIN = (
    ((247, 30, 29, 27, 28, 56, 190), 0.55),
    ((467, 260, 259, 257, 258, 286, 414), 0.55),
    ((113, 225, 224, 223, 222, 221, 189), 0.12),
    ((342, 445, 444, 443, 442, 441, 413), 0.12),
)
# Radius of an eyeball: adults' are 12 to 12.5 mm.
EYEBALL_RADIUS_METERS = 0.0122
# Radii of iris and pupil over the eyeball's: 5.9 and 2.3 mm.
IRIS_RADIUS_FRACTION, PUPIL_RADIUS_FRACTION = 0.485, 0.19
# Rings of vertices of a patch, its middle included: enough for a round ball.
NUM_PATCH_RINGS = 7
# Depth of a patch's rim behind the lids' edge: lids are that thick.
LID_INSET_METERS = 0.0012
# Widest distance of a patch from the ball's axis, over the radius: beyond it the ball turns away.
MAX_BALL_FRACTION = 0.93
# How far the closed lids are apart, negative: they touch and do not cross. Also how far the lower
# lid rises.
LID_TOUCH_METERS = 0.0006
# How far the upper lid stands out while it is half closed: it runs over the cornea.
LID_BULGE_METERS = 0.0016


@dataclass(frozen=True)
class EyeballPair:
    """The two eyeballs of a face at rest.

    Attributes:
        centers: centers of the balls, the one on the image's left first, head space, m. [2, 3]
    """

    centers: NDArray[np.float64]


def fit_eyeballs(face: NDArray) -> EyeballPair:
    """Fit the eyeballs of a face at rest [468, 3]: their front lies between the lids."""
    centers = []
    for ring in EYE_RINGS:
        lids = face[list(ring)]
        middle = (lids.min(0) + lids.max(0)) / 2
        upper, lower = lids[12], lids[4]
        # The ball's front is half a millimeter before the patch's rim: it bulges between the lids.
        front = (upper[2] + lower[2]) / 2 - LID_INSET_METERS + 0.0006
        centers.append(
            [middle[0], (upper[1] + lower[1]) / 2 + 0.0004, front - EYEBALL_RADIUS_METERS]
        )
    return EyeballPair(np.array(centers))


def build_eye_patches() -> list[MeshPart]:
    """Build a mesh for each eye that hangs on the lids alone.

    `project_eye_patches` puts its middle onto the ball, frame by frame.
    """
    parts = []
    for index, ring in enumerate(EYE_RINGS):
        count = len(ring)
        follow = np.zeros((NUM_PATCH_RINGS * count, NUM_FACE_VERTICES))
        shade = np.zeros(NUM_PATCH_RINGS * count)
        # From the rim, which is the lids' ring, to its middle.
        for row, share in enumerate(np.linspace(1.0, 0.0, NUM_PATCH_RINGS)):
            rows = np.arange(row * count, (row + 1) * count)
            follow[rows, list(ring)] += share
            follow[np.ix_(rows, np.array(ring))] += (1 - share) / count
            # Lids and lashes shade the ball, the upper lid most.
            upper = np.clip(np.sin(np.arange(count) / count * 2 * np.pi + np.pi), 0, 1)
            shade[rows] = 1 - (0.42 + 0.33 * upper) * max(0.0, share - 0.45) / 0.55
        tint = np.repeat(shade[:, None], 3, 1) ** np.array([0.85, 1.0, 1.0])
        parts.append(
            make_part(
                grid_faces(NUM_PATCH_RINGS, count, closed=True, flip=index == 1),
                np.zeros((NUM_PATCH_RINGS * count, 2)),
                face_weights=csr_matrix(follow),
                tint=tint,
                gloss=2.2,
            )
        )
    return parts


def project_eye_patches(
    positions: NDArray,  # [2, K, 3]
    eyeballs: EyeballPair,
    gaze: NDArray,  # [2]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lay the patches of one frame, with K vertices each, onto the balls.

    Args:
        positions: places as the lids alone have them, head space, m. [2, K, 3]
        eyeballs: eyeballs of this person.
        gaze: direction from straight ahead, right and up, rad. [2]

    Returns:
        Positions [2, K, 3] and atlas coordinates [2, K, 2].
    """
    offset = positions[..., :2] - eyeballs.centers[:, None, :2]
    squared = np.minimum((offset**2).sum(-1), (MAX_BALL_FRACTION * EYEBALL_RADIUS_METERS) ** 2)
    ball = eyeballs.centers[:, None, 2] + np.sqrt(EYEBALL_RADIUS_METERS**2 - squared)
    # The rim keeps the lids' depth; it goes over to the ball's within the first rings. The ball
    # never comes more than 4 mm before the lids: where they close, the patch goes with them.
    count = len(IMAGE_LEFT_EYE_RING)
    share = np.repeat(np.linspace(1.0, 0.0, NUM_PATCH_RINGS), count)[None] ** 3
    shaped = positions.copy()
    shaped[..., 2] = share * (positions[..., 2] - LID_INSET_METERS) + (1 - share) * np.minimum(
        ball, positions[..., 2] + 0.004
    )
    left, top, width, height = EYE_TILE
    # The tile spans two ball radii each way from the pupil, so that no gaze leaves it.
    moved = (offset - np.sin(gaze) * EYEBALL_RADIUS_METERS) / (2 * EYEBALL_RADIUS_METERS)
    uv = np.stack(
        [left + width * (0.5 + moved[..., 0] / 2), top + height * (0.5 - moved[..., 1] / 2)], -1
    )
    low = np.array([left + 1.0, top + 1.0])
    high = np.array([left + width - 1.0, top + height - 1.0])
    return shaped.astype(np.float32), np.clip(uv, low, high).astype(np.float32)


def close_eyelids(face: NDArray, amount: NDArray) -> NDArray[np.float32]:
    """Move the upper lids down onto the lower ones.

    Args:
        face: live faces, head space, m. [N, 468, 3]
        amount: 0 leaves the lids as they are, 1 closes them. [N]

    Returns:
        Faces with their lids moved, m. [N, 468, 3]
    """
    closed = face.copy()
    for side, (upper, lower) in enumerate(_LID_PAIRS):
        gap = face[:, lower] - face[:, upper]
        gap[..., 1] += LID_TOUCH_METERS
        closed[:, upper] += amount[:, None, None] * gap
        # Half way down the lid runs over the ball's front.
        closed[:, upper, 2] += (LID_BULGE_METERS * np.sin(np.pi * np.clip(amount, 0, 1)))[:, None]
        closed[:, lower, 1] += (LID_TOUCH_METERS * amount)[:, None]
        for skin, share in _UPPER_LID_SKIN[side::2]:
            closed[:, skin] += share * amount[:, None, None] * gap
    return closed.astype(np.float32)


def compute_iris_landmarks(
    eyeballs: EyeballPair, gaze: NDArray, radius: float
) -> NDArray[np.float64]:
    """Compute MediaPipe's ten iris landmarks, 468 to 477.

    Args:
        eyeballs: eyeballs of this person.
        gaze: direction from straight ahead, right and up, rad. [2]
        radius: radius of an iris, m.

    Returns:
        For each eye, the image's left first: center, right, top, left and bottom, head space, m.
        [10, 3]
    """
    points = []
    for center in eyeballs.centers:
        middle = center + EYEBALL_RADIUS_METERS * np.array(
            [np.sin(gaze[0]), np.sin(gaze[1]), np.cos(gaze[0]) * np.cos(gaze[1])]
        )
        ring = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]) * radius
        points.append(middle + ring)
    return np.concatenate(points)
