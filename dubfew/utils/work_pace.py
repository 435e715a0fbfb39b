"""Estimates of how long work takes on this machine, from how long earlier work took."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dubfew.utils.files import write_atomic

# File in a registry's home that holds the measured paces. It holds no facts about people.
PACE_FILE_NAME = "pace.json"
# Seconds per unit until something was measured: those of two cores of a laptop from 2020. A frame
# is one of 1 megapixel, see `count_frame_units`.
DEFAULT_PACES: Mapping[str, float] = {
    "start": 6.0,  # importing the packages and loading the models, once
    "scan": 0.012,  # a frame of footage that is scanned for its best part
    "track": 0.045,  # a frame in which faces are found and fitted
    "parse": 0.13,  # a frame that is searched for objects in front of the mouth
    "cut": 0.013,  # a frame whose mouth window is cut out
    "align": 0.05,  # a frame that is aligned with the others, in all rounds
    "train": 0.8,  # a training step
    "paint": 0.12,  # a frame that is painted and encoded
    "keep": 0.03,  # a frame of an earlier output that is decoded and encoded again
}
# Weight of a new measurement against the mean of the earlier ones. At one half, three renders make
# a machine known, and one that competed with other programs is soon forgotten.
NEWEST_WEIGHT = 0.5
# Units below which a measurement says more about the start of the work than about its pace.
MIN_MEASURED_UNITS = 5


class WorkPace:
    """The paces of this machine, in seconds per unit of each kind of work.

    Args:
        home: folder of the registry, which holds the measurements; None for the defaults.
    """

    def __init__(self, home: Path | None) -> None:
        self._path = None if home is None else home / PACE_FILE_NAME
        self._measured = {} if self._path is None else _read_paces(self._path)

    def unit_seconds(self, kind: str) -> float:
        """Return the time that one unit of work takes, s.

        Args:
            kind: one of ``DEFAULT_PACES``.
        """
        return self._measured.get(kind, DEFAULT_PACES[kind])

    def frame_seconds(self, kind: str, width: int, height: int) -> float:
        """Return the time that a frame of some size takes, s.

        Args:
            kind: one of ``DEFAULT_PACES`` whose unit is a frame.
            width: px.
            height: px.
        """
        return self.unit_seconds(kind) * count_frame_units(1, width, height)

    def estimate_seconds(self, work: Mapping[str, float]) -> float:
        """Estimate how long some work takes.

        Args:
            work: number of units by kind, one of ``DEFAULT_PACES``.

        Returns:
            Time in s.
        """
        return sum(units * self.unit_seconds(kind) for kind, units in work.items())

    def is_measured(self, kind: str) -> bool:
        """Return whether work of a kind was measured on this machine."""
        return kind in self._measured

    def record(self, seconds: float, work: Mapping[str, float]) -> None:
        """Remember how long some work took; a folder that cannot be written to is ignored.

        Work of several kinds that was timed as a whole corrects each of them by the same factor.

        Args:
            seconds: time that it took.
            work: units that were done by kind, as in `estimate_seconds`; fewer than
                `MIN_MEASURED_UNITS` in all are ignored.
        """
        if sum(work.values()) < MIN_MEASURED_UNITS or seconds <= 0:
            return
        factor = seconds / self.estimate_seconds(work)
        for kind, units in work.items():
            if units <= 0:
                continue
            # The first measurement replaces the guess.
            weight = NEWEST_WEIGHT if self.is_measured(kind) else 1.0
            self._measured[kind] = self.unit_seconds(kind) * (1 + weight * (factor - 1))
        if self._path is None:
            return
        # An estimate is no reason to fail after the work is done.
        with suppress(OSError):
            write_atomic(self._path, json.dumps(self._measured).encode())


def _read_paces(path: Path) -> dict[str, float]:
    """Read the measured paces; a missing or damaged file has none."""
    try:
        stored = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {
        kind: float(pace)
        for kind, pace in stored.items()
        if kind in DEFAULT_PACES and isinstance(pace, int | float) and 0 < pace < math.inf
    }


def count_frame_units(frames: float, width: int, height: int) -> float:
    """Convert frames to frames of one megapixel that are as much work.

    Half of the work on a frame of one megapixel does not depend on its size: faces are found and
    mouths predicted in windows of a fixed size.

    Args:
        frames: number of frames.
        width: px.
        height: px.

    Example:
        >>> count_frame_units(100, 1000, 1000), count_frame_units(100, 2000, 1000)
        (100.0, 150.0)
    """
    return frames * (0.5 + 0.5 * width * height / 1e6)


def format_duration(seconds: float) -> str:
    """Format an estimated time for readers, rounded as far as an estimate is worth.

    Example:
        >>> format_duration(7.3), format_duration(48), format_duration(190)
        ('about 5 s', 'about 50 s', 'about 3 min')
    """
    if seconds >= 95:
        return f"about {round(seconds / 60)} min"
    step = 5 if seconds < 30 else 10
    return f"about {max(step, step * round(seconds / step))} s"


def format_estimate(seconds: float, *, is_measured: bool) -> str:
    """Format an estimated time together with what the estimate rests on.

    Args:
        seconds: estimated time, s.
        is_measured: True if it rests on earlier work on this machine.

    Example:
        >>> format_estimate(48, is_measured=True)
        'about 50 s (measured on this machine)'
    """
    basis = "measured on this machine" if is_measured else "a guess before the first one"
    return f"{format_duration(seconds)} ({basis})"
