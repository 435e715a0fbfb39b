"""Which scene frame is shown when, if sound and picture differ in length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.media import Frame, read_frames

FITS = ("trim", "loop", "hold")
DEFAULT_FIT = "trim"
# Shorter differences are rounding of clocks and encoders' padding.
TOLERANCE = 0.1


@dataclass(frozen=True)
class Plan:
    """The output's frames.

    Attributes:
        rows: scene frame that each output frame shows. [M]
        times: when it is shown, s. [M]
        note: what was done about different lengths, or "".
    """

    rows: NDArray[np.int64]
    times: NDArray[np.float64]
    note: str

    def frames(self, path: Path, fps: Fraction) -> Iterator[Frame]:
        """The scene's frames in the output's order, each at its place in time."""
        shown, before = 0, Fraction(0)
        while shown < len(self.rows):
            last = None
            for frame in read_frames(path):
                if shown == len(self.rows) or self.rows[shown] != frame.index:
                    break
                # Repeated frames follow at the nominal rate, whatever the scene's own clock did.
                last = frame if frame.index == shown else frame.at(shown, before + 1 / fps)
                yield last
                shown, before = shown + 1, last.stamp
            if last is None:
                return
            while shown < len(self.rows) and self.rows[shown] == self.rows[shown - 1]:
                before += 1 / fps
                yield last.at(shown, before)
                shown += 1


def plan(times: NDArray[np.float64], fps: Fraction, sound: float | None, fit: str | None) -> Plan:
    """Decide what is shown.

    ``trim``: the picture is the master, every frame of it comes out once; longer sound is cut,
    after shorter sound the mouth rests. ``loop``: under longer sound the scene starts again.
    ``hold``: under longer sound its last frame stays.

    Args:
        times: of the scene's frames, s. [N]
        fps: of the scene.
        sound: length of the new sound, s; None without.
        fit: "trim", "loop" or "hold"; trim by default.

    Raises:
        DubfewError: no such fit.
    """
    chosen = fit or DEFAULT_FIT
    if chosen not in FITS:
        raise DubfewError(f"no fit {chosen!r}: there are {', '.join(FITS)}")
    count = len(times)
    length = float(times[-1]) + float(1 / fps)
    rows = np.arange(count)
    if sound is None or abs(sound - length) < TOLERANCE:
        return Plan(rows, times, "")
    if sound < length:
        note = f"the sound ends {length - sound:.1f} s before the picture: the mouth rests there"
        return Plan(rows, times, note)
    if chosen == "trim":
        note = (
            f"the last {sound - length:.1f} s of the sound are cut (--fit loop or hold keeps them)"
        )
        return Plan(rows, times, note)
    more = np.arange(round((sound - length) * float(fps)))
    rows = np.concatenate(
        [rows, more % count if chosen == "loop" else np.full(len(more), count - 1)]
    )
    times = np.concatenate([times, length + more / float(fps)])
    what = "starts again" if chosen == "loop" else "holds its last frame"
    return Plan(rows, times, f"the picture {what} for the last {sound - length:.1f} s of the sound")
