"""Files that people report trouble with, through a render, and what comes out.

    python -m benchmarks.fault_files [FOLDER] [--clip CLIP] [--only ROW,ROW] [--out FOLDER]

The folder holds small scenes made from one clip, of the kinds that docs/footage.md lists under
"Faults that were mended"; further ones are made here. The actor is adapted on the first three
seconds of the clip, without training. Scenes whose picture was wrong are rendered with ``--drive
self``, so that the scene itself is the right answer; those whose sound or clock was wrong with a
dub.

For each row the benchmark prints the frames that were painted, the PSNR of all pixels that differ
from the scene (the encoder changes some outside of the mask), lengths of picture and sound before
and after, losses that the note does not say, and the note. It writes a sheet of every frame of each
picture row: scene and render.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import dubfew
from benchmarks.common import FOOTAGE, RESULTS, machine, machine_line, show, write_results
from benchmarks.scene_light import ADAPT_SECONDS, psnr_in_masks
from dubfew.errors import DubfewError
from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter, probe, read_audio, read_frames
from dubfew.media.facts import compare_facts, read_facts
from dubfew.registry import Registry

FAULTS = FOOTAGE.parent / "faults"
CLIP = FOOTAGE / "hdtf_RD_Radio18.mp4"
SCENE, DUB = "base.mp4", "dub.wav"
# Width of a frame in the sheets, px, and pairs in a row.
SHEET_WIDTH, SHEET_COLUMNS = 160, 6
LONG_SOUND_SECONDS = 3 * 3600
SELF = {"drive": "self"}

RGB = NDArray[np.uint8]  # [H, W, 3]


@dataclass(frozen=True)
class Row:
    """One file and how it is rendered.

    Attributes:
        name: of the row.
        scene: file in the folder, or what makes one.
        suffix: container of the output.
        audio: sound of the dub in the folder, or what makes it; "" for the scene's own.
        options: further options of the render.
    """

    name: str
    scene: str | Callable[[Files], Path] = SCENE
    suffix: str = ".mp4"
    audio: str | Callable[[Files], Path] = DUB
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Files:
    """Where files are found, and where further ones are written.

    Attributes:
        faults: folder of the scenes.
        made: folder for those that are made here.
    """

    faults: Path
    made: Path

    def find(self, source: str | Callable[[Files], Path]) -> Path:
        """Return the path of a file, which is made if it is not there yet."""
        return self.faults / source if isinstance(source, str) else source(self)

    def write(self, name: str, pix_fmt: str, codec: str | None = None, **facts: Any) -> Path:
        """Write the plain scene in another form, with its sound."""
        source, path = self.faults / SCENE, self.made / name
        info = probe(source)
        sound = AudioSource(source, duration=info.duration)
        form = {"color_range": 1, "colorspace": 1, "color_primaries": 1, "color_trc": 1, **facts}
        info = VideoInfo(path, info.width, info.height, info.fps, pix_fmt=pix_fmt, **form)
        with VideoWriter(path, info, lossless=codec is None, codec=codec, audio=sound) as writer:
            for frame in read_frames(source):
                rgb, number = frame.to_rgb(), frame.index
                writer.write(Frame.from_rgb(rgb, number, info.fps, pix_fmt, info.color))
        return path


def _with_alpha(files: Files) -> Path:
    """ProRes 4444 with an alpha channel, 12 bit."""
    path = files.made / "alpha.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("prores_ks", rate=25, options={"profile": "4444"})
        stream.pix_fmt = "yuva444p10le"
        stream.width = stream.height = probe(files.faults / SCENE).width
        for frame in read_frames(files.faults / SCENE):
            picture = av.VideoFrame.from_ndarray(frame.to_rgb(), "rgb24")
            for packet in stream.encode(picture.reformat(format="yuva444p10le")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def _equal_stamps(files: Files) -> Path:
    """Four frames in a row with one time stamp."""
    source, path = files.faults / SCENE, files.made / "equal.mkv"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        picture = new.add_stream("mjpeg", rate=25, options={"qmin": "1", "qmax": "1"})
        picture.pix_fmt = "yuvj420p"
        picture.width = picture.height = probe(source).width
        sound = new.add_stream_from_template(old.streams.audio[0])
        for number, frame in enumerate(read_frames(source)):
            shown = av.VideoFrame.from_ndarray(frame.to_rgb(), "rgb24")
            for packet in picture.encode(shown.reformat(format="yuvj420p")):
                place = 10 if 10 <= number < 14 else number
                packet.pts = packet.dts = round(place / 25 / packet.time_base)
                new.mux(packet)
        for packet in old.demux(old.streams.audio[0]):
            if packet.pts is not None:
                packet.stream = sound
                new.mux(packet)
    return path


def _hand(files: Files) -> Path:
    """Skin without features over mouth and chin, with the brightness of a hand."""
    pictures = [f.to_rgb() for f in read_frames(files.faults / SCENE)]
    height, width = pictures[0].shape[:2]
    skin = np.median(pictures[0][height // 2 - 20 : height // 2, width // 3 : width // 2], (0, 1))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    # Four fingers from below: rounded, darker between them.
    finger = np.abs(np.sin(columns / width * 8 * np.pi))
    shade = (0.75 + 0.3 * finger + 0.1 * (rows / height))[..., None]
    hand = (shade * skin).clip(0, 255).astype(np.uint8)
    inside = (rows > 0.62 * height) & (np.abs(columns - 0.5 * width) < 0.28 * width)
    path = files.made / "hand.mkv"
    info = VideoInfo(path, width, height, Fraction(25))
    with VideoWriter(path, info, lossless=True) as writer:
        for number, picture in enumerate(pictures):
            drawn = np.where(inside[..., None], hand, picture)
            writer.write(Frame.from_rgb(drawn, number, 25))
    return path


def _long_sound(files: Files) -> Path:
    """Three hours of sound."""
    path = files.made / "long.flac"
    sound = read_audio(files.faults / DUB)
    samples = (np.asarray(sound.samples) * 32767).astype(np.int16)[None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=sound.rate, layout="mono")
        for _ in range(round(LONG_SOUND_SECONDS / sound.duration)):
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = sound.rate
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def _pictures(files: Files) -> Path:
    """A sequence of pictures, named by its pattern."""
    folder = files.made / "seq"
    folder.mkdir(exist_ok=True)
    for frame, number in zip(read_frames(files.faults / SCENE, stop=12), count(1), strict=False):
        Image.fromarray(frame.to_rgb()).save(folder / f"{number:04d}.png")
    return folder / "%04d.png"


ASPECT = {"sample_aspect": Fraction(64, 45)}
ROWS = (
    Row("base", options=SELF),
    *(Row(name, f"{name}.mp4", options=SELF) for name in ("fade", "night", "bwfilm", "logflat")),
    *(Row(f"multi to {s}", "multi.mp4", s) for s in (".mp4", ".mkv", ".mov", ".avi")),
    Row("xdcam", "xdcam.mxf", ".mxf", "", {"like_source": True}),
    Row("antiphase", audio="antiphase.wav"),
    Row("poly60", audio="poly60.wav"),
    Row("restart", "restart.ts", ".mp4", "", SELF),
    Row("vfr_hold", "vfr_hold.mp4", ".mp4", "", SELF),
    Row("emptyedit", "emptyedit.mp4", ".mp4", "", SELF),
    Row("late_audio", "late_audio.mp4", ".mp4", "", SELF),
    Row("equal stamps", _equal_stamps, ".mkv", "", SELF),
    Row("pq", "pq.mp4", options=SELF),
    Row("hlg", "hlg.mov", ".mov", options=SELF),
    Row("ProRes with alpha", _with_alpha, ".mov", options={**SELF, "codec": "prores"}),
    Row(
        "ProRes of full range",
        lambda files: files.write("full.mkv", "yuvj420p", color_range=2),
        ".mov",
        options={**SELF, "codec": "prores"},
    ),
    Row("pal169", "pal169.mp4", options=SELF),
    *(
        Row(f"64:45 to {s}", "pal169.mp4", s, options={**SELF, "codec": codec})
        for s, codec in ((".webm", None), (".mkv", "ffv1"), (".mkv", "prores"), (".avi", None))
    ),
    Row("HEVC from 10 bit", "pq.mp4", ".mov", options=SELF),
    *(Row(name, f"{name}.mp4", options=SELF) for name in ("mic", "dissolve", "burntin")),
    Row("hand", _hand, options=SELF),
    Row("three hours of sound", audio=_long_sound, options={"fit": "trim"}),
    Row("a sequence", _pictures),
    Row("tile", "tile.mp4", options=SELF),
)


@dataclass(frozen=True)
class Outcome:
    """What came out of one row, in words, and pairs of scene and render."""

    name: str
    text: str
    pairs: list[RGB]


def run_row(row: Row, files: Files, registry: Registry) -> Outcome:
    """Render one row and describe what came out."""
    scene = files.find(row.scene)
    options = dict(row.options)
    if "drive" not in options:
        options["audio"] = files.find(row.audio) if row.audio else scene
    try:
        result = dubfew.render(
            "a",
            video=scene,
            out=files.made / f"out{row.suffix}",
            registry=registry,
            overwrite=True,
            progress=show,
            **options,
        )
    except DubfewError as error:
        return Outcome(row.name, f"refused: {error}", [])
    output = files.made / f"out{row.suffix}"
    before, after = list(read_frames(scene)), list(read_frames(output))
    parts = [f"{result.edited_frames} of {result.frames} frames painted"]
    pairs = list(zip((f.to_rgb() for f in before), (f.to_rgb() for f in after), strict=False))
    pairs = [(a, b) for a, b in pairs if a.shape == b.shape]
    if pairs and "drive" in options:
        errors = [np.abs(a.astype(int) - b).max(-1) for a, b in pairs]
        truth, shown = ([p[n] for p in pairs] for n in (0, 1))
        masks = [e > 0 for e in errors]
        parts.append(f"{psnr_in_masks(truth, shown, masks):.1f} dB where anything changed")
    stamps = [[float(f.stamp) for f in frames] for frames in (before, after)]
    late = max((abs(a - b) for a, b in zip(*stamps, strict=False)), default=0.0)
    parts.append(f"{len(after)} of {len(before)} frames, {1000 * late:.0f} ms off at most")
    sounds = [_measure_sound(each) for each in (scene, output)]
    parts.append(f"sound {sounds[0]} before, {sounds[1]} after")
    facts = read_facts(output)
    if facts.video is not None:
        parts.append(f"{facts.video.codec} {facts.video.profile} {facts.video.pix_fmt}".strip())
    with av.open(str(output)) as container:
        parts.append(f"tag {container.streams.video[0].codec_context.codec_tag!r}")
    said = result.note.split("; ")
    silent = [loss for loss in compare_facts(read_facts(scene), facts) if loss not in said]
    parts.append(f"not said: {'; '.join(silent) or 'nothing'}")
    parts.append(f"note: {result.note}")
    return Outcome(row.name, "\n  ".join(parts), [np.concatenate(p, 1) for p in pairs])


def _measure_sound(path: Path) -> str:
    """Length and level of a file's main sound."""
    if not probe(path).has_audio:
        return "none"
    samples = np.asarray(read_audio(path).samples)
    level = float(np.sqrt(np.square(samples, dtype=np.float64).mean())) if len(samples) else 0.0
    return f"{len(samples) / 16000:.2f} s of level {level:.3f}"


