"""What is said about an output before it is written."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from dubfew.media import VideoInfo
from dubfew.media.codecs import choose_encoding
from dubfew.media.facts import MediaFacts, StreamFacts
from dubfew.media.forecast import forecast_output

INFO = VideoInfo(Path("scene"), 1920, 1080, Fraction(25), stored_format="yuv420p", field_order=1)


def forecast(output: str, codec: str | None = None, tags: dict | None = None, **facts) -> str:
    streams = facts.pop("streams", ())
    source = MediaFacts(Path("scene"), "mov", replace(INFO, **facts), streams, tags=tags or {})
    encoding = choose_encoding(Path(output), source.video, codec)
    return "; ".join(forecast_output(source, Path(output), encoding))


def test_plain_footage_is_no_news():
    assert forecast("a.mp4") == ""


@pytest.mark.parametrize(
    ("output", "codec", "facts", "said"),
    [
        ("a.mp4", None, {"field_order": 2}, "deinterlace it first to 50 frames/s"),
        ("a.webm", None, {"field_order": 3}, "field order bottom field first is not kept"),
        ("a.mov", "prores", {"pix_fmt": "yuv444p10le", "stored_format": "yuva444p12le"},
         "alpha channel is not kept; 12 bit became 10 bit"),
        ("a.mov", "prores", {"pix_fmt": "yuvj420p", "color_range": 2}, "full range became limited"),
        ("a.webm", None, {"pix_fmt": "yuv420p10le", "stored_format": "yuv420p10le"},
         "10 bit became 8 bit"),
        ("a.mp4", None, {"color_primaries": 9, "color_trc": 16}, "PQ, BT.2020"),
        ("a.avi", None, {"tags": {"description": "A reel"}}, "tags not kept: description"),
        ("a.mp4", None, {"streams": (StreamFacts(1, "audio", 1, "aac", start=-0.4),)},
         "the first 0.40 s of sound track 1 (aac) lie before the first frame"),
        ("a.mp4", None,
         {"streams": (StreamFacts(1, "audio", 1, "aac", end=4.19),), "duration": 4.0},
         "the last 0.19 s of sound track 1 (aac) lie behind the last frame and are cut"),
        ("a.mp4", None, {"streams": (StreamFacts(1, "data", 1, ""),)}, "data 1 is not kept"),
        ("a.mp4", None, {"streams": (StreamFacts(1, "subtitle", 1, "hdmv_pgs_subtitle", "eng"),)},
         "subtitle 1 (eng, hdmv_pgs_subtitle) is not kept"),
    ],
)  # fmt: skip
def test_what_changes_is_said(output, codec, facts, said):
    assert said in forecast(output, codec, **facts)


@pytest.mark.parametrize(
    ("end", "duration"),
    [(4.07, 4.0), (None, 4.0), (4.19, 0.0)],
    ids=["an encoder's packet", "sound of unknown length", "picture of unknown length"],
)
def test_sound_that_ends_with_the_picture_is_no_news(end, duration):
    streams = (StreamFacts(1, "audio", 1, "aac", end=end),)
    assert forecast("a.mp4", streams=streams, duration=duration) == ""


def test_full_range_stays_in_mp4():
    assert forecast("a.mp4", pix_fmt="yuvj420p", stored_format="yuvj420p", color_range=2) == ""
