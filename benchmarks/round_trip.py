"""Round trips: scenes in every container and codec through a render, and what comes out.

python -m benchmarks.round_trip            # prints the table of docs/footage.md

Each scene is made from the bundled synthetic person: two sound tracks, subtitles, chapters, title,
cover, attachment, timecode, pixels of 64:45, and where the codec has it HDR10 metadata or two
fields. It is rendered with ``--drive self --like-source`` and compared with the output, stream by
stream and tag by tag. What is bold is a loss that the render did not say.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any

import av

import dubfew
from dubfew.media import AudioSource, VideoInfo, VideoWriter, probe, read_frames
from dubfew.media.facts import MediaFacts, compare_facts, describe_color, read_facts
from dubfew.media.field_splitting import weave_fields
from dubfew.media.hdr import HdrMetadata
from dubfew.media.pixels import convert_picture
from dubfew.registry import Registry

ACTOR = Path(str(files("dubfew.demo") / "actor.mp4"))
# Frames of each scene: enough for a chapter, few enough to paint in seconds.
SCENE_FRAMES = 15
HDR10 = {
    "color_range": 1,
    "colorspace": 9,
    "color_primaries": 9,
    "color_trc": 16,
    "hdr": HdrMetadata(
        tuple(
            (Fraction(x, 50_000), Fraction(y, 50_000))
            for x, y in ((34_000, 16_000), (13_250, 34_500), (7_500, 3_000), (15_635, 16_450))
        ),
        (Fraction(1, 200), Fraction(1000)),
        1000,
        400,
    ),
}
FIELDS = {"field_order": 2}
SRT = b"1\n00:00:00,000 --> 00:00:00,400\nHello.\n\n2\n00:00:00,400 --> 00:00:00,600\nAnd more.\n"


@dataclass(frozen=True)
class Scene:
    """One kind of scene.

    Attributes:
        suffix: container.
        codec: encoder.
        pix_fmt: pixel format.
        facts: further properties of its picture.
    """

    suffix: str
    codec: str
    pix_fmt: str
    facts: dict[str, Any] = field(default_factory=dict)


SCENES = (
    Scene(".mp4", "libx264", "yuv420p"),
    Scene(".mp4", "libx265", "yuv420p10le", HDR10),
    Scene(".mp4", "libvpx-vp9", "yuv420p"),
    Scene(".mov", "libx264", "yuv422p", FIELDS),
    Scene(".mov", "libx265", "yuv420p10le", HDR10),
    Scene(".mov", "prores_ks", "yuv422p10le", FIELDS),
    Scene(".mov", "prores_ks", "yuv444p10le"),
    Scene(".mov", "dnxhd", "yuv422p10le"),
    Scene(".mkv", "libx264", "yuv420p"),
    Scene(".mkv", "libx265", "yuv420p10le", HDR10),
    Scene(".mkv", "ffv1", "yuv422p10le"),
    Scene(".mkv", "libvpx-vp9", "yuv420p"),
    Scene(".mkv", "prores_ks", "yuv422p10le"),
    Scene(".mkv", "prores_ks", "yuv444p10le"),
    Scene(".webm", "libvpx-vp9", "yuv420p"),
    Scene(".mxf", "dnxhd", "yuv422p"),
    Scene(".mxf", "prores_ks", "yuv422p10le"),
    Scene(".mxf", "libx264", "yuv422p10le"),
    Scene(".mxf", "mpeg2video", "yuv422p", FIELDS),
    Scene(".avi", "libx264", "yuv420p"),
    Scene(".avi", "ffv1", "yuv420p"),
)


def make_master(path: Path) -> Path:
    """Write a Matroska file with everything that surrounds a picture."""
    subtitles = path.with_suffix(".srt")
    subtitles.write_bytes(SRT)
    with (
        av.open(str(path), "w") as target,
        av.open(str(ACTOR)) as source,
        av.open(str(subtitles)) as text,
    ):
        video = target.add_stream_from_template(source.streams.video[0])
        video.metadata["TIMECODE"] = "10:00:00:00"
        lines = target.add_stream_from_template(text.streams.subtitles[0])
        lines.metadata["language"] = "deu"
        target.metadata.update(title="Reel 3", artist="Nobody", comment="A scene")
        chapters = [
            {
                "id": number,
                "start": 300 * number,
                "end": 300 * (number + 1),
                "time_base": Fraction(1, 1000),
                "metadata": {"title": name},
            }
            for number, name in enumerate(("One", "Two"))
        ]
        target.set_chapters(chapters)
        target.add_attachment("cover.jpg", "image/jpeg", make_cover())
        target.add_attachment("notes.txt", "text/plain", b"Lens 50 mm")
        for container, stream in ((source, video), (text, lines)):
            for packet in container.demux(container.streams[0]):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
    return path


def make_cover() -> bytes:
    """Encode the first picture as JPEG."""
    frame = next(read_frames(ACTOR))
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    picture = convert_picture(frame.picture, "yuvj420p", frame.color, frame.height, 2)
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])


def make_scene(scene: Scene, master: Path, folder: Path) -> Path:
    """Write a scene of one kind."""
    path = folder / f"scene{scene.suffix}"
    info: VideoInfo = replace(
        probe(ACTOR),
        path=path,
        pix_fmt=scene.pix_fmt,
        sample_aspect=Fraction(64, 45),
        **scene.facts,
    )
    sound = AudioSource(ACTOR, duration=SCENE_FRAMES / float(info.fps))
    with VideoWriter(path, info, audio=[sound, sound], codec=scene.codec, carry=master) as writer:
        order = info.field_order if info.is_interlaced else 0
        # Two frames are the fields of one.
        frames = read_frames(ACTOR, stop=SCENE_FRAMES * (2 if order else 1))
        for frame in weave_fields(frames, order):
            # The same picture in the color of the scene.
            writer.write(
                type(frame)
                .from_rgb(frame.to_rgb(), frame.index, info.fps, scene.pix_fmt, info.color)
                .with_time(frame.index, frame.index / info.fps)
            )
    return path


def list_contents(facts: MediaFacts) -> list[str]:
    """List in words what a file holds."""
    info = facts.video
    assert info is not None
    found = [f"{info.codec} {info.profile}".strip(), describe_color(info)]
    found += ["pixels of 64:45"] if info.sample_aspect != 1 else []
    found += ["fields"] if info.is_interlaced else []
    found += ["HDR10"] if info.hdr else []
    for kind, word in (
        ("audio", "sound"),
        ("subtitle", "subtitles"),
        ("cover", "cover"),
        ("attachment", "attachment"),
    ):
        streams = facts.of_kind(kind)
        if streams:
            codecs = "/".join(dict.fromkeys(each.codec for each in streams if each.codec))
            found.append(f"{len(streams)} {word} {codecs}".strip())
    found += [f"{len(facts.chapters)} chapters"] if facts.chapters else []
    found += ["timecode"] if facts.timecode else []
    found += [", ".join(sorted(facts.tags))] if facts.tags else []
    return found


def run(scenes: tuple[Scene, ...] = SCENES) -> Iterator[str]:
    """Render every scene, and yield the rows of the table."""
    yield "| scene | holds | of that the output holds | converted or dropped, and said |"
    yield "|---|---|---|---|"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        registry = Registry(folder / "home")
        dubfew.adapt(ACTOR, steps=0, seconds=2, prior="warp", registry=registry)
        master = make_master(folder / "master.mkv")
        for scene in scenes:
            path = make_scene(scene, master, folder)
            output = folder / f"output{scene.suffix}"
            result = dubfew.render(
                "actor",
                video=path,
                drive="self",
                out=output,
                like_source=True,
                overwrite=True,
                anyone=True,
                registry=registry,
            )
            before, after = read_facts(path), read_facts(output)
            said = result.note.split("; ")
            losses = compare_facts(before, after)
            silent = [line for line in losses if line not in said]
            kept = [each for each in list_contents(before) if each in list_contents(after)]
            lines = [line for line in said if line in losses or "brought to" in line]
            lines += [line for line in said if "interlaced" in line]
            lines += [f"**{line}**" for line in silent]
            whole = "all" if kept == list_contents(before) else "; ".join(kept)
            yield (
                f"| {scene.suffix[1:]}, {scene.codec} {scene.pix_fmt} | "
                f"{'; '.join(list_contents(before))} | {whole} | {'; '.join(lines) or '-'} |"
            )


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for row in run():
        print(row)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
