"""A head with morph targets: what each blendshape does to the ``lite`` head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.motion.retargeting import pose_mouth, solve_mouth
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.speech.viseme_basis import load_viseme_basis

# Width of the strip in the middle of the face that shapes of one side share, m.
_SIDES_BLEND_M = 0.02


@dataclass(frozen=True)
class MorphHead:
    """A head whose parts move by weights.

    Attributes:
        vertices: head at rest, m, y up and z forward. [V, 3]
        uv: texture coordinates, origin top left. [V, 2]
        faces: triangles. [F, 3]
        names: names of the shapes.
        targets: displacement of every vertex at weight 1 of each shape, m. [S, V, 3]
    """

    vertices: NDArray[np.float32]
    uv: NDArray[np.float32]
    faces: NDArray[np.int32]
    names: tuple[str, ...]
    targets: NDArray[np.float32]


def make_morph_head(
    poses: Mapping[str, Sequence[float]], bases: Mapping[str, str] | None = None
) -> MorphHead:
    """Make the head of some shapes, of the average of all people.

    Args:
        poses: mouth controls of each shape at weight 1, see `MOUTH_CONTROLS`. By name, 5 each
        bases: the other shape on top of which a shape is solved for, by its name, where no mouth
            can make it alone, as lips that close further than closed.
    """
    head, bases = load_head_model(), bases or {}
    names = tuple(poses)
    controls = np.array([poses[name] for name in names], np.float32)
    below = np.array([poses[bases[n]] if n in bases else np.zeros(5) for n in names], np.float32)
    # At rest, then each shape with what is below it, then that alone.
    rows = np.concatenate([np.zeros((1, 5), np.float32), controls + below, below])
    displacement = np.tensordot(rows, load_viseme_basis(), axes=1).astype(np.float32)
    motion = MouthMotion(displacement, np.arange(len(rows), dtype=np.float64))
    shape = np.zeros(len(head.shape_basis))
    still = np.zeros((len(rows), 3)), np.zeros((len(rows), len(head.expression_basis)))
    rest = pose_mouth(head, shape, still[0][:1], still[1][:1])[0]
    jaw, expression = solve_mouth(head, shape, *still, rest, motion)
    posed = head.vertices(shape, expression, jaw)
    count = len(names)
    targets = posed[1 : count + 1] - posed[count + 1 :]
    # The subject's left is where x is positive.
    left = np.clip(0.5 + head.template[:, :1] / _SIDES_BLEND_M, 0, 1)
    for name, target in zip(names, targets, strict=True):
        # The controls know no sides: a shape of one has half of what both together move.
        if name.endswith(("Left", "Right")):
            target *= 2 * (left if name.endswith("Left") else 1 - left)
    return MorphHead(posed[0], head.uv, head.faces, names, targets)
