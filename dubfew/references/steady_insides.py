"""Keep what is seen between the lips for as long as they are open.

References of two kinds may be equally near to an open mouth: some show teeth, and some a dark
hollow or closed lips, behind which a cavity is drawn. Which is nearer changes from frame to frame,
and teeth come and go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.references.footage import Footage
from dubfew.references.teeth import TEETH_SHARE, look_at_teeth
from dubfew.utils.arrays import FloatArray
from dubfew.utils.cheapest_path import find_cheapest_path
from dubfew.utils.growable_array import map_row_blocks

# Share of the opening from which a reference counts as one with teeth. Less than `TEETH_SHARE`:
# blended with dark ones, a few teeth look like glass.
SOME_TEETH_SHARE = TEETH_SHARE / 4
# What a change of the kind costs in an open mouth, in units of the distances between mouths. Where
# both kinds are about as near they differ by 0.004 a frame, and an opening lasts some ten frames.
CHANGE_COST = 0.03
# Gap between the lips at which a change costs its whole price, in inter-ocular distances: in a
# smaller one hardly anything of the inside is seen.
OPEN_GAP = 0.05
# How much farther than the nearest references those of the held kind may be. Farther ones show the
# head from another side, and what lies beside their jaw appears under the chin.
MAX_FARTHER = 0.01


@dataclass(frozen=True)
class MouthInsides:
    """What is seen between the lips of the references, and how far those of the frames are open.

    Attributes:
        has_teeth: True for references that show teeth. [R]
        gaps: gap between the lips in each frame, inter-ocular distances. [N]
    """

    has_teeth: NDArray[np.bool_]
    gaps: FloatArray


def find_teeth(footage: Footage, head: HeadModel) -> NDArray[np.bool_]:  # [R]
    """Tell which windows of an actor's footage show teeth.

    Args:
        footage: the actor's windows.
        head: the footage's head model.
    """
    rows = np.arange(len(footage.images))
    rings = footage.project_points(rows, head.inner_lip_matrix)
    shares = [look_at_teeth(footage.images[row], rings[row])[0] for row in rows]
    return np.array(shares) > SOME_TEETH_SHARE


def hold_insides(
    distances: FloatArray,  # [N, R]
    insides: MouthInsides,
    shots: NDArray[np.integer],  # [N]
    count: int,
) -> FloatArray:  # [N, R]
    """Make references of the other kind farther, for as long as the lips stay open.

    For each frame one of the two kinds is chosen, such that the sum of the distances and of what
    the changes cost is least.

    Args:
        distances: from each frame to each reference. [N, R]
        insides: what the references show, and how far the frames' lips are open.
        shots: number of the shot of each frame; between shots the kind is free. [N]
        count: how many references are selected for each frame.

    Returns:
        The distances, greater for references of the other kind; unchanged where the held kind has
        no ``count`` references that are near, and for footage of one kind alone. [N, R]
    """
    # Row 0 does without teeth, row 1 without the others.
    others = np.stack([insides.has_teeth, ~insides.has_teeth])
    if not len(distances) or not others.any(axis=1).all():
        return distances
    price = CHANGE_COST * np.clip(insides.gaps / OPEN_GAP, 0, 1)  # [N]

    def measure_nearest(rows: NDArray, prices: NDArray) -> NDArray:  # [M, 2]
        return (rows[:, None] + prices[:, None, None] * others).min(axis=2)

    # A change happens between two frames: the smaller opening of the two has to hide it.
    change = np.minimum(price[1:], price[:-1])
    change[shots[1:] != shots[:-1]] = 0
    kind = find_cheapest_path(map_row_blocks(measure_nearest, distances, price), change)
    last = min(count, distances.shape[1]) - 1
    nearest = np.partition(distances, last, axis=1)[:, last]
    held = np.partition(np.where(others[kind], np.inf, distances), last, axis=1)[:, last]
    is_near = held - nearest <= MAX_FARTHER
    added = (price * is_near)[:, None] * others[kind]
    return np.asarray(distances + added, distances.dtype)
