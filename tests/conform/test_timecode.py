"""Exact rates, and timecodes with dropped numbers."""

from __future__ import annotations

from fractions import Fraction

import pytest

from dubfew.conform.timecode import exact_rate, format_timecode, parse_timecode
from dubfew.errors import DubfewError

NTSC, DOUBLE = Fraction(30000, 1001), Fraction(60000, 1001)


def test_rounded_rates_are_exact_ones():
    rates = [exact_rate(rate) for rate in (29.97, 30000 / 1001, 23.976, 23.98, 59.94, 25.0, 12.5)]
    film = Fraction(24000, 1001)
    assert rates == [NTSC, NTSC, film, film, DOUBLE, 25, Fraction(25, 2)]


@pytest.mark.parametrize(
    ("text", "rate", "frames"),
    [
        ("01:00:00;00", NTSC, 107892),  # SMPTE ST 12-1: 108 numbers an hour are dropped
        ("00:00:59;29", NTSC, 1799),
        ("00:01:00;02", NTSC, 1800),
        ("00:10:00;00", NTSC, 17982),
        ("01:00:00:00", NTSC, 108000),
        ("00:01:00;04", DOUBLE, 3600),
        ("23:59:59:24", Fraction(25), 2159999),
    ],
)
def test_timecodes_count_frames(text, rate, frames):
    assert parse_timecode(text, rate) == frames
    assert format_timecode(frames, rate, drop=";" in text) == text


def test_every_number_of_an_hour_comes_back():
    for frames in range(0, 120_000, 61):
        text = format_timecode(frames, NTSC, drop=True)
        assert parse_timecode(text, NTSC) == frames


@pytest.mark.parametrize(
    ("text", "rate", "words"),
    [
        ("00:01:00;01", NTSC, "dropped"),
        ("00:00:00:25", Fraction(25), "does not exist"),
        ("00:00:00;00", Fraction(25), "29.97"),
        ("1 s", Fraction(25), "no timecode"),
    ],
)
def test_what_is_no_timecode(text, rate, words):
    with pytest.raises(DubfewError, match=words):
        parse_timecode(text, rate)
