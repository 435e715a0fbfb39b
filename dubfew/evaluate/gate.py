"""Limits that an output has to keep, for a pipeline that delivers it or stops."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.evaluate.compare import EvaluationResult, FrameRun
from dubfew.evaluate.metrics import METRICS
from dubfew.utils.runs import iterate_runs

# Words of a limit: of the clip's value, and of the value of every single frame.
LIMIT_WORDS = ("min", "max", "min_frame", "max_frame")
# Word that lets a measure pass that has no value.
OPTIONAL_WORD = "optional"
# Most places that are listed for one limit, the longest first.
MAX_PLACES = 5
# Two places nearer than this are one, s.
MAX_GAP_SECONDS = 0.2


class LimitsError(DubfewError):
    """A file of limits cannot be used."""


@dataclass(frozen=True)
class BrokenLimit:
    """A limit that an output does not keep.

    Attributes:
        metric: name of the metric.
        reason: what was measured and what was required.
        places: frames in which it is broken, the longest run first; empty for metrics without
            values of frames.
    """

    metric: str
    reason: str
    places: tuple[FrameRun, ...] = ()

    def describe(self) -> str:
        """Describe the limit and where it is broken in one line."""
        where = ", ".join(
            f"{run.start:.2f} to {run.end:.2f} s (frames {run.first} to {run.last})"
            for run in self.places
        )
        return f"{self.metric}: {self.reason}" + (f"; at {where}" if where else "")


def read_limits(path: Path | str) -> dict[str, dict[str, Any]]:
    """Read a file of limits.

    It is a JSON object: ``{"psnr_mouth": {"min": 30}, "seam": {"max": 1, "max_frame": 3}}``.
    ``"optional": true`` lets a measure pass that could not be measured.

    Args:
        path: the file.

    Returns:
        Limits by metric.

    Raises:
        LimitsError: The file cannot be read, names a metric that does not exist, or has a limit
            that is no number.
    """
    try:
        limits = json.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise LimitsError(f"{path} cannot be read: {error}") from error
    except ValueError as error:
        raise LimitsError(f"{path} is not JSON ({error}): see docs/judging.md") from error
    if not isinstance(limits, dict) or not limits:
        raise LimitsError(f"{path} has no limits: give an object of measures")
    for name, rules in limits.items():
        # A limit of a misspelled measure would never be broken.
        if name not in METRICS:
            raise LimitsError(f"{path}: no measure {name!r}: there are {', '.join(METRICS.names)}")
        words = (*LIMIT_WORDS, OPTIONAL_WORD)
        if not isinstance(rules, dict) or not set(rules) <= set(words):
            raise LimitsError(f"{path}: {name} has {rules!r}: give {', '.join(words)}")
        if not set(rules) & set(LIMIT_WORDS):
            raise LimitsError(f"{path}: {name} has no limit: give {', '.join(LIMIT_WORDS)}")
        for word, value in rules.items():
            # To Python True is a number.
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if isinstance(value, bool) != (word == OPTIONAL_WORD) or not (
                word == OPTIONAL_WORD or (is_number and math.isfinite(value))
            ):
                wanted = "true or false" if word == OPTIONAL_WORD else "a number"
                raise LimitsError(f"{path}: {word} of {name} is {value!r}: give {wanted}")
    return limits


def check_limits(
    result: EvaluationResult, limits: Mapping[str, Mapping[str, Any]]
) -> tuple[BrokenLimit, ...]:
    """Find the limits that an output does not keep; a measure without a value keeps none.

    Args:
        result: measures of the output.
        limits: limits by metric, as `read_limits` returns them.
    """
    values = {**{name: getattr(result, name, None) for name in limits}, **result.more}
    broken: list[BrokenLimit] = []
    for name, rules in limits.items():
        value = values[name]
        # A measure that is missing must not let an output pass, unless the file says so.
        if value is None or math.isnan(value):
            if not rules.get(OPTIONAL_WORD, False):
                reason = result.unavailable.get(name)
                needs = f"needs {reason}" if reason else "nothing to measure, or not asked for"
                broken.append(BrokenLimit(name, f"not measured ({needs})"))
            continue
        curve = result.curves.get(name)
        frames = None if curve is None else curve.values
        for word in LIMIT_WORDS:
            if word in rules:
                found = _check_limit(result, name, value, frames, word, float(rules[word]))
                broken += [found] if found is not None else []
    return tuple(broken)


def _check_limit(
    result: EvaluationResult,
    name: str,
    value: float,
    frames: NDArray[np.float64] | None,
    word: str,
    limit: float,
) -> BrokenLimit | None:
    """Check one limit."""
    sign = 1.0 if word.startswith("max") else -1.0
    relation = "at most" if sign > 0 else "at least"
    outside = np.zeros(0, np.bool_) if frames is None else sign * frames > sign * limit
    if word.endswith("frame"):
        if frames is None:
            return BrokenLimit(name, f"has no values of frames: give {word[:3]}")
        if not outside.any():
            return None
        worst = float((sign * frames[outside]).max() * sign)
        reason = f"{worst:.3g} in a frame, required {relation} {limit:g}"
    elif sign * value <= sign * limit:
        return None
    else:
        reason = f"{value:.3g}, required {relation} {limit:g}"
    return BrokenLimit(name, reason, _find_places(result, outside))


def _find_places(result: EvaluationResult, outside: NDArray[np.bool_]) -> tuple[FrameRun, ...]:
    """Runs of frames, joined where they are near each other, the longest first."""
    if result.clips is None:
        return ()
    times = result.clips.output_times
    runs: list[list[int]] = []
    for start, stop in iterate_runs(outside):
        if runs and times[start] - times[runs[-1][1]] <= MAX_GAP_SECONDS:
            runs[-1][1] = stop - 1
        else:
            runs.append([start, stop - 1])
    runs.sort(key=lambda run: run[0] - run[1])
    return tuple(
        FrameRun(first, last, float(times[first]), float(times[last]), "")
        for first, last in runs[:MAX_PLACES]
    )
