"""Joins in a file at which its clock starts anew, as in recordings put end to end."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from dubfew.errors import MediaError
from dubfew.media.opening import open_media, video_stream

# Step back of a clock from which it counts as started anew, s. Reordered or equal time stamps step
# back by a few frames at most.
RESTART_SECONDS = Fraction(1, 2)
# Step ahead from which the clock of a broadcast stream counts as another one, s: FFmpeg's own
# threshold. In other containers a long gap is a gap.
LEAP_SECONDS = 10
# FFmpeg's flag of formats whose clock may jump (AVFMT_TS_DISCONT): MPEG-TS, program streams.
_JUMPING_CLOCK_FLAG = 0x0200


def allows_clock_leaps(container: InputContainer) -> bool:
    """Return True if clocks of this container's format may jump ahead without a gap in time."""
    return bool(container.format.flags & _JUMPING_CLOCK_FLAG)


def is_join(time: Fraction, expected: Fraction, *, leaps: bool) -> bool:
    """Decide whether a clock was started anew before a time.

    Args:
        time: next time on the file's clock, s.
        expected: time at which what came before ends, s.
        leaps: True if a long step ahead counts, see `allows_clock_leaps`.
    """
    step = time - expected
    return step < -RESTART_SECONDS or (leaps and step > LEAP_SECONDS)


@dataclass(frozen=True)
class _Part:
    """Times of the pictures between two joins, on the file's clock, s."""

    first: Fraction
    end: Fraction


def read_join_shifts(path: Path) -> list[Fraction]:
    """Read by how much the file's clock must be moved after each join, from its picture.

    The packets are read through, and none is decoded.

    Args:
        path: a video file.

    Returns:
        What to add to times after the first, second, ... join, s; empty without a picture or a
        join.
    """
    try:
        with open_media(path) as container:
            parts = _read_parts(container, video_stream(container, path))
    except (MediaError, av.FFmpegError):
        return []
    shifts, end = [], parts[0].end if parts else Fraction(0)
    for part in parts[1:]:
        shifts.append(end - part.first)
        end += part.end - part.first
    return shifts


def _read_parts(container: InputContainer, stream: av.VideoStream) -> list[_Part]:
    """List the parts of a stream between its joins."""
    base = Fraction(stream.time_base or Fraction(1, 90000))
    usual = 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)
    leaps = allows_clock_leaps(container)
    parts: list[_Part] = []
    last: Fraction | None = None  # decoding time, which rises between joins
    for packet in container.demux(stream):
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            continue
        time = stamp * base
        shown = time if packet.pts is None else packet.pts * base
        end = shown + (packet.duration * base if packet.duration else usual)
        if last is None or is_join(time, last, leaps=leaps):
            parts.append(_Part(shown, end))
        else:
            parts[-1] = _Part(min(parts[-1].first, shown), max(parts[-1].end, end))
        last = time
    return parts


class JoinedClock:
    """Turns times of a sound track that rise between joins into times that rise throughout.

    Args:
        path: the file, whose picture says where its parts belong.
        leaps: True if a long step ahead counts as a join, see `allows_clock_leaps`.
    """

    def __init__(self, path: Path, *, leaps: bool) -> None:
        self._path = path
        self._leaps = leaps
        self._shifts: list[Fraction] | None = None  # read at the first join
        self._shift = Fraction(0)
        self._joins = 0
        self._end: Fraction | None = None  # of what came before, on the file's clock

    def follow(self, time: Fraction, duration: Fraction) -> Fraction:
        """Return the time of the next piece of sound on a clock without joins, s.

        Args:
            time: its time on the file's clock, s.
            duration: its length, s.
        """
        if self._end is not None and is_join(time, self._end, leaps=self._leaps):
            if self._shifts is None:
                self._shifts = read_join_shifts(self._path)
            # Without a picture, or with fewer joins than the sound, it goes on where it was.
            known = self._joins < len(self._shifts)
            self._shift = self._shifts[self._joins] if known else self._end + self._shift - time
            self._joins += 1
        self._end = time + duration
        return time + self._shift
