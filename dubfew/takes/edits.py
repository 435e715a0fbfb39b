"""Edits of mouth motion: offset, scale, hold, close, open, smooth, and another take's stretch.

An edit holds fully between its two times. Outside of them it eases in and out, so that a mouth
never jumps. Without times it holds for the whole take.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from dubfew.errors import DubfewError
from dubfew.motion.mouth_motion import MouthMotion, mouth_point_rows
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, MOUTH_POINTS
from dubfew.utils.arrays import FloatArray
from dubfew.utils.smoothstep import smoothstep

# Time over which an edit eases in and out, s: two frames at 25 frames a second. Lips close in about
# as long; a longer ease would reach into the neighboring sounds.
DEFAULT_EASE_SECONDS = 0.08
# Longest ease, s: longer than a word, it would be an edit of its own.
MAX_EASE_SECONDS = 2.0
# Least gap whose motion says how this mouth opens, inter-ocular distances: the tracker's noise on
# closed lips is below it.
MIN_SHAPE_GAP = 0.01


@dataclass(frozen=True)
class EditRule:
    """Value of an operation.

    Attributes:
        value: name of the value in words, or "" where the operation has none.
        low: smallest value.
        high: largest value.
        default: value when none is given; None where one must be given.
        unit: unit of the value in words.
    """

    value: str
    low: float
    high: float
    default: float | None
    unit: str = ""


# The operations and the values that they take. Names and units are stored in files and must never
# change.
EDIT_RULES: Mapping[str, EditRule] = {
    "offset": EditRule("shift, later is positive", -2.0, 2.0, None, "s"),
    "scale": EditRule("factor of the whole motion", 0.0, 3.0, None),
    # -1 stands for the begin of the stretch.
    "hold": EditRule("time of the pose", -1.0, 86400.0, -1.0, "s"),
    "close": EditRule("", 0.0, 0.0, 0.0),
    "open": EditRule("gap between the lips", 0.0, 0.5, None, "inter-ocular distances"),
    "smooth": EditRule("standard deviation of the filter", 0.001, 1.0, None, "s"),
    "replace": EditRule("shift of the other take, later is positive", -86400.0, 86400.0, 0.0, "s"),
}


@dataclass(frozen=True)
class MotionEdit:
    """One edit of a take.

    Attributes:
        operation: one of `EDIT_RULES`.
        value: see `EDIT_RULES`.
        start: time at which the stretch begins, s; None for the begin of the take.
        end: time at which it ends, s; None for the end of the take.
        ease: time over which the edit eases in before the stretch and out after it, s.
        take: name of the alternate take, for "replace" alone.

    Raises:
        DubfewError: A value is not allowed, or the stretch ends before it begins.
    """

    operation: str
    value: float | None = None
    start: float | None = None
    end: float | None = None
    ease: float = DEFAULT_EASE_SECONDS
    take: str | None = None

    def __post_init__(self) -> None:
        rule = EDIT_RULES.get(self.operation) if isinstance(self.operation, str) else None
        if rule is None:
            raise DubfewError(
                f"no edit {str(self.operation)[:40]!a}: there are {', '.join(EDIT_RULES)}"
            )
        # Edits come from files of other people, too: all numbers are checked here, for any door.
        value = rule.default if self.value is None else self.value
        if value is None:
            raise DubfewError(f"the edit {self.operation} needs a value: its {rule.value}")
        object.__setattr__(self, "value", _check_number(value, rule.low, rule.high, self.operation))
        for name in ("start", "end"):
            if getattr(self, name) is not None:
                _check_number(getattr(self, name), 0.0, 86400.0, f"{self.operation}: {name}")
        _check_number(self.ease, 0.0, MAX_EASE_SECONDS, f"{self.operation}: ease")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise DubfewError(
                f"the edit {self.operation} ends at {self.end:g} s and begins at {self.start:g} s: "
                "give a later end"
            )
        if (self.operation == "replace") != (self.take is not None):
            raise DubfewError("the edit replace and the name of another take need each other")
        if self.operation == "hold" and self.start is None and self.value == -1:
            raise DubfewError("the edit hold needs a time: where its stretch begins, or the pose's")

    def describe(self) -> str:
        """Describe the edit in one line."""
        rule, words = EDIT_RULES[self.operation], [self.operation]
        assert self.value is not None  # set above
        if self.operation == "replace":
            words.append(f"by {self.take}")
            if self.value:
                words.append(f"moved by {self.value:+g} s")
        elif self.operation == "offset":
            words.append(f"{1000 * self.value:+g} ms")
        elif self.operation == "smooth":
            words.append(f"{1000 * self.value:g} ms")
        elif self.operation == "hold":
            words.append(f"the pose of {self.start if self.value == -1 else self.value:g} s")
        elif rule.value:
            words.append(f"{self.value:g}")
        if self.start is not None or self.end is not None:
            end = "the end" if self.end is None else f"{self.end:g} s"
            words.append(f"from {self.start or 0:g} s to {end}")
        return " ".join(words)

    def to_json(self) -> dict[str, Any]:
        """Return the edit in JSON's types, without what is not set."""
        fields = {
            "operation": self.operation,
            "value": self.value,
            "start": self.start,
            "end": self.end,
            "ease": self.ease,
            "take": self.take,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_json(cls, fields: Any) -> MotionEdit:
        """Read the output of `to_json`, which may come from anybody.

        Raises:
            DubfewError: A field is unknown or has a value that is not allowed.
        """
        known = {"operation", "value", "start", "end", "ease", "take"}
        if not isinstance(fields, dict) or "operation" not in fields or fields.keys() - known:
            raise DubfewError(f"{str(fields)[:80]!a} is no edit of mouth motion")
        return cls(**fields)

    def weights(self, times: NDArray[np.float64], ease: float | None = None) -> FloatArray:
        """Compute how far the edit holds at each time: 1 in the stretch, smoothly to 0 around it.

        Args:
            times: s. [N]
            ease: time of the ease, s; None for that of the edit.
        """
        ease = self.ease if ease is None else ease
        start = -math.inf if self.start is None else self.start
        end = math.inf if self.end is None else self.end
        away = np.maximum(np.maximum(start - times, times - end), 0.0)
        share = np.clip(1 - away / ease, 0.0, 1.0) if ease > 0 else (away == 0).astype(float)
        # The motion starts and ends without a change of speed.
        return smoothstep(0, 1, share).astype(np.float32)


def apply_edits(
    motion: MouthMotion, edits: tuple[MotionEdit, ...], alternates: Mapping[str, MouthMotion]
) -> MouthMotion:
    """Apply edits one after another.

    Args:
        motion: motion at evenly spaced times.
        edits: the edits, the first one first.
        alternates: motion of the other takes that "replace" names.

    Returns:
        Motion at the same times.

    Raises:
        DubfewError: An edit names a take that is not there.
    """
    for edit in edits:
        motion = _OPERATIONS[edit.operation](motion, edit, alternates)
    return motion


def opening_direction(motion: MouthMotion) -> FloatArray:
    """Estimate how this mouth opens: displacement of all points per unit of the gap.

    This is the regression of the displacements on the gap through the origin. The gap of the result
    is 1.

    Args:
        motion: motion of one mouth; if it never opens, the inner lips alone move, a quarter up and
            three quarters down.

    Returns:
        Displacement per unit of the gap. [P, 3]
    """
    gap = motion.aperture().astype(np.float64)
    gap = np.where(gap > MIN_SHAPE_GAP, gap, 0.0)
    if gap.any():
        mean = np.einsum("n,npc->pc", gap, motion.displacement) / (gap @ gap)
        size = float(MouthMotion(mean[None].astype(np.float32), np.zeros(1)).aperture()[0])
        return (mean / size).astype(np.float32)
    half = len(INNER_LIPS) // 2
    direction = np.zeros((len(MOUTH_POINTS), 3), np.float32)
    for k in range(1, half):
        top, bottom = mouth_point_rows((INNER_LIPS[k], INNER_LIPS[-k]))
        direction[top, 1], direction[bottom, 1] = 0.25, -0.75
    return direction


def _offset(
    motion: MouthMotion, edit: MotionEdit, alternates: Mapping[str, MouthMotion]
) -> MouthMotion:
    """Show the motion later or earlier."""
    shift = float(edit.value or 0.0)
    # Eased at no more than half the speed of time, or the motion would run backwards there.
    ease = max(edit.ease, 3 * abs(shift))
    moved = motion.resample(motion.times - shift * edit.weights(motion.times, ease))
    return MouthMotion(moved.displacement, motion.times)


def _scale(
    motion: MouthMotion, edit: MotionEdit, alternates: Mapping[str, MouthMotion]
) -> MouthMotion:
    """Move less or more: closed lips stay closed."""
    factor = 1 + (np.float32(edit.value or 0.0) - 1) * edit.weights(motion.times)
    return MouthMotion(motion.displacement * factor[:, None, None], motion.times)


def _hold(
    motion: MouthMotion, edit: MotionEdit, alternates: Mapping[str, MouthMotion]
) -> MouthMotion:
    """Keep one pose."""
    time = edit.start if edit.value == -1 else edit.value
    assert time is not None  # checked when the edit was made
    return _blend(motion, motion.resample(np.array([time])).displacement, edit)


def _close(
    motion: MouthMotion, edit: MotionEdit, alternates: Mapping[str, MouthMotion]
) -> MouthMotion:
    """Bring the lips together; width and protrusion stay."""
    return _set_gap(motion, edit, 0.0)


def _open(
    motion: MouthMotion, edit: MotionEdit, alternates: Mapping[str, MouthMotion]
) -> MouthMotion:
    """Open the lips by a gap; width and protrusion stay."""
    return _set_gap(motion, edit, float(edit.value or 0.0))


def _set_gap(motion: MouthMotion, edit: MotionEdit, gap: float) -> MouthMotion:
    """Give the lips a gap, along the way in which this mouth opens."""
    change = (gap - motion.aperture()) * edit.weights(motion.times)
    moved = motion.displacement + change[:, None, None] * opening_direction(motion)
    return MouthMotion(moved.astype(np.float32), motion.times)


def _smooth(
    motion: MouthMotion, edit: MotionEdit, alternates: Mapping[str, MouthMotion]
) -> MouthMotion:
    """Remove fast motion, by a Gaussian filter over time."""
    if len(motion) < 2:
        return motion
    sigma = float(edit.value or 0.0) / float(motion.times[1] - motion.times[0])
    smoothed = gaussian_filter1d(motion.displacement, sigma, axis=0, mode="nearest")
    return _blend(motion, smoothed, edit)


def _replace(
    motion: MouthMotion, edit: MotionEdit, alternates: Mapping[str, MouthMotion]
) -> MouthMotion:
    """Show another take's motion."""
    other = alternates.get(edit.take or "")
    if other is None:
        raise DubfewError(f"the edit replace names the take {edit.take!r}, which is not there")
    return _blend(motion, other.resample(motion.times - (edit.value or 0.0)).displacement, edit)


def _blend(motion: MouthMotion, other: FloatArray, edit: MotionEdit) -> MouthMotion:
    """Blend into another motion [N or 1, P, 3] where the edit holds."""
    share = edit.weights(motion.times)[:, None, None]
    mixed = motion.displacement + share * (other - motion.displacement)
    return MouthMotion(mixed.astype(np.float32), motion.times)


_OPERATIONS: Mapping[
    str, Callable[[MouthMotion, MotionEdit, Mapping[str, MouthMotion]], MouthMotion]
] = {
    "offset": _offset,
    "scale": _scale,
    "hold": _hold,
    "close": _close,
    "open": _open,
    "smooth": _smooth,
    "replace": _replace,
}


def _check_number(value: Any, low: float, high: float, name: str) -> float:
    """Return a finite number within limits.

    Raises:
        DubfewError: It is no number, or outside of the limits.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # NaN fails the comparison
        raise DubfewError(f"{name} is {str(value)[:20]}: give a number, {low:g} to {high:g}")
    return float(value)
