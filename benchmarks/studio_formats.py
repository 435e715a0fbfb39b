"""Studio formats: every one out and in again, and what differs afterwards.

    python -m benchmarks.studio_formats

Videos and pictures are frames of the bundled synthetic person. In a video of each profile a box is
painted, and the whole is written again in the same profile: what the box does not touch has been
encoded twice. In a sequence of pictures the box is painted by way of the working video, as a render
does it. Motion of the bundled line goes out and in again as blendshapes, times of lines are read
from every format of theirs, and cuts go through every format of timelines.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import dubfew
from benchmarks.common import DEMO_CLIP, RESULTS, machine_line, markdown_table, write_results
from dubfew.conform.lines import Line, read_lines
from dubfew.conform.timecode import format_timecode
from dubfew.conform.timeline import read_program, write_program
from dubfew.media import Frame, VideoInfo, VideoWriter, probe, read_frames
from dubfew.media.facts import read_facts
from dubfew.media.image_files import read_image
from dubfew.media.image_sequences import find_sequence, make_working_video, write_sequence
from dubfew.media.pixels import NATIVE_FORMATS, new_picture
from dubfew.speech.visemes import controls_from_motion
from dubfew.takes.blendshapes import import_take, write_blendshapes
from dubfew.utils.import_utils import import_optional

NTSC = Fraction(30000, 1001)
FRAMES = 6
FIRST_NUMBER = 1001
# Where paint goes, in parts of height and width: the face of the bundled clip, as a mouth is there.
PAINTED_ROWS, PAINTED_COLUMNS = (0.55, 0.75), (0.4, 0.6)
TIMECODE = "00:59:59;28"
PROFILES = (
    *(("prores", name, "yuv422p10le") for name in ("LT", "Standard", "HQ")),
    *(("prores", name, "yuv444p10le") for name in ("4444", "XQ")),
    *(("dnxhd", f"DNXHR {name}", "yuv422p") for name in ("LB", "SQ", "HQ")),
    ("dnxhd", "DNXHR HQX", "yuv422p10le"),
    ("dnxhd", "DNXHR 444", "yuv444p10le"),
)
# Begin and end of lines, ms: on no frame, on a frame of 25, and next to each other.
LINE_TIMES = ((200, 500), (1040, 2960), (2960, 3333))


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    given = parser.parse_args()
    print(machine_line())
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as name:
        for part in (list_videos, list_pictures, list_motions, list_lines, list_timelines):
            folder = Path(name) / part.__name__
            folder.mkdir()
            for row in part(folder):
                rows.append([*row])
                print(rows[-1], file=sys.stderr, flush=True)
    table = markdown_table(["format", "kept", "difference"], rows)
    write_results(given.out, "studio_formats", table, rows)
    print(table)


def list_videos(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Write every profile twice."""
    for codec, profile, pix_fmt in PROFILES:
        for suffix in (".mov", ".mxf"):
            first, second = folder / f"first{suffix}", folder / f"second{suffix}"
            info = replace(
                probe(DEMO_CLIP),
                path=first,
                fps=NTSC,
                codec=codec,
                profile=profile,
                pix_fmt=pix_fmt,
                color_range=1,
                colorspace=1,
                color_primaries=1,
                color_trc=1,
            )
            with VideoWriter(first, info, like_source=True, timecode=TIMECODE) as writer:
                for frame in read_frames(DEMO_CLIP, stop=FRAMES):
                    rgb = frame.to_rgb()
                    writer.write(Frame.from_rgb(rgb, frame.index, NTSC, pix_fmt, info.color))
            filmed = probe(first)
            with VideoWriter(second, filmed, like_source=True, carry=first) as writer:
                for frame in read_frames(first):
                    writer.write(_paint(frame))
            kept = _compare_facts(first, second)
            outside, inside = _compare_planes(first, second, pix_fmt)
            yield (
                f"{'ProRes' if codec == 'prores' else 'DNxHR'} {profile.removeprefix('DNXHR ')}, "
                f"{suffix[1:].upper()}",
                kept,
                f"second generation: {outside:.2f} of 255 in the mean; painted {inside:.0f}",
            )


