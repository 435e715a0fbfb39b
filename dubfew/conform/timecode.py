"""Exact frame rates, and timecodes with and without dropped numbers."""

from __future__ import annotations

import re
from fractions import Fraction

from dubfew.errors import DubfewError

# Relative difference up to which a rate counts as one of television's, such as 29.97 for
# 30000/1001. 30 and 29.97 differ by 1e-3.
_RATE_TOLERANCE = 2e-4
_TIMECODE = re.compile(r"(\d{1,2}):(\d\d):(\d\d)([:;.,])(\d{2,3})")


def exact_rate(rate: float | Fraction) -> Fraction:
    """Return the exact frame rate that a rounded number stands for.

    Args:
        rate: frames per second.

    Example:
        >>> exact_rate(29.97), exact_rate(23.976), exact_rate(25.0)
        (Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25, 1))
    """
    whole = round(rate)
    if whole > 0:
        for candidate in (Fraction(whole), Fraction(whole * 1000, 1001)):
            if abs(candidate - Fraction(rate)) <= candidate * Fraction(_RATE_TOLERANCE):
                return candidate
    return Fraction(rate).limit_denominator(1001)


def drops_numbers(rate: Fraction) -> bool:
    """Return True if timecodes of a rate may leave out numbers: 29.97 and 59.94."""
    return rate in (Fraction(30000, 1001), Fraction(60000, 1001))


def parse_timecode(text: str, rate: Fraction, *, drop: bool | None = None) -> int:
    """Read a timecode as a number of frames since 00:00:00:00.

    Args:
        text: such as "01:00:03:12", or "01:00:03;12" with dropped numbers.
        rate: exact frame rate.
        drop: whether numbers are dropped, whatever the text says; None goes by the text.

    Raises:
        DubfewError: It is no timecode, or it names a frame that the rate does not have.

    Example:
        >>> parse_timecode("00:01:00;02", Fraction(30000, 1001))
        1800
        >>> parse_timecode("01:00:00:00", Fraction(25))
        90000
    """
    found = _TIMECODE.fullmatch(text.strip())
    if found is None or len(found[5]) != 2:
        raise DubfewError(f"{text[:40]!a} is no timecode: give one such as 01:00:03:12")
    hours, minutes, seconds, frames = (int(found[k]) for k in (1, 2, 3, 5))
    base = round(rate)
    if minutes > 59 or seconds > 59 or frames >= base:
        raise DubfewError(f"the timecode {text} does not exist at {float(rate):.5g} frames/s")
    dropped = (found[4] in ";,." if drop is None else drop) and drops_numbers(rate)
    if found[4] == ";" and not drops_numbers(rate):
        raise DubfewError(
            f"the timecode {text} drops numbers, and {float(rate):.5g} frames/s do not: give the "
            "rate 29.97 or 59.94"
        )
    whole = hours * 60 + minutes
    count = (whole * 60 + seconds) * base + frames
    if dropped:
        each = base // 15  # 2 numbers a minute at 29.97, 4 at 59.94
        if seconds == 0 and frames < each and minutes % 10:
            raise DubfewError(f"the timecode {text} is one of those that are dropped")
        count -= each * (whole - whole // 10)
    return count


def format_timecode(frames: int, rate: Fraction, *, drop: bool) -> str:
    """Write a number of frames as a timecode.

    Args:
        frames: frames since 00:00:00:00.
        rate: exact frame rate.
        drop: whether numbers are dropped; rates that never do ignore it.

    Example:
        >>> format_timecode(1800, Fraction(30000, 1001), drop=True)
        '00:01:00;02'
    """
    base, mark = round(rate), ":"
    if drop and drops_numbers(rate):
        mark, each = ";", base // 15
        tens, rest = divmod(frames, base * 600 - 9 * each)
        frames += 9 * each * tens
        # The first minute of ten has all its numbers.
        if rest >= base * 60:
            frames += each * (1 + (rest - base * 60) // (base * 60 - each))
    seconds, number = divmod(frames, base)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02d}:{minutes:02d}:{seconds:02d}{mark}{number:02d}"
