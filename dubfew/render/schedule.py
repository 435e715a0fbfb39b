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
from dubfew.render.options import FIT_MODES

DEFAULT_FIT_MODE = "trim"
# Shorter differences are rounding of clocks and encoders' padding.
LENGTH_TOLERANCE_SECONDS = 0.1


@dataclass(frozen=True)
class FrameSchedule:
    """The output's frames.

    Attributes:
        scene_rows: scene frame that each output frame shows. [M]
        times: when it is shown, s. [M]
        note: what was done about different lengths, or "".
    """

    scene_rows: NDArray[np.int64]
    times: NDArray[np.float64]
    note: str

    def iter_frames(self, path: Path, fps: Fraction) -> Iterator[Frame]:
        """The scene's frames in the output's order, each at its place in time."""
        shown, before = 0, Fraction(0)
        while shown < len(self.scene_rows):
            last = None
            for frame in read_frames(path):
                if shown == len(self.scene_rows) or self.scene_rows[shown] != frame.index:
                    break
                # Repeated frames follow at the nominal rate, whatever the scene's own clock did.
                last = frame if frame.index == shown else frame.with_time(shown, before + 1 / fps)
                yield last
                shown, before = shown + 1, last.stamp
            if last is None:
                return
            while (
                shown < len(self.scene_rows)
                and self.scene_rows[shown] == self.scene_rows[shown - 1]
            ):
                before += 1 / fps
                yield last.with_time(shown, before)
                shown += 1


def schedule_frames(
    times: NDArray[np.float64], fps: Fraction, sound_seconds: float | None, fit_mode: str | None
) -> FrameSchedule:
    """Decide what is shown.

    ``trim``: the picture is the master, every frame of it comes out once; longer sound is cut,
    after shorter sound the mouth rests. ``loop``: under longer sound the scene starts again.
    ``hold``: under longer sound its last frame stays.

    Args:
        times: of the scene's frames, s. [N]
        fps: of the scene.
        sound_seconds: length of the new sound, s; None without.
        fit_mode: "trim", "loop" or "hold"; trim by default.

    Raises:
        DubfewError: no such fit.
    """
    chosen = fit_mode or DEFAULT_FIT_MODE
    if chosen not in FIT_MODES:
        raise DubfewError(f"no fit {chosen!r}: there are {', '.join(FIT_MODES)}")
    count = len(times)
    length = float(times[-1]) + float(1 / fps)
    rows = np.arange(count)
    if sound_seconds is None or abs(sound_seconds - length) < LENGTH_TOLERANCE_SECONDS:
        return FrameSchedule(rows, times, "")
    if sound_seconds < length:
        early = length - sound_seconds
        note = f"the sound ends {early:.1f} s before the picture: the mouth rests there"
        return FrameSchedule(rows, times, note)
    if chosen == "trim":
        late = sound_seconds - length
        note = f"the last {late:.1f} s of the sound are cut (--fit loop or hold keeps them)"
        return FrameSchedule(rows, times, note)
    more = np.arange(round((sound_seconds - length) * float(fps)))
    rows = np.concatenate(
        [rows, more % count if chosen == "loop" else np.full(len(more), count - 1)]
    )
    times = np.concatenate([times, length + more / float(fps)])
    what = "starts again" if chosen == "loop" else "holds its last frame"
    return FrameSchedule(
        rows, times, f"the picture {what} for the last {sound_seconds - length:.1f} s of the sound"
    )