def list_pictures(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Paint into sequences by way of a working video."""
    for kind, (suffix, write) in _PICTURES.items():
        place = folder / kind.replace(" ", "-")
        place.mkdir()
        for number, frame in enumerate(read_frames(DEMO_CLIP, stop=FRAMES), FIRST_NUMBER):
            write(place / f"shot.{number}{suffix}", frame.to_rgb())
        sequence = find_sequence(place / f"shot.%04d{suffix}")
        scene, dub = place / "scene.mkv", place / "dub.mkv"
        make_working_video(sequence, scene, rate=Fraction(24))
        with VideoWriter(dub, probe(scene), lossless=True) as writer:
            for frame in read_frames(scene):
                writer.write(_paint(frame))
        out = place / "new"
        write_sequence(sequence, scene, dub, out / f"shot.%04d{suffix}")
        made = find_sequence(out / f"shot.%04d{suffix}")
        outside, inside = 0, 0
        for old, new in zip(sequence.files, made.files, strict=True):
            before, after = (read_image(path).rgb for path in (old, new))
            differs = (before != after).any(axis=2)
            area = _painted_area(*differs.shape)
            outside += int(differs[~area].sum())
            inside += int(differs[area].sum())
        numbers = "numbers" if made.numbers == sequence.numbers else "**other numbers**"
        header = "the first picture's header" if kind.startswith("EXR") else ""
        if header and not _same_exr_header(sequence.files[0], made.files[0]):
            header = "**another header**"
        code = read_facts(scene).timecode
        first = format_timecode(FIRST_NUMBER, Fraction(24), drop=False)
        timecode = "timecode" if code == first else f"**{code}**"
        yield (
            kind,
            ", ".join(filter(None, [numbers, timecode, header])),
            f"{outside} pixels outside of the paint; {inside} pixels painted",
        )


def list_motions(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Write the motion of the bundled line as blendshapes, and read it."""
    take = dubfew.record_motion(DEMO_CLIP.with_name("dub.wav"))
    motion = take.motion
    for suffix, name in _MOTIONS.items():
        path = folder / f"line{suffix}"
        write_blendshapes(path, motion, 60.0)
        again = import_take(path).motion
        wanted = motion.resample(again.times)
        controls = controls_from_motion(again) - controls_from_motion(wanted)
        lost = np.linalg.norm(again.displacement - wanted.displacement)
        whole = np.linalg.norm(wanted.displacement)
        times = np.abs(np.diff(again.times) - 1 / 60).max()
        yield (
            name,
            f"{len(again)} frames, times within {1000 * times:.4f} ms",
            f"openings, width, rounding, chin: {100 * np.abs(controls).max():.2f} % of the eyes' "
            f"distance at most; {100 * lost / whole:.0f} % of the whole motion",
        )


def list_lines(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Read the same lines from every format."""
    edl = folder / "program.edl"
    edl.write_text(_format_edl(NTSC, True))
    program = read_program(edl, rate=float(NTSC))
    for suffix, write in _LINES.items():
        path = folder / f"lines{suffix}"
        path.write_text(write())
        lines, problems, _ = read_lines(path, program)
        worst = max(_late_ms(line, wanted) for line, wanted in zip(lines, LINE_TIMES, strict=True))
        texts = [line.text for line in lines] == [f"Line {k}." for k in range(len(LINE_TIMES))]
        said = "texts, times" if texts and not problems else f"**{problems or 'other texts'}**"
        yield suffix[1:].upper(), said, f"times: {worst:.3f} ms at most"


def list_timelines(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Write and read cuts in every format and rate."""
    for rate, drop in ((Fraction(24000, 1001), False), (Fraction(25), False), (NTSC, True)):
        edl = folder / f"{float(rate):.2f}.edl"
        edl.write_text(_format_edl(rate, drop))
        program = read_program(edl, rate=float(rate))
        for suffix, name in ((".edl", "EDL"), (".xml", "FCP XML"), (".otio", "OTIO")):
            path = folder / f"again{suffix}"
            write_program(program.timeline, path, program.rate, drop=program.drop)
            again = read_program(path, rate=float(rate))
            wrong = [
                one.name
                for one, other in zip(program.shots, again.shots, strict=True)
                if (one.name, one.start, one.seconds, one.source_start)
                != (other.name, other.start, other.seconds, other.source_start)
            ]
            head = (again.rate, again.first_frame) == (program.rate, program.first_frame)
            dropped = " drop-frame" if drop else ""
            yield (
                f"{name}, {float(rate):.5g}{dropped}",
                "exact rate, first timecode" if head else "**another rate or first timecode**",
                f"{len(wrong)} of {len(program.shots)} cuts",
            )


# -- helpers -----------------------------------------------------------------------------------


def _painted_area(height: int, width: int) -> NDArray[np.bool_]:
    """Return True where paint goes. [H, W]"""
    area = np.zeros((height, width), bool)
    rows, columns = (
        slice(*(round(share * side) for share in shares))
        for shares, side in ((PAINTED_ROWS, height), (PAINTED_COLUMNS, width))
    )
    area[rows, columns] = True
    return area


def _paint(frame: Frame) -> Frame:
    """Halve the luma of the box, as a render changes a mouth."""
    luma, *others = (plane.copy() for plane in frame.planes())
    luma[_painted_area(*luma.shape)] //= 2
    planes = (luma, *others)
    picture = new_picture(frame.pix_fmt, frame.width, frame.height, planes)
    return Frame(picture, frame.index, frame.stamp, frame.duration, frame.color)


def _compare_facts(first: Path, second: Path) -> str:
    """Name what two videos have in common, what differs in bold."""
    before, after = probe(first), probe(second)

    def tags(info: VideoInfo) -> tuple[int, ...]:
        return info.color_range, info.colorspace, info.color_primaries, info.color_trc

    compared: dict[str, bool] = {
        "profile": (before.codec, before.profile, before.pix_fmt)
        == (after.codec, after.profile, after.pix_fmt),
        "rate": after.fps == before.fps == NTSC,
        # Counted: MXF does not state their number.
        "frames": sum(1 for _ in read_frames(second)) == FRAMES,
        "color": tags(before) == tags(after),
        "timecode": read_facts(first).timecode == read_facts(second).timecode == TIMECODE,
    }
    return ", ".join(name if same else f"**other {name}**" for name, same in compared.items())


def _compare_planes(first: Path, second: Path, pix_fmt: str) -> tuple[float, float]:
    """Return how far lumas differ outside and inside of the paint, in levels of 8 bits."""
    step = 2.0 ** (NATIVE_FORMATS[pix_fmt].bits - 8)
    found = []
    for old, new in zip(read_frames(first), read_frames(second), strict=True):
        luma = [frame.planes()[0].astype(float) for frame in (old, new)]
        difference = np.abs(luma[0] - luma[1]) / step
        area = _painted_area(*difference.shape)
        found.append((difference[~area].mean(), difference[area].mean()))
    outside, inside = np.mean(found, axis=0)
    return float(outside), float(inside)


def _write_integers(bits: int) -> Callable[[Path, NDArray[np.uint8]], None]:
    def write(path: Path, rgb: NDArray[np.uint8]) -> None:
        image = rgb[..., ::-1]
        cv2.imwrite(str(path), image if bits == 8 else image.astype(np.uint16) * 257)

    return write


def _write_floats(path: Path, rgb: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(path), (rgb[..., ::-1] / 255).astype(np.float32))


def _write_dpx(pix_fmt: str) -> Callable[[Path, NDArray[np.uint8]], None]:
    """Write DPX by FFmpeg, which is nobody here's code."""
    import av

    def write(path: Path, rgb: NDArray[np.uint8]) -> None:
        height, width = rgb.shape[:2]
        with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
            stream = container.add_stream("dpx", rate=24)
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
            container.mux(stream.encode(frame.reformat(format=pix_fmt)))
            container.mux(stream.encode(None))

    return write


def _write_exr(kind: type) -> Callable[[Path, NDArray[np.uint8]], None]:
    """Write EXR in scene light, whites of 4, with a channel of depth."""
    exr = import_optional("OpenEXR")

    def write(path: Path, rgb: NDArray[np.uint8]) -> None:
        linear = (4 * (rgb / 255.0) ** 2.2).astype(kind)
        channels = {name: np.ascontiguousarray(linear[..., k]) for k, name in enumerate("RGB")}
        channels["Z"] = rgb[..., 0].astype(np.float32)
        header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage, "scene": "A12"}
        with exr.File(header, channels) as file:
            file.write(str(path))

    return write


def _same_exr_header(first: Path, second: Path) -> bool:
    """Return whether two EXR say the same, and have the same other channels."""
    exr = import_optional("OpenEXR")

    found: list[tuple[Any, ...]] = []
    for path in (first, second):
        with exr.File(str(path), separate_channels=True) as file:
            channels = {name: str(each.pixels.dtype) for name, each in file.channels().items()}
            found.append((file.header()["scene"], channels, file.channels()["Z"].pixels.tobytes()))
    return found[0] == found[1]


def _format_edl(rate: Fraction, drop: bool) -> str:
    """Write a list of four cuts from two reels."""
    count = round(rate)
    first = 60 * 60 * count - (108 if drop else 0)  # 01:00:00:00
    text, record = [f"TITLE: CUTS\nFCM: {'' if drop else 'NON-'}DROP FRAME\n"], first
    for number, (reel, begin, frames) in enumerate(
        (("A001", 1000, 48), ("B002", 7, 1), ("A001", 1048, 1801), ("B002", 90_000, 25)), 1
    ):
        times = (begin, begin + frames, record, record + frames)
        codes = " ".join(format_timecode(each, rate, drop=drop) for each in times)
        text.append(f"{number:03d}  {reel:<8} V     C        {codes}")
        text.append(f"* FROM CLIP NAME: {reel}_{number}.mov")
        record += frames
    return "\n".join(text) + "\n"


def _late_ms(line: Line, wanted: tuple[int, int]) -> float:
    """Return how far the times of a line are from those that were written, ms."""
    assert line.start is not None
    assert line.end is not None
    found = (line.start, line.end)
    return max(abs(float(a) * 1000 - b) for a, b in zip(found, wanted, strict=True))


def _clock(milliseconds: int, comma: str) -> str:
    return f"00:00:{milliseconds // 1000:02d}{comma}{milliseconds % 1000:03d}"


def _format_srt() -> str:
    return "\n".join(
        f"{k + 1}\n{_clock(begin, ',')} --> {_clock(end, ',')}\nLine {k}.\n"
        for k, (begin, end) in enumerate(LINE_TIMES)
    )


def _format_vtt() -> str:
    return "WEBVTT\n\n" + "\n".join(
        f"{_clock(begin, '.')} --> {_clock(end, '.')}\nLine {k}.\n"
        for k, (begin, end) in enumerate(LINE_TIMES)
    )


def _format_ttml() -> str:
    cues = "".join(
        f'<p begin="{_clock(begin, ".")}" end="{_clock(end, ".")}">Line {k}.</p>'
        for k, (begin, end) in enumerate(LINE_TIMES)
    )
    return (
        f'<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="en"><body><div>{cues}</div></body></tt>'
    )


def _format_csv() -> str:
    rows = (
        f"l{k},{begin / 1000},{end / 1000},Line {k}." for k, (begin, end) in enumerate(LINE_TIMES)
    )
    return "\n".join(("id,start,end,text", *rows))


_PICTURES: dict[str, tuple[str, Callable[[Path, NDArray[np.uint8]], None]]] = {
    "PNG, 8 bits": (".png", _write_integers(8)),
    "PNG, 16 bits": (".png", _write_integers(16)),
    "TIFF, 8 bits": (".tif", _write_integers(8)),
    "TIFF, 16 bits": (".tif", _write_integers(16)),
    "TIFF, floats": (".tif", _write_floats),
    "DPX, 10 bits": (".dpx", _write_dpx("gbrp10le")),
    "DPX, 12 bits": (".dpx", _write_dpx("gbrp12le")),
    "DPX, 16 bits": (".dpx", _write_dpx("rgb48le")),
    "EXR, half": (".exr", _write_exr(np.float16)),
    "EXR, floats": (".exr", _write_exr(np.float32)),
}
_MOTIONS = {
    ".csv": "ARKit CSV",
    ".json": "Audio2Face JSON",
    ".usda": "USD, text",
    ".usdc": "USD, binary",
    ".glb": "glTF, binary",
}
_LINES = {".srt": _format_srt, ".vtt": _format_vtt, ".ttml": _format_ttml, ".csv": _format_csv}


if __name__ == "__main__":
    main()