def _make_sheet(pairs: list[RGB]) -> RGB:
    """Lay out pairs in rows."""
    height, width = pairs[0].shape[:2]
    size = (2 * SHEET_WIDTH, round(2 * SHEET_WIDTH * height / width))
    small = [np.asarray(Image.fromarray(p).resize(size, Image.Resampling.LANCZOS)) for p in pairs]
    small += [np.zeros_like(small[0])] * (-len(small) % SHEET_COLUMNS)
    rows = [small[n : n + SHEET_COLUMNS] for n in range(0, len(small), SHEET_COLUMNS)]
    return np.concatenate([np.concatenate(row, 1) for row in rows])


def run(rows: tuple[Row, ...], faults: Path, clip: Path, folder: Path) -> Iterator[Outcome]:
    """Adapt the actor and render all rows."""
    registry, known = Registry(folder / "home"), folder / "known.mkv"
    info = probe(clip)
    with VideoWriter(known, info, lossless=True) as writer:
        for frame in read_frames(clip, stop=round(ADAPT_SECONDS * float(info.fps))):
            writer.write(frame)
    dubfew.adapt(known, actor="a", steps=0, registry=registry, progress=show)
    for row in rows:
        yield run_row(row, Files(faults, folder), registry)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faults", nargs="?", type=Path, default=FAULTS, help="default: %(default)s")
    parser.add_argument("--clip", type=Path, default=CLIP, help="default: %(default)s")
    parser.add_argument("--only", help="rows; default: all")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    options = parser.parse_args(arguments)
    wanted = None if options.only is None else options.only.split(",")
    rows = tuple(row for row in ROWS if wanted is None or row.name in wanted)
    if not rows:
        parser.error(f"no row in {options.only!r}: choose among {', '.join(r.name for r in ROWS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="dubfew-faults-") as name:
        for outcome in run(rows, options.faults, options.clip, Path(name)):
            outcomes.append(outcome)
            print(f"{outcome.name}: {outcome.text}", file=sys.stderr, flush=True)
            if outcome.pairs:
                sheet = Image.fromarray(_make_sheet(outcome.pairs))
                sheet.save(options.out / f"fault-{outcome.name.replace(' ', '-')}.png")
    text = f"# Faults\n\n{machine_line()}\n\n"
    text += "\n".join(f"- {each.name}: {each.text}" for each in outcomes) + "\n"
    results = {"machine": machine(), "rows": {each.name: each.text for each in outcomes}}
    write_results(options.out, "fault_files", text, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
