"""Speaking style of a head's parameters: one scale and one shift for each of jaw and expression.

Predicted motion is solved for jaw and expression on the actor's own head, each parameter is scaled
and shifted, and the head is posed again. `dubfew.speech.style` works on the mouth's points instead,
with a matrix over their main directions.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), section 3.6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ShapeError
from dubfew.motion.extraction import estimate_rest_points, mouth_points_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.motion.retargeting import pose_mouth, solve_mouth
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.track import Track
from dubfew.utils.arrays import FloatArray

# Seconds of footage that count as much as the assumption that a parameter moves as predicted. The
# paper starts from a scale of 1 and a shift of 0 and stops early; it gives no numbers. With 4 s,
# ten seconds of footage decide five sevenths.
PRIOR_SECONDS = 4.0
# Parameters of the jaw: an axis-angle vector. Those of the expression follow them.
NUM_JAW_PARAMETERS = 3


@dataclass(frozen=True)
class ParameterStyle:
    """An actor's scale and shift of each parameter of jaw and expression.

    Attributes:
        head: name of the head model that the parameters are of.
        shape: the actor's identity coefficients. [S]
        rest: the actor's closed, relaxed mouth points, in inter-ocular distances. [P, 3]
        scale: factor of each parameter: three of the jaw, then the expressions of the mouth. [K]
        shift: what is added after that; rad for the jaw. [K]

    Raises:
        ShapeError: There are not as many shifts as scales, or fewer than the jaw has.
    """

    head: str
    shape: FloatArray
    rest: FloatArray
    scale: FloatArray
    shift: FloatArray

    def __post_init__(self) -> None:
        if self.scale.shape != self.shift.shape or self.scale.size < NUM_JAW_PARAMETERS:
            raise ShapeError(
                f"{self.scale.shape} scales and {self.shift.shape} shifts of parameters: expected "
                f"one of each for {NUM_JAW_PARAMETERS} or more parameters"
            )

    def apply(self, motion: MouthMotion) -> MouthMotion:
        """Scale and shift the parameters that a motion has on the actor's head.

        Only the part of the motion that the parameters describe changes; the rest stays.

        Args:
            motion: motion as the speech model predicts it.

        Raises:
            AssetError: The head model does not exist any more.
        """
        head = load_head_model(self.head)
        solved = solve_parameters(head, self.shape, self.rest, motion)
        before = self._pose(head, solved)
        after = self._pose(head, solved * self.scale + self.shift)
        return MouthMotion(
            (motion.displacement + (after - before)).astype(np.float32), motion.times
        )

    def _pose(self, head: HeadModel, parameters: NDArray) -> NDArray:
        """Compute the mouth points of rows of parameters, in inter-ocular distances. [N, P, 3]"""
        jaw, expression = np.split(parameters, [NUM_JAW_PARAMETERS], axis=1)
        return pose_mouth(head, self.shape, jaw, expression)


def solve_parameters(
    head: HeadModel,
    shape: NDArray,  # [S]
    rest: NDArray,  # [P, 3]
    motion: MouthMotion,
) -> NDArray[np.float64]:  # [N, K]
    """Solve for jaw and expression of a motion on a head whose upper face is at rest.

    Args:
        head: head model.
        shape: identity coefficients. [S]
        rest: closed, relaxed mouth points, in inter-ocular distances. [P, 3]
        motion: displacements from there.

    Returns:
        Three parameters of the jaw, then the expressions of the mouth. [N, K]
    """
    count = len(motion)
    expression = np.zeros((count, len(head.expression_basis)))
    jaw, solved = solve_mouth(
        head, shape, np.zeros((count, NUM_JAW_PARAMETERS)), expression, rest, motion
    )
    return np.concatenate([jaw, solved[:, : head.mouth_expressions]], 1)


def fit_parameter_style(predicted: MouthMotion, track: Track, head: HeadModel) -> ParameterStyle:
    """Fit scales and shifts to an actor's tracked parameters.

    Least squares for each parameter by itself, drawn towards a scale of 1 and a shift of 0. The
    paper descends by gradient from there; the minimum is known in closed form.

    Args:
        predicted: predicted motion in step with the footage, one row for each frame of the track.
        track: the actor's footage.
        head: head model that it was tracked with.

    Raises:
        ShapeError: There is not one row of motion for each frame.
        NoFaceError: No frame shows the face.
    """
    if len(predicted) != len(track):
        raise ShapeError(f"{len(predicted)} rows of mouth motion for {len(track)} frames")
    seen = np.flatnonzero(track.usable if track.usable.any() else track.valid)
    shape = track.shape.astype(np.float32)
    rest = estimate_rest_points(mouth_points_from_track(track, head)[seen])
    rows = MouthMotion(predicted.displacement[seen], predicted.times[seen])
    x = solve_parameters(head, shape, rest, rows)
    y = np.concatenate([track.jaw, track.expression[:, : head.mouth_expressions]], 1)[seen]
    scale, shift = fit_scale_and_shift(x, y.astype(np.float64), float(track.fps) * PRIOR_SECONDS)
    return ParameterStyle(
        track.head,
        shape,
        rest.astype(np.float32),
        scale.astype(np.float32),
        shift.astype(np.float32),
    )


def fit_scale_and_shift(
    x: NDArray[np.float64],  # [N, K]
    y: NDArray[np.float64],  # [N, K]
    prior_rows: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # [K], [K]
    """Regress each column of y on that of x, drawn towards y = x with the weight of some rows.

    Args:
        x: predictions. [N, K]
        y: observations. [N, K]
        prior_rows: rows of perfect predictions, spread as those of x are, that are added.

    Returns:
        Scale and shift of each column.

    Example:
        >>> x = np.arange(5.0)[:, None]
        >>> fit_scale_and_shift(x, 2 * x + 1, 0)
        (array([2.]), array([1.]))
    """
    center = x.mean(axis=0)
    spread = x - center
    variance = (spread**2).mean(axis=0)
    covariance = (spread * (y - y.mean(axis=0))).mean(axis=0)
    trust = len(x) / (len(x) + prior_rows)
    # A parameter that the prediction never moves has no scale; its shift is known.
    slope = np.where(variance > 0, covariance / np.where(variance > 0, variance, 1), 1.0)
    scale = 1 + trust * (slope - 1)
    # The added rows have y = x: around their mean the line passes between both.
    shift = center + trust * (y.mean(axis=0) - center) - scale * center
    return scale, shift
