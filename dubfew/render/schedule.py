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
from dubfew.media.speech_span import SpeechSpan
from dubfew.render.options import FIT_MODES

# Differences below this are rounding of clocks and padding of encoders, and are ignored.
LENGTH_TOLERANCE_SECONDS = 0.1


@dataclass(frozen=True)
class FrameSchedule:
    """Scene frame and time of each output frame.

    Attributes:
        scene_rows: index of the scene frame that each output frame shows. [M]
        times: presentation time of each output frame, s. [M]
        end: time at which the last output frame ends, s.
        note: a line for the user about different lengths, or "".
        last_seconds: time for which the scene's last frame is shown, s; None for that of a frame.
    """

    scene_rows: NDArray[np.int64]
    times: NDArray[np.float64]
    end: float
    note: str
    last_seconds: Fraction | None = None

    def holds_last_frame(self, fps: Fraction) -> bool:
        """Return True if the scene's last frame is shown for longer than others, and comes last.

        Args:
            fps: nominal frame rate of the scene.
        """
        return self.last_seconds is not None and self.last_seconds > 3 / fps / 2

    def iter_frames(self, path: Path, fps: Fraction) -> Iterator[Frame]:
        """Decode the scene's frames in the order of the output, with the times of the output.

        Args:
            path: the scene; it is decoded once per loop, so memory stays constant.
            fps: nominal frame rate of the scene.

        Yields:
            One frame per output frame.
        """
        shown, before, ending = 0, Fraction(0), 1 / fps
        while shown < len(self.scene_rows):
            last = None
            for frame in read_frames(path):
                if shown == len(self.scene_rows) or self.scene_rows[shown] != frame.index:
                    break
                # Repeated frames follow at the nominal rate, whatever the scene's own clock did,
                # but the first one when the scene's last frame has been shown to its end.
                last = frame if frame.index == shown else frame.with_time(shown, before + ending)
                yield last
                shown, before, ending = shown + 1, last.stamp, 1 / fps
            if last is None:
                return
            if self.scene_rows[shown - 1] == shown - 1:  # the first time through the scene
                ending = self.last_seconds or 1 / fps
            # Repeat the last decoded frame where the schedule holds it.
            while (
                shown < len(self.scene_rows)
                and self.scene_rows[shown] == self.scene_rows[shown - 1]
            ):
                before, ending = before + ending, 1 / fps
                yield last.with_time(shown, before)
                shown += 1


def choose_fit_mode(picture_seconds: float, sound: SpeechSpan, fit_mode: str | None) -> str:
    """Choose how sound that is longer than the picture is treated.

    Unless the user says otherwise no speech is cut: the last frame is held while somebody speaks,
    and silence at the end of the sound is cut.

    Args:
        picture_seconds: length of the scene, s.
        sound: new sound.
        fit_mode: wish of the user; None for the default.

    Returns:
        One of ``FIT_MODES``.

    Raises:
        DubfewError: The fit mode does not exist.
    """
    if fit_mode is None:
        return "hold" if sound.end > picture_seconds else "trim"
    if fit_mode not in FIT_MODES:
        raise DubfewError(f"no fit {fit_mode!r}: there are {', '.join(FIT_MODES)}")
    return fit_mode


def count_output_seconds(
    picture_seconds: float, sound: SpeechSpan | None, fit_mode: str | None
) -> float:
    """Compute the length of a render's output.

    Args:
        picture_seconds: length of the scene, s.
        sound: new sound, or None.
        fit_mode: wish of the user; None for the default.

    Raises:
        DubfewError: The fit mode does not exist.
    """
    if sound is None or sound.seconds - picture_seconds < LENGTH_TOLERANCE_SECONDS:
        return picture_seconds
    is_cut = choose_fit_mode(picture_seconds, sound, fit_mode) == "trim"
    return picture_seconds if is_cut else sound.seconds


def describe_fit(picture_seconds: float, sound: SpeechSpan | None, fit_mode: str | None) -> str:
    """Describe in one line what happens where sound and picture differ in length.

    Args:
        picture_seconds: length of the scene, s.
        sound: new sound, or None.
        fit_mode: wish of the user; None for the default.

    Returns:
        The line, or "" if the lengths agree within `LENGTH_TOLERANCE_SECONDS`.

    Raises:
        DubfewError: The fit mode does not exist.
    """
    if sound is None or abs(sound.seconds - picture_seconds) < LENGTH_TOLERANCE_SECONDS:
        return ""
    late = sound.seconds - picture_seconds
    if late < 0:
        return f"the sound ends {-late:.1f} s before the picture: the mouth rests there"
    chosen = choose_fit_mode(picture_seconds, sound, fit_mode)
    if chosen == "trim":
        if not sound.is_whole:
            what = ", with speech in them" if sound.end > picture_seconds else ""
            return (
                f"the last {late:.1f} s of the sound are cut{what} (--fit hold or loop keeps them)"
            )
        if sound.end <= picture_seconds:
            return f"the last {late:.1f} s of the sound, which are silent, are cut"
        return (
            f"the last {late:.1f} s of the sound are cut, with {sound.end - picture_seconds:.1f} s "
            "of speech (--fit hold or loop keeps them)"
        )
    other = "loop repeats the picture" if chosen == "hold" else "hold keeps its last frame"
    what = "holds its last frame" if chosen == "hold" else "starts again"
    return (
        f"the picture {what} for the last {late:.1f} s of the sound "
        f"(--fit trim cuts the sound, --fit {other})"
    )


def schedule_frames(
    times: NDArray[np.float64],
    fps: Fraction,
    sound: SpeechSpan | None,
    fit_mode: str | None,
    last_seconds: Fraction | None = None,
) -> FrameSchedule:
    """Decide which scene frame each output frame shows.

    With ``trim`` every scene frame is shown once: longer sound is cut, and after shorter sound the
    mouth rests. With ``loop`` the scene starts again under longer sound. With ``hold`` its last
    frame stays.

    Args:
        times: presentation times of the scene's frames, s. [N]
        fps: nominal frame rate of the scene.
        sound: length of the new sound, and of the speech in it; None without sound.
        fit_mode: "trim", "loop" or "hold"; None chooses, see `choose_fit_mode`.
        last_seconds: time for which the scene's last frame is shown, s; None for that of a frame.

    Raises:
        DubfewError: The fit mode does not exist.
    """
    count = len(times)
    length = float(times[-1]) + float(last_seconds or 1 / fps)
    rows = np.arange(count)
    note = describe_fit(length, sound, fit_mode)
    added = count_output_seconds(length, sound, fit_mode) - length
    # Equal lengths, shorter sound and trimmed sound: the scene as it is.
    if sound is None or added <= 0:
        return FrameSchedule(rows, times, length, note, last_seconds)
    # Longer sound: add frames at the nominal rate until the sound ends.
    more = np.arange(round(added * float(fps)))
    chosen = choose_fit_mode(length, sound, fit_mode)
    rows = np.concatenate(
        [rows, more % count if chosen == "loop" else np.full(len(more), count - 1)]
    )
    times = np.concatenate([times, length + more / float(fps)])
    return FrameSchedule(rows, times, float(times[-1]) + float(1 / fps), note, last_seconds)
