"""Schedule of output frames where sound and picture differ in length."""

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

# The picture is the master unless the user says otherwise: frames in equal frames out.
DEFAULT_FIT_MODE = "trim"
# Differences below this are rounding of clocks and padding of encoders, and are ignored.
LENGTH_TOLERANCE_SECONDS = 0.1


@dataclass(frozen=True)
class FrameSchedule:
    """Scene frame and time of each output frame.

    Attributes:
        scene_rows: index of the scene frame that each output frame shows. [M]
        times: presentation time of each output frame, s. [M]
        note: a line for the user about different lengths, or "".
    """

    scene_rows: NDArray[np.int64]
    times: NDArray[np.float64]
    note: str

    def iter_frames(self, path: Path, fps: Fraction) -> Iterator[Frame]:
        """Decode the scene's frames in the order of the output, with the times of the output.

        Args:
            path: the scene; it is decoded once per loop, so memory stays constant.
            fps: nominal frame rate of the scene.

        Yields:
            One frame per output frame.
        """
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
            # Repeat the last decoded frame where the schedule holds it.
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
    """Decide which scene frame each output frame shows.

    With ``trim`` every scene frame is shown once: longer sound is cut, and after shorter sound the
    mouth rests. With ``loop`` the scene starts again under longer sound. With ``hold`` its last
    frame stays.

    Args:
        times: presentation times of the scene's frames, s. [N]
        fps: nominal frame rate of the scene.
        sound_seconds: length of the new sound, s; None without sound.
        fit_mode: "trim", "loop" or "hold"; None for "trim".

    Raises:
        DubfewError: The fit mode does not exist.
    """
    chosen = fit_mode or DEFAULT_FIT_MODE
    if chosen not in FIT_MODES:
        raise DubfewError(f"no fit {chosen!r}: there are {', '.join(FIT_MODES)}")
    count = len(times)
    length = float(times[-1]) + float(1 / fps)
    rows = np.arange(count)
    # Equal lengths, shorter sound and trimmed sound: the scene as it is.
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
    # Longer sound: add frames at the nominal rate until the sound ends.
    more = np.arange(round((sound_seconds - length) * float(fps)))
    rows = np.concatenate(
        [rows, more % count if chosen == "loop" else np.full(len(more), count - 1)]
    )
    times = np.concatenate([times, length + more / float(fps)])
    what = "starts again" if chosen == "loop" else "holds its last frame"
    return FrameSchedule(
        rows, times, f"the picture {what} for the last {sound_seconds - length:.1f} s of the sound"
    )
