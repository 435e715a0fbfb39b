"""What surrounds picture and sound goes through, or is named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter, probe, read_frames
from dubfew.media.codecs import choose_encoding
from dubfew.media.facts import compare_facts, read_facts
from dubfew.media.forecast import forecast_output
from tests.media.pictures import sine, smooth_rgb

LINES = ["Hello.", "And more."]


@pytest.fixture
def scene(tmp_path: Path, make_wav) -> Path:
    """An MP4 with two languages, subtitles, chapters, a title, a timecode and a cover."""
    path = tmp_path / "scene.mp4"
    tone = make_wav(sine(2.0, 48000)[None], 48000)
    with av.open(str(path), "w") as container, av.open(str(tone)) as sound:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        video.metadata["timecode"] = "10:00:00:00"
        container.metadata["title"] = "Reel 3"
        container.metadata["artist"] = "Somebody"
        voices = []
        for language, title in (("eng", "Dialogue"), ("fra", "M&E")):
            voice = container.add_stream("aac", rate=48000, layout="mono")
            voice.metadata.update(language=language, title=title)
            voices.append(voice)
        text = container.add_stream("mov_text")
        text.metadata["language"] = "deu"
        text.codec_context.subtitle_header = ASS_HEADER
        text.time_base = text.codec_context.time_base = Fraction(1, 1000)
        cover = container.add_mux_stream("mjpeg", width=32, height=32)
        cover.disposition = 1024
        container.set_chapters(
            [
                {"id": n, "start": n * 1000, "end": n * 1000 + 1000,
                 "time_base": Fraction(1, 1000), "metadata": {"title": name}}
                for n, name in enumerate(("One", "Two"))
            ]
        )  # fmt: skip
        for number in range(50):
            picture = av.VideoFrame.from_ndarray(smooth_rgb(64, 64, number), "rgb24")
            picture.pts = number
            container.mux(video.encode(picture.reformat(format="yuv420p")))
        container.mux(video.encode(None))
        for frame in sound.decode(audio=0):
            for voice in voices:
                container.mux(voice.encode(frame))
        for voice in voices:
            container.mux(voice.encode(None))
        for number, line in enumerate(LINES):
            packet = av.Packet(len(line).to_bytes(2, "big") + line.encode())
            packet.pts = packet.dts = number * 1000
            packet.duration, packet.time_base, packet.stream = 800, Fraction(1, 1000), text
            container.mux(packet)
        packet = av.Packet(jpeg())
        packet.pts = packet.dts = 0
        packet.time_base, packet.stream = Fraction(1, 90000), cover
        packet.is_keyframe = True
        container.mux(packet)
    return path


ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour
Style: Default,Arial,16,&Hffffff

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def jpeg() -> bytes:
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width = encoder.height = 32
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 25)
    picture = av.VideoFrame.from_ndarray(smooth_rgb(32, 32, 1), "rgb24")
    packets = encoder.encode(picture.reformat(format="yuvj420p")) + encoder.encode(None)
    return b"".join(bytes(packet) for packet in packets)


def copy(source: Path, target: Path, **options) -> list[str]:
    """Write a copy, and return what it lacks."""
    sounds = [AudioSource(source, track=number) for number in (1, 2)]
    with VideoWriter(target, probe(source), audio=sounds, carry=source, **options) as writer:
        for frame in read_frames(source):
            writer.write(frame)
    return compare_facts(read_facts(source), read_facts(target))


def subtitles(path: Path) -> list[tuple[float, str]]:
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        found = []
        for packet in container.demux(stream):
            for shown in packet.decode() if packet.size else []:
                text = shown.dialogue.decode() or shown.ass.decode().split(",")[-1]
                if text:
                    # Matroska moves all streams if the sound has samples before its first.
                    video = container.streams.video[0]
                    late = float(packet.pts * packet.time_base)
                    late -= float((video.start_time or 0) * video.time_base)
                    found.append((round(late, 2), text))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("a.mp4", []),
        ("a.m4v", []),
        ("a.mov", ["cover 1 (mjpeg) is not kept"]),
        ("a.mkv", ["subtitle 1 (deu, mov_text) became subrip"]),
        (
            "a.webm",
            ["cover 1 (mjpeg) is not kept", "subtitle 1 (deu, mov_text) became webvtt"],
        ),
        (
            "a.avi",
            ["2 chapters are not kept", "cover 1 (mjpeg) is not kept",
             "sound track 1 (eng, Dialogue, aac, 48000 Hz, mono): its language is not kept",
             "sound track 2 (fra, M&E, aac, 48000 Hz, mono): its language is not kept",
             "subtitle 1 (deu, mov_text) is not kept"],
        ),
    ],
)  # fmt: skip
def test_everything_goes_through_or_is_named(scene, tmp_path, name, lost):
    # What is said before the work is what is found after it.
    source = read_facts(scene)
    encoding = choose_encoding(tmp_path / name, source.video)
    assert sorted(forecast_output(source, tmp_path / name, encoding)) == lost
    assert sorted(copy(scene, tmp_path / name)) == lost
    facts = read_facts(tmp_path / name)
    assert facts.timecode == "10:00:00:00"
    assert facts.tags["title"] == "Reel 3"
    if name != "a.avi":
        assert [each.language for each in facts.of_kind("audio")] == ["eng", "fra"]
        assert [title for _, title in facts.chapters] == ["One", "Two"]
        # Also where the muxer moves everything for the sake of the sound's priming.
        assert [begin for begin, _ in facts.chapters] == pytest.approx([0, 1], abs=2e-3)
        assert subtitles(tmp_path / name) == [(0.0, LINES[0]), (1.0, LINES[1])]


@pytest.mark.slow
def test_the_first_sound_track_is_the_default(scene, tmp_path):
    copy(scene, tmp_path / "a.mp4")
    tracks = read_facts(tmp_path / "a.mp4").of_kind("audio")
    assert [each.is_default for each in tracks] == [True, False]
    assert [each.title for each in tracks] == ["Dialogue", "M&E"]


@pytest.mark.slow
def test_subtitles_of_a_late_picture_move_with_it(scene, tmp_path, make_video):
    """Times count from the first frame in every output."""
    late = tmp_path / "late.mkv"
    with av.open(str(scene)) as source, av.open(str(late), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        text = target.add_stream("subrip")
        text.codec_context.subtitle_header = ASS_HEADER
        text.time_base = Fraction(1, 1000)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.pts, packet.dts = packet.pts + 6400, packet.dts + 6400
                packet.stream = video
                target.mux(packet)
        packet = av.Packet(b"Late.")
        packet.pts = packet.dts = 1500
        packet.duration, packet.time_base, packet.stream = 500, Fraction(1, 1000), text
        target.mux(packet)
    with VideoWriter(tmp_path / "b.mkv", probe(late), carry=late) as writer:
        for frame in read_frames(late):
            writer.write(frame)
    assert subtitles(tmp_path / "b.mkv") == [(1.0, "Late.")]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mkv", None, "yuv420p"),
        ("a.mkv", "vp9", "yuv420p"),
        ("a.mkv", "ffv1", "yuv420p"),
        ("a.mkv", "prores", "yuv422p10le"),
        ("a.webm", None, "yuv420p"),
        ("a.avi", "ffv1", "yuv420p"),
        ("a.avi", None, "yuv420p"),
        ("a.mov", "dnxhr", "yuv422p"),
        ("a.mxf", "prores", "yuv422p10le"),
    ],
)
@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(8, 9)])
def test_the_shape_of_pixels_is_kept(tmp_path, name, codec, pix_fmt, aspect):
    source = Frame.from_rgb(smooth_rgb(128, 256, 1), pix_fmt=pix_fmt)
    path = tmp_path / name
    info = VideoInfo(path, 256, 128, Fraction(25), sample_aspect=aspect, pix_fmt=pix_fmt)
    with VideoWriter(path, info, codec=codec) as writer:
        writer.write(source)
    found = probe(path)
    assert found.sample_aspect == aspect
    assert (found.width, found.height) == (256, 128)
    with av.open(str(path)) as container:
        assert "title" not in container.streams.video[0].metadata
    # As RGB, frames have square pixels: one direction is enlarged, none loses rows or columns.
    again = next(read_frames(path)).to_rgb()
    width, height = (364, 128) if aspect > 1 else (256, 144)
    assert again.shape == (height, width, 3)
    square = Image.fromarray(source.to_rgb()).resize((width, height))
    assert np.abs(again.astype(int) - np.asarray(square)).mean() < 8
