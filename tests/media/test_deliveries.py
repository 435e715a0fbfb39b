"""Formats in which studios deliver: profiles, range, tags, fields, HDR metadata."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubfew.errors import MediaError
from dubfew.media import ColorTags, Frame, VideoInfo, VideoWriter, probe, read_frames
from dubfew.media.codecs import choose_encoding
from dubfew.media.facts import compare_facts, read_facts
from dubfew.media.hdr import HdrMetadata
from dubfew.media.pixels import NATIVE_FORMATS, limit_range
from tests.media.pictures import smooth_rgb

HDR = HdrMetadata(
    tuple((Fraction(x, 50000), Fraction(y, 50000)) for x, y in
          ((34000, 16000), (13250, 34500), (7500, 3000), (15635, 16450))),
    (Fraction(1, 200), Fraction(1000)),
    1000,
    400,
)  # fmt: skip


def write(path: Path, count: int = 3, pix_fmt: str = "yuv420p", **facts) -> VideoInfo:
    """Write a few frames, and read their properties back."""
    options = {key: facts.pop(key) for key in ("codec", "like_source") if key in facts}
    info = replace(VideoInfo(path, 256, 128, Fraction(25), pix_fmt=pix_fmt), **facts)
    with VideoWriter(path, info, **options) as writer:
        for number in range(count):
            rgb = smooth_rgb(128, 256, number)
            writer.write(Frame.from_rgb(rgb, number, 25, pix_fmt, info.color))
    return probe(path)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "tag"),
    [
        ("a.mov", "prores", "yuv422p", "apch"),
        ("a.mov", "prores", "yuv422p10le", "apch"),
        ("a.mov", "prores", "yuv444p10le", "ap4h"),
        ("a.mov", "prores", "yuv444p", "ap4h"),
        ("a.mov", "dnxhr", "yuv420p", "AVdh"),
        ("a.mp4", None, "yuv420p10le", "hvc1"),
        ("a.mov", "libx265", "yuv420p", "hvc1"),
        ("a.mp4", None, "yuv420p", "avc1"),
    ],
)
def test_codecs_have_the_names_that_players_know(tmp_path, name, codec, pix_fmt, tag):
    write(tmp_path / name, pix_fmt=pix_fmt, codec=codec)
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].codec_context.codec_tag == tag


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mov", "prores", "yuv422p10le"),
        ("a.mov", "prores", "yuv444p10le"),
        ("a.mp4", "libx265", "yuv420p10le"),
        ("a.mkv", "ffv1", "yuv420p10le"),
        ("a.mkv", "vp9", "yuv420p"),
    ],
)
def test_pictures_are_tagged(tmp_path, name, codec, pix_fmt):
    tags = {"color_range": 1, "colorspace": 9, "color_primaries": 9, "color_trc": 16}
    found = write(tmp_path / name, pix_fmt=pix_fmt, codec=codec, **tags)
    assert found.color == ColorTags(1, 9, 9, 16)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mov", "prores"), ("a.mov", "dnxhr"), ("a.avi", None), ("a.avi", "ffv1")]
)
@pytest.mark.parametrize("pix_fmt", ["yuvj420p", "yuvj444p", "yuv420p", "yuv422p10le"])
def test_full_range_is_brought_to_limited(tmp_path, name, codec, pix_fmt):
    found = write(tmp_path / name, pix_fmt=pix_fmt, codec=codec, color_range=2)
    assert found.color_range != 2
    shown = next(read_frames(tmp_path / name)).to_rgb().astype(int)
    wanted = Frame.from_rgb(smooth_rgb(128, 256, 0), 0, 25, pix_fmt, ColorTags(2)).to_rgb()
    # Contrast: 16 % too much of it was 20 levels at either end.
    assert abs(shown.std() / wanted.std() - 1) < 0.02
    assert np.abs(shown - wanted).mean() < 5


def test_full_range_stays_where_it_can_be_told(tmp_path):
    assert write(tmp_path / "a.mp4", pix_fmt="yuvj420p", color_range=2).color_range == 2


def test_dnxhr_of_sd_has_the_matrix_that_it_names(tmp_path):
    """The stream always says BT.709, and SD is BT.601."""
    found = write(tmp_path / "a.mov", pix_fmt="yuv422p", codec="dnxhr", colorspace=6)
    assert found.colorspace == 1
    shown = next(read_frames(tmp_path / "a.mov")).to_rgb().astype(int)
    assert np.abs(shown - smooth_rgb(128, 256, 0)).mean() < 4


def test_limited_samples_are_exact():
    form = NATIVE_FORMATS["yuvj420p"]
    luma = np.array([[0, 128, 255]], np.uint8)
    chroma = np.array([[0, 128, 255]], np.uint8)
    name, planes = limit_range((luma, chroma, chroma), form, 10)
    assert name == "yuv420p10le"
    assert planes[0].tolist() == [[64, 504, 940]]
    assert planes[1].tolist() == [[62, 512, 958]]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", None), ("a.mkv", None), ("a.mov", "libx264")]
)
def test_hdr10_metadata_is_kept(tmp_path, name, codec):
    facts = {"color_range": 1, "colorspace": 9, "color_primaries": 9, "color_trc": 16, "hdr": HDR}
    assert write(tmp_path / name, pix_fmt="yuv420p10le", codec=codec, **facts).hdr == HDR


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mov", None), ("a.mp4", None), ("a.mov", "prores"), ("a.mxf", "mpeg2")]
)
@pytest.mark.parametrize("order", [2, 3])
def test_field_order_is_kept(tmp_path, name, codec, order):
    found = write(tmp_path / name, pix_fmt="yuv422p", codec=codec, field_order=order)
    assert found.is_interlaced
    if name == "a.mov" or codec == "mpeg2":
        assert found.field_order == order


@pytest.mark.parametrize(
    ("profile", "codec", "pix_fmt"),
    [("LT", "prores", "yuv422p10le"), ("4444", "prores", "yuv444p10le"),
     ("DNXHR SQ", "dnxhd", "yuv422p"), ("Main 10", "hevc", "yuv420p10le")],
)  # fmt: skip
def test_like_source_takes_codec_and_profile(tmp_path, profile, codec, pix_fmt):
    path = tmp_path / "a.mov"
    info = VideoInfo(path, 256, 128, Fraction(25), pix_fmt=pix_fmt, codec=codec, profile=profile)
    with VideoWriter(path, info, like_source=True) as writer:
        writer.write(Frame.from_rgb(smooth_rgb(128, 256, 0), 0, 25, pix_fmt))
    assert (probe(path).codec, probe(path).profile) == (codec, profile)


@pytest.mark.parametrize("suffix", [".mov", ".mxf"])
@pytest.mark.parametrize(
    ("codec", "profile", "pix_fmt"),
    [
        *(("prores", each, "yuv422p10le") for each in ("LT", "Standard", "HQ")),
        *(("prores", each, "yuv444p10le") for each in ("4444", "XQ")),
        *(("dnxhd", f"DNXHR {each}", "yuv422p") for each in ("LB", "SQ", "HQ")),
        ("dnxhd", "DNXHR HQX", "yuv422p10le"),
        ("dnxhd", "DNXHR 444", "yuv444p10le"),
    ],
)
def test_every_delivery_comes_back_as_it_was(tmp_path, codec, profile, pix_fmt, suffix):
    source, out, code = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", "00:59:59;28"
    rate, color = Fraction(30000, 1001), ColorTags(1, 1, 1, 1)
    made = VideoInfo(
        source,
        256,
        128,
        rate,
        pix_fmt=pix_fmt,
        codec=codec,
        profile=profile,
        color_range=1,
        colorspace=1,
        color_primaries=1,
        color_trc=1,
    )
    with VideoWriter(source, made, like_source=True, timecode=code) as writer:
        for number in range(3):
            rgb = smooth_rgb(128, 256, number)
            writer.write(Frame.from_rgb(rgb, number, rate, pix_fmt, color))
    info = probe(source)
    # By FFmpeg's own words, so that the first file is what the test says.
    assert (info.codec, info.profile, info.pix_fmt) == (codec, profile, pix_fmt)
    with VideoWriter(out, info, like_source=True, carry=source) as writer:
        for frame in read_frames(source):
            writer.write(frame)
    found = probe(out)
    assert (found.codec, found.profile, found.pix_fmt) == (codec, profile, pix_fmt)
    assert found.fps == rate
    for each in (info, found):
        assert (each.colorspace, each.color_primaries, each.color_trc) == (1, 1, 1)
    assert found.color_range == info.color_range
    assert read_facts(out).timecode == read_facts(source).timecode == code
    for old, new in zip(read_frames(source), read_frames(out), strict=True):
        step = 2.0 ** (NATIVE_FORMATS[pix_fmt].bits - 8)
        for a, b in zip(old.planes(), new.planes(), strict=True):
            # Of a second generation of the same profile.
            assert np.abs(a.astype(float) - b).mean() / step < 1.0


def test_pq_is_encoded_finer(tmp_path):
    for transfer, crf in ((1, "18"), (16, "12")):
        info = VideoInfo(
            Path("a"), 256, 128, Fraction(25), pix_fmt="yuv420p10le", color_trc=transfer
        )
        assert choose_encoding(tmp_path / "a.mp4", info).options["crf"] == crf
        assert choose_encoding(tmp_path / "a.mp4", info, crf=20).options["crf"] == "20"


def test_like_source_takes_the_bit_rate(tmp_path):
    info = VideoInfo(Path("a"), 256, 128, Fraction(25), codec="h264", bit_rate=345_000)
    options = choose_encoding(tmp_path / "a.mp4", info, like_source=True).options
    assert options["b"] == "345000"
    assert "crf" not in options
    # A codec that the container does not take: the container's own, by quality.
    assert "crf" in choose_encoding(tmp_path / "a.webm", info, like_source=True).options


def test_pictures_too_small_for_a_codec_are_refused(tmp_path):
    info = VideoInfo(Path("a"), 128, 96, Fraction(25))
    with pytest.raises(MediaError, match="at least 256 x 120"):
        choose_encoding(tmp_path / "a.mov", info, "dnxhr")


def test_what_a_delivery_loses_is_named(tmp_path):
    before = read_facts_of(tmp_path / "a.mov", codec="prores", pix_fmt="yuv444p10le")
    deep = replace(before, video=replace(before.video, stored_format="yuva444p12le", hdr=HDR))
    after = read_facts_of(tmp_path / "b.mp4", pix_fmt="yuv420p")
    assert compare_facts(deep, after) == [
        "the alpha channel is not kept",
        "12 bit became 8 bit",
        "chroma is stored coarser: yuva444p12le became yuv420p",
        "HDR10 metadata (mastering display, brightest light) are not kept",
    ]
    assert compare_facts(before, before) == []


def read_facts_of(path: Path, **facts):
    write(path, **facts)
    return read_facts(path)
