"""Footage of the kinds that people report trouble with, made from one clip, and what comes out.

    python -m benchmarks.odd_footage [CLIP] [--out FOLDER] [--kinds KIND,KIND] [--frames N]

The actor is adapted on the first three seconds of a clip, without training. The frames that follow
are altered in many ways, each with its own rule of what is right, and rendered with ``--drive
self``: the altered scene itself is the right answer. *Ideal* is the render of the unaltered scene,
altered afterwards. Scenes of what goes out hold the bundled synthetic person.

The benchmark prints a row per scene and the number of right ones per kind, and writes a sheet:
scene and render of the middle frame.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion, gaussian_filter

import dubfew
from benchmarks.common import (
    FOOTAGE,
    RESULTS,
    machine,
    machine_line,
    markdown_table,
    show,
    write_results,
)
from benchmarks.round_trip import ACTOR, Scene, make_master, make_scene
from benchmarks.scene_light import (
    ADAPT_SECONDS,
    Alteration,
    alter,
    psnr_in_masks,
)
from dubfew.errors import DubfewError
from dubfew.evaluate.regions import mouth_region
from dubfew.media import (
    AudioSource,
    ColorTags,
    Frame,
    VideoInfo,
    VideoWriter,
    probe,
    read_audio,
    read_frames,
)
from dubfew.media.facts import compare_facts, read_facts
from dubfew.media.field_splitting import weave_fields
from dubfew.reconstruction.shading_model import linear_to_srgb, srgb_to_linear
from dubfew.reconstruction.tracking import track_video
from dubfew.registry import Registry

CLIP = FOOTAGE / "hdtf_RD_Radio18.mp4"
# Frames of a scene. FFmpeg does not tell where the picture of a shorter Matroska file begins.
NUM_FRAMES = 12
# Loss beside the ideal from which a row is wrong, dB; and that of rows whose pixels or colors are
# others than the plain scene's.
MAX_LOSS_DB, MAX_CONVERTED_LOSS_DB = 1.5, 2.0
# Change of a thing before the face from which it is painted over, levels.
MAX_THING_CHANGE = 3.0
# Difference of length between picture and sound of scene and output that is right, s.
MAX_CLOCK_ERROR = 0.05
# Length of sounds that somebody speaks in, s: tracks are searched second by second.
LOOK_SECONDS = 2
# Change of contrast by a conversion that is right.
MAX_CONTRAST_CHANGE = 0.02
BT709 = ColorTags(1, 1, 1, 1)

RGB = NDArray[np.uint8]  # [H, W, 3]


@dataclass(frozen=True)
class Row:
    """One scene of a kind, whether the output is right, and what was seen."""

    kind: str
    name: str
    is_right: bool
    text: str


class Bench:
    """One actor, a scene, and its plain render.

    Args:
        clip: file of one talking person with sound.
        folder: where files are written.
        count: frames of the scene.
    """

    def __init__(self, clip: Path, folder: Path, count: int) -> None:
        self.folder, self.info = folder, probe(clip)
        self.fps, self.clip = self.info.fps, clip
        learned = round(ADAPT_SECONDS * float(self.fps))
        pictures = [f.to_rgb() for f in read_frames(clip, stop=learned + count)]
        self.sound = AudioSource(clip, ADAPT_SECONDS, count / float(self.fps))
        self.registry = Registry(folder / "home")
        self.pictures = pictures[learned:]
        known = self.write("known", pictures[:learned])
        dubfew.adapt(known, actor="a", steps=0, registry=self.registry, progress=show)
        scene = self.write("plain", self.pictures)
        region = mouth_region(track_video(scene, progress=show))
        masks = [region(n) for n in range(len(self.pictures))]
        self.masks = [m for m in masks if m is not None]
        self.plain, _, _ = self.render(scene)
        self.plain_psnr = psnr_in_masks(self.pictures, self.plain, self.masks)
        self.sheet: list[RGB] = []

    def write(
        self,
        name: str,
        pictures: Sequence[RGB],
        suffix: str = ".mkv",
        *,
        color: ColorTags = BT709,
        codec: str | None = None,
        audio: AudioSource | Sequence[AudioSource] | None = None,
        times: Sequence[Fraction] | None = None,
        **facts: Any,
    ) -> Path:
        """Write pictures without loss, or with a codec of its own loss."""
        height, width = pictures[0].shape[:2]
        info = VideoInfo(
            self.folder / f"{name.replace(' ', '-').replace(':', '-')}{suffix}",
            width,
            height,
            self.fps,
            color_range=color.range,
            colorspace=color.matrix,
            color_primaries=color.primaries,
            color_trc=color.transfer,
            **facts,
        )
        order = info.field_order if info.is_interlaced else 0
        frames = (
            Frame.from_rgb(picture, number, self.fps, info.pix_fmt, color)
            for number, picture in enumerate(pictures)
        )
        lossless = codec is None
        with VideoWriter(info.path, info, lossless=lossless, codec=codec, audio=audio) as writer:
            for number, frame in enumerate(weave_fields(frames, order)):
                time = number / self.fps if times is None else times[number]
                writer.write(frame.with_time(number, time))
        return info.path

    def render(
        self, scene: Path, suffix: str = ".mkv", *, actor: str = "a", **options: Any
    ) -> tuple[list[RGB], Any, Path]:
        """Render a scene; return pictures, result and file."""
        out = self.folder / f"out-{scene.stem}{suffix}"
        result = dubfew.render(
            actor,
            video=scene,
            out=out,
            registry=self.registry,
            progress=show,
            **{"drive": "self", "lossless": True, "watermark": False, "overwrite": True, **options},
        )
        return [f.to_rgb() for f in read_frames(out)], result, out

    def show_pair(self, scene: RGB, shown: RGB) -> None:
        """Add a pair to the sheet."""
        pair = [np.asarray(Image.fromarray(p).resize((220, 220))) for p in (scene, shown)]
        self.sheet.append(np.concatenate(pair, 1))

    def judge_alteration(self, kind: str, name: str, change: Callable[[RGB, int], RGB]) -> Row:
        """Compare the render of an altered scene with the altered render."""
        scene = self.write(name, [change(p, n) for n, p in enumerate(self.pictures)])
        truth = [f.to_rgb() for f in read_frames(scene)]
        shown, result, _ = self.render(scene)
        self.show_pair(truth[len(truth) // 2], shown[len(truth) // 2])
        ideal = [change(p, n) for n, p in enumerate(self.plain)]
        best, psnr = (psnr_in_masks(truth, each, self.masks) for each in (ideal, shown))
        is_right = psnr >= best - MAX_LOSS_DB and result.edited_frames > 0
        return Row(
            kind,
            name,
            is_right,
            f"{psnr:.1f} dB, ideal {best:.1f}; {result.edited_frames} of {len(shown)} painted",
        )


def _sepia(picture: NDArray[np.float32], _: float) -> NDArray[np.float32]:
    return (picture.mean(-1, keepdims=True) * np.array([1.1, 0.95, 0.7])).astype(np.float32)


def _mains(picture: NDArray[np.float32], moment: float) -> NDArray[np.float32]:
    """Lamps that flicker from frame to frame."""
    return picture * np.float32(0.82 if round(moment * 9) % 2 else 1.0)


def _two_lamps(picture: NDArray[np.float32], _: float) -> NDArray[np.float32]:
    """A red lamp from the left, a blue one from the right."""
    across = np.linspace(-1, 1, picture.shape[1], dtype=np.float32)[None, :, None]
    lamps = 1 + across * np.array([-0.35, 0.0, 0.35], np.float32)
    return linear_to_srgb(lamps * srgb_to_linear(picture))


def _blinds(picture: NDArray[np.float32], moment: float) -> NDArray[np.float32]:
    """Soft bars of shadow, as blinds throw, that move a little."""
    rows = np.arange(picture.shape[0], dtype=np.float32) / picture.shape[0]
    gain = 0.75 + 0.25 * np.sin(2 * np.pi * (6 * rows + 0.3 * moment))
    return linear_to_srgb(gain[:, None, None].astype(np.float32) * srgb_to_linear(picture))


def _half_shadow(picture: NDArray[np.float32], _: float) -> NDArray[np.float32]:
    """One side of the picture in the shade, with a soft edge."""
    across = np.linspace(-1, 1, picture.shape[1], dtype=np.float32)[None, :, None]
    gain = 0.7 + 0.3 * np.tanh(8 * across)
    return linear_to_srgb(gain * srgb_to_linear(picture))


def _to_white(picture: NDArray[np.float32], moment: float) -> NDArray[np.float32]:
    return np.asarray(picture + np.float32(0.7 * moment) * (1 - picture))


LIGHTS: Mapping[str, Alteration] = {
    "sepia": _sepia,
    "flickering lamps": _mains,
    "red and blue lamp": _two_lamps,
    "blinds": _blinds,
    "half in the shade": _half_shadow,
    "fade to white": _to_white,
}


def judge_light(bench: Bench) -> Iterator[Row]:
    """Lamps and grades that the light table does not have."""
    last = len(bench.pictures) - 1
    for name, alteration in LIGHTS.items():

        def change(picture: RGB, number: int, alteration: Alteration = alteration) -> RGB:
            return alter(picture, alteration, number / last)

        yield bench.judge_alteration("light", name, change)


# Color tags and pixel format.
COLORS: Mapping[str, tuple[ColorTags, str]] = {
    "BT.601, limited": (ColorTags(1, 6, 6, 6), "yuv420p"),
    "BT.601, full": (ColorTags(2, 5, 5, 6), "yuv420p"),
    "untagged": (ColorTags(), "yuv420p"),
    "BT.2020 SDR, 10 bit": (ColorTags(1, 9, 9, 14), "yuv420p10le"),
    "P3, 4:4:4": (ColorTags(1, 1, 12, 1), "yuv444p10le"),
    "PQ, 4:2:2": (ColorTags(1, 9, 9, 16), "yuv422p10le"),
    "HLG, full": (ColorTags(2, 9, 9, 18), "yuv420p10le"),
}


def judge_colors(bench: Bench) -> Iterator[Row]:
    """Scenes in other color spaces, and an actor from another one."""
    for name, (color, pix_fmt) in COLORS.items():
        scene = bench.write(name, bench.pictures, color=color, pix_fmt=pix_fmt)
        yield _judge_color(bench, name, scene, "a")
    color, pix_fmt = COLORS["PQ, 4:2:2"]
    learned = round(ADAPT_SECONDS * float(bench.fps))
    pictures = [f.to_rgb() for f in read_frames(bench.clip, stop=learned)]
    known = bench.write("PQ-actor", pictures, color=color, pix_fmt=pix_fmt)
    dubfew.adapt(known, actor="pq", steps=0, registry=bench.registry, progress=show)
    yield _judge_color(bench, "actor learned from PQ", bench.folder / "plain.mkv", "pq")


def _judge_color(bench: Bench, name: str, scene: Path, actor: str) -> Row:
    truth = [f.to_rgb() for f in read_frames(scene)]
    shown, _, out = bench.render(scene, actor=actor)
    bench.show_pair(truth[len(truth) // 2], shown[len(truth) // 2])
    psnr = psnr_in_masks(truth, shown, bench.masks)
    same = probe(scene).color == probe(out).color
    return Row(
        "color spaces",
        name,
        psnr >= bench.plain_psnr - MAX_CONVERTED_LOSS_DB and same,
        f"{psnr:.1f} dB, plain {bench.plain_psnr:.1f}; tags {'kept' if same else 'changed'}",
    )


def judge_geometry(bench: Bench) -> Iterator[Row]:
    """Pixels and heads of other shapes, sizes and directions."""
    height, width = bench.pictures[0].shape[:2]
    for wide, high in ((2, 1), (3, 4), (12, 11)):
        across = round(width * high / wide / 2) * 2
        squeezed = [_resize(p, across, height) for p in bench.pictures]
        scene = bench.write(f"pixels {wide}:{high}", squeezed, sample_aspect=Fraction(wide, high))
        yield _judge_shape(bench, f"pixels {wide}:{high}", scene)
    odd = [p[: height - 1, : width - 1] for p in bench.pictures]
    yield _judge_shape(bench, "odd size", bench.write("odd", odd, pix_fmt="yuv444p"))
    small = [_inset(_resize(p, 128, 128), 1280, 720) for p in bench.pictures]
    scene = bench.write("small", small)
    yield _judge_place(bench, "a face 50 px wide in 720p", scene)
    for turns, name in ((1, "head on its side"), (2, "head upside down")):
        turned = [np.ascontiguousarray(np.rot90(p, turns)) for p in bench.pictures]
        yield _judge_place(bench, name, bench.write(name, turned))
    large = [_resize(p, 4 * width, 4 * height) for p in bench.pictures[:3]]
    yield _judge_place(bench, "a close-up, four times as large", bench.write("large", large))


def _judge_shape(bench: Bench, name: str, scene: Path) -> Row:
    truth = [f.to_rgb() for f in read_frames(scene)]
    shown, result, out = bench.render(scene)
    bench.show_pair(truth[len(truth) // 2], shown[len(truth) // 2])
    height, width = truth[0].shape[:2]
    masks = [np.asarray(Image.fromarray(m).resize((width, height))) for m in bench.masks]
    psnr = psnr_in_masks(truth, shown, masks)
    same = probe(scene).sample_aspect == probe(out).sample_aspect
    return Row(
        "geometry",
        name,
        psnr >= bench.plain_psnr - MAX_LOSS_DB and same and result.edited_frames == len(shown),
        f"{psnr:.1f} dB, plain {bench.plain_psnr:.1f}; aspect {'kept' if same else 'lost'}",
    )


def _judge_place(bench: Bench, name: str, scene: Path) -> Row:
    """Judge by the pixels that were painted: near the scene's own, or none at all, and said."""
    truth = [f.to_rgb() for f in read_frames(scene)]
    try:
        shown, result, _ = bench.render(scene)
    except DubfewError as error:
        return Row("geometry", name, True, f"refused: {error}")
    bench.show_pair(truth[len(truth) // 2], shown[len(truth) // 2])
    changed = [np.abs(a.astype(int) - b).max(-1) > 0 for a, b in zip(truth, shown, strict=True)]
    if not any(each.any() for each in changed):
        said = "left as they are" in (result.note or "")
        return Row("geometry", name, said, "all frames left, " + ("said" if said else "not said"))
    psnr = psnr_in_masks(truth, shown, changed)
    text = f"{psnr:.1f} dB where it is painted; {result.edited_frames} of {len(shown)} painted"
    return Row("geometry", name, psnr >= bench.plain_psnr - 2 * MAX_LOSS_DB, text)


def _resize(picture: RGB, width: int, height: int) -> RGB:
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def _inset(picture: RGB, width: int, height: int) -> RGB:
    """Put a small picture into a larger gray one."""
    large = np.full((height, width, 3), 96, np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    large[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return large


# Container, codec, pixel format and order of the fields.
FIELDS = (
    ("H.264, top first", ".mov", "libx264", "yuv420p", 2),
    ("H.264, bottom first", ".mkv", "libx264", "yuv420p", 3),
    ("FFV1, bottom first", ".mkv", "ffv1", "yuv422p", 3),
    ("ProRes, top first", ".mov", "prores_ks", "yuv422p10le", 2),
    ("MPEG-2, top first", ".mxf", "mpeg2video", "yuv422p", 2),
)


def judge_fields(bench: Bench) -> Iterator[Row]:
    """Interlaced scenes, each field at its own time, and film in a flagged file."""
    for name, suffix, codec, pix_fmt, order in FIELDS:
        for is_film in (False, True) if suffix == ".mov" and codec == "libx264" else (False,):
            pictures = [p for p in bench.pictures for _ in range(1 + is_film)]
            title = f"film in {name}" if is_film else name
            scene = bench.write(
                title, pictures, suffix, codec=codec, pix_fmt=pix_fmt, field_order=order
            )
            before = list(read_frames(scene))
            shown, result, out = bench.render(scene, suffix, lossless=False, codec=codec)
            truth = [f.to_rgb() for f in before]
            bench.show_pair(truth[len(truth) // 2], shown[len(truth) // 2])
            masks = bench.masks if is_film else bench.masks[::2]
            psnr = psnr_in_masks(truth, shown, masks[: len(truth)])
            found = probe(out).field_order
            same = found in (order, order + 2)
            is_right = same and len(shown) == len(before) and psnr >= bench.plain_psnr - 4
            text = (
                f"{psnr:.1f} dB, encoded again; order {'kept' if same else f'is {found}'}; "
                f"{result.edited_frames} of {len(shown)} painted"
            )
            yield Row("fields", title, is_right, text)


def _drawings(bench: Bench) -> Iterator[tuple[str, Callable[[RGB, int], RGB], bool]]:
    """Things before the face: name, how they are drawn, and whether they may be seen through."""
    rows, columns = (
        np.concatenate(each) for each in zip(*map(np.nonzero, bench.masks), strict=True)
    )
    y, x = int(rows.mean()), int(columns.mean())
    high, wide = int(np.ptp(rows)), int(np.ptp(columns))
    height, width = bench.pictures[0].shape[:2]

    def draw(paint: Callable[[ImageDraw.ImageDraw, int], None]) -> Callable[[RGB, int], RGB]:
        def apply(picture: RGB, number: int) -> RGB:
            image = Image.fromarray(picture)
            paint(ImageDraw.Draw(image), number)
            return np.asarray(image)

        return apply

    chin = y + high // 4

    def draw_caption(pen: ImageDraw.ImageDraw, _: int) -> None:
        pen.rectangle((x - wide, chin, x + wide, chin + 16), fill=(0, 0, 0))
        pen.text((x - wide + 4, chin + 2), "I never said that, did I?", (250, 220, 40))

    def draw_microphone(pen: ImageDraw.ImageDraw, n: int) -> None:
        pen.ellipse((x - 12 + n, chin - 4, x + 12 + n, chin + 24), fill=(24, 24, 26))
        pen.rectangle((x - 4 + n, chin + 20, x + 4 + n, height), fill=(40, 40, 42))

    yield "yellow text in a black box", draw(draw_caption), False
    yield (
        "text that changes",
        draw(
            lambda pen, n: pen.text(
                (x - wide, chin), ("One line of text" if n < 5 else "and another one"), "white"
            )
        ),
        False,
    )
    yield "a black microphone from below", draw(draw_microphone), False
    yield (
        "a microphone over the lips",
        draw(
            lambda pen, _: pen.ellipse(
                (x - wide // 2, y - high // 3, x + wide // 2, y + high // 3), fill=(25, 25, 28)
            )
        ),
        False,
    )
    yield (
        "a finger",
        draw(
            lambda pen, _: pen.rounded_rectangle(
                (x - 9, y - high // 2, x + 9, height), 9, fill=(196, 142, 118)
            )
        ),
        False,
    )
    # Skin of the upper lip and the cheeks, in folds.
    skin = np.median(
        bench.pictures[0][y - high : y - high // 2, x - wide // 2 : x + wide // 2], (0, 1)
    )
    folds = 0.75 + 0.3 * np.abs(np.sin(np.arange(width) / width * 8 * np.pi))
    curtain = np.broadcast_to((folds[:, None] * skin).clip(0, 255), (height, width, 3))

    def hang(from_left: bool) -> Callable[[RGB, int], RGB]:
        def apply(picture: RGB, number: int) -> RGB:
            drawn = picture.copy()
            if from_left:
                end = x - wide // 2 + wide * number // len(bench.pictures)
                drawn[:, :end] = curtain[:, :end]
            else:
                drawn[y:] = curtain[y:]
            return drawn

        return apply

    yield "a curtain of the color of skin from the lips down", hang(False), False
    yield "a curtain of the color of skin drawn across", hang(True), False
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.normal(size=(2 * height, 2 * width)), width / 18)
    noise = (noise - noise.min()) / np.ptp(noise)

    def smoke(density: float, tone: int) -> Callable[[RGB, int], RGB]:
        def apply(picture: RGB, number: int) -> RGB:
            part = noise[3 * number : 3 * number + height, 2 * number : 2 * number + width]
            opacity = (density * part)[..., None]
            return np.asarray(picture * (1 - opacity) + tone * opacity).astype(np.uint8)

        return apply

    yield "thin smoke", smoke(0.5, 200), True
    yield "thick smoke", smoke(0.95, 200), True
    yield "dark smoke", smoke(0.7, 40), True
    yield "warm smoke", smoke(0.8, 150), True


def judge_things(bench: Bench) -> Iterator[Row]:
    """Things before the face stay, or the frames do; smoke lies over the paint as well."""
    kind = "before the face"
    for name, change, is_smoke in _drawings(bench):
        if is_smoke:
            yield bench.judge_alteration(kind, name, change)
            continue
        drawn = [change(p, n) for n, p in enumerate(bench.pictures)]
        # Where the thing is, whatever is behind it.
        blank = [change(np.full_like(p, 127), n) for n, p in enumerate(bench.pictures)]
        things = [
            binary_erosion((b != 127).any(-1) & m) for b, m in zip(blank, bench.masks, strict=True)
        ]
        scene = bench.write(name, drawn)
        truth = [f.to_rgb() for f in read_frames(scene)]
        shown, result, _ = bench.render(scene)
        bench.show_pair(truth[len(truth) // 2], shown[len(truth) // 2])
        differences = [
            np.abs(a.astype(int) - b).mean(-1) for a, b in zip(truth, shown, strict=True)
        ]
        over = [d[t].mean() if t.any() else 0.0 for d, t in zip(differences, things, strict=True)]
        ideal = [change(p, n) for n, p in enumerate(bench.plain)]
        best, psnr = (psnr_in_masks(truth, each, bench.masks) for each in (ideal, shown))
        is_right = max(over) <= MAX_THING_CHANGE and psnr >= best - 2 * MAX_LOSS_DB
        text = (
            f"thing changed by {max(over):.1f} levels at most; {psnr:.1f} dB, ideal {best:.1f}; "
            f"{result.edited_frames} of {len(shown)} painted"
        )
        yield Row(kind, name, is_right, text)


def judge_clocks(bench: Bench) -> Iterator[Row]:
    """Clocks that are not even, and sound in odd places."""
    count, step = len(bench.pictures), 1 / bench.fps
    rng = np.random.default_rng(0)
    jitter = [n * step + Fraction(int(rng.integers(0, 12)), 1000) for n in range(count)]
    gap = [n * step + (Fraction(4, 5) if n >= count // 2 else 0) for n in range(count)]
    film = [Fraction(n * 1001, 24000) for n in range(count)]
    for name, times in (("uneven stamps", jitter), ("a gap of 0.8 s", gap), ("23.976", film)):
        end = float(times[-1] + step)
        sound = replace(bench.sound, duration=end)
        yield _judge_clock(bench, name, bench.write(name, bench.pictures, audio=sound, times=times))
    plain = bench.write("with-sound", bench.pictures, ".mkv", audio=bench.sound)
    for name, suffix, start, delay in (
        ("TS that begins at 10 s", ".ts", 10.0, 0.0),
        ("sound 0.2 s late", ".mkv", 0.0, 0.2),
        ("picture 0.2 s late", ".mkv", 0.2, -0.2),
    ):
        path = bench.folder / f"{name.replace(' ', '-')}{suffix}"
        yield _judge_clock(bench, name, _shift(plain, path, start, delay))
    speech = np.asarray(read_audio(bench.sound.path, 48000).samples, np.float32)
    begin = round(ADAPT_SECONDS * 48000)
    speech = speech[begin : begin + LOOK_SECONDS * 48000]
    quiet = np.zeros_like(speech)
    tone = (0.2 * np.sin(np.arange(len(speech)) * 2 * np.pi * 1000 / 48000)).astype(np.float32)
    for name, layout, channels in (
        ("5.1 with speech in the middle", "5.1", [tone / 4, tone / 4, speech, quiet, quiet, quiet]),
        ("speech on the right alone", "stereo", [quiet, speech]),
        ("one side turned over", "stereo", [speech, -speech]),
    ):
        path = _write_sound(bench.folder / f"{name.replace(' ', '-')}.wav", channels, layout)
        heard = np.asarray(read_audio(path).samples)
        wanted = np.asarray(
            read_audio(_write_sound(bench.folder / "s.wav", [speech], "mono")).samples
        )
        likeness = float(np.corrcoef(heard[: len(wanted)], wanted[: len(heard)])[0, 1])
        text = f"what the mouth hears correlates with the speech by {likeness:.2f}"
        yield Row("clocks and sound", name, likeness > 0.9, text)
    tracks = [
        _write_sound(bench.folder / f"t{n}.wav", [s], "mono")
        for n, s in enumerate((quiet, tone, speech))
    ]
    scene = bench.write("tracks", bench.pictures, ".mov", audio=[AudioSource(t) for t in tracks])
    _, result, out = bench.render(scene, ".mov", lossless=False, drive="audio", audio=scene)
    kept = len(read_facts(out).of_kind("audio"))
    is_right = kept == 3 and "track 3" in (result.note or "")
    yield Row("clocks and sound", "silence, a tone, then speech", is_right, f"{kept} tracks kept")


def _judge_clock(bench: Bench, name: str, scene: Path) -> Row:
    before = [float(f.stamp) for f in read_frames(scene)]
    _, result, out = bench.render(scene)
    after = [float(f.stamp) for f in read_frames(out)]
    late = max((abs(a - b) for a, b in zip(before, after, strict=False)), default=0.0)
    sounds = [len(read_audio(p).samples) / 16000 for p in (scene, out)]
    wrong = abs(sounds[0] - sounds[1])
    # What lies behind the last frame has no picture to be heard with: it is cut, and that is said.
    cut = [line for line in result.note.split("; ") if "behind the last frame" in line]
    is_right = len(before) == len(after) and late < 0.002 and (wrong < MAX_CLOCK_ERROR or bool(cut))
    text = (
        f"{len(after)} of {len(before)} frames, {1000 * late:.0f} ms off at most; sound "
        f"{sounds[1]:.2f} s of {sounds[0]:.2f} s" + "".join(f"; {line}" for line in cut)
    )
    return Row("clocks and sound", name, is_right, text)


def _shift(source: Path, path: Path, start: float, delay: float) -> Path:
    """Copy a file with picture and sound at other times, s."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.pts is None or packet.dts is None:
                continue
            late = start + (delay if packet.stream.type == "audio" else 0.0)
            ticks = round(late / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return path


def _write_sound(path: Path, channels: Sequence[NDArray[np.float32]], layout: str) -> Path:
    """Write channels of 48 kHz."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000, layout=layout)
        samples = (np.stack(channels).clip(-1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T.reshape(1, -1)), format="s16", layout=layout
        )
        frame.sample_rate = 48000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


# A scene, and the container and codec that it goes to.
DELIVERIES = (
    (Scene(".mp4", "libx264", "yuv420p"), ".mkv", None),
    (Scene(".mkv", "libx264", "yuv420p"), ".mov", None),
    (Scene(".mov", "prores_ks", "yuv444p10le"), ".mp4", None),
    (Scene(".mov", "prores_ks", "yuv422p10le"), ".mxf", "dnxhd"),
    (Scene(".mxf", "dnxhd", "yuv422p"), ".mov", "prores_ks"),
    (Scene(".mkv", "ffv1", "yuv422p10le"), ".webm", None),
    (Scene(".mp4", "libx265", "yuv420p10le"), ".avi", None),
    (Scene(".mkv", "libvpx-vp9", "yuv420p"), ".mp4", "libx265"),
)


def judge_deliveries(bench: Bench) -> Iterator[Row]:
    """Scenes that go from one container and codec to another: nothing is dropped in silence."""
    registry = Registry(bench.folder / "demo")
    dubfew.adapt(ACTOR, steps=0, seconds=2, prior="warp", registry=registry, progress=show)
    master = make_master(bench.folder / "master.mkv")
    for scene, suffix, codec in DELIVERIES:
        path = make_scene(scene, master, bench.folder)
        out = bench.folder / f"delivery{suffix}"
        result = dubfew.render(
            "actor",
            video=path,
            drive="self",
            out=out,
            codec=codec,
            overwrite=True,
            anyone=True,
            registry=registry,
            progress=show,
        )
        said = result.note.split("; ")
        losses = compare_facts(read_facts(path), read_facts(out))
        silent = [line for line in losses if line not in said]
        pairs = list(zip(read_frames(path), read_frames(out), strict=True))
        contrast = float(np.mean([b.to_rgb().std() / a.to_rgb().std() for a, b in pairs]))
        name = f"{scene.codec} {scene.suffix} to {codec or ''} {suffix}".replace("  ", " ")
        is_right = not silent and abs(contrast - 1) <= MAX_CONTRAST_CHANGE
        text = f"contrast {contrast:.3f}; {len(losses)} said, {len(silent)} not"
        yield Row("what goes out", name, is_right, text + "".join(f": {line}" for line in silent))


KINDS: Mapping[str, Callable[[Bench], Iterator[Row]]] = {
    "light": judge_light,
    "colors": judge_colors,
    "geometry": judge_geometry,
    "fields": judge_fields,
    "things": judge_things,
    "clocks": judge_clocks,
    "deliveries": judge_deliveries,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, default=CLIP, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    parser.add_argument("--kinds", default=",".join(KINDS), help="default: %(default)s")
    parser.add_argument("--frames", type=int, default=NUM_FRAMES, help="default %(default)s")
    options = parser.parse_args(arguments)
    chosen = [kind for kind in KINDS if kind in options.kinds.split(",")]
    if not chosen:
        parser.error(f"no kind in {options.kinds!r}: choose among {', '.join(KINDS)}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="dubfew-odd-") as name:
        bench = Bench(options.clip, Path(name), options.frames)
        for kind in chosen:
            for row in KINDS[kind](bench):
                rows.append(row)
                verdict = "right" if row.is_right else "WRONG"
                print(f"{row.kind}: {row.name}: {verdict}: {row.text}", file=sys.stderr, flush=True)
    lines = [[r.kind, r.name, "yes" if r.is_right else "**no**", r.text] for r in rows]
    kinds = list(dict.fromkeys(r.kind for r in rows))
    counts = [
        [k, sum(r.is_right for r in rows if r.kind == k), sum(r.kind == k for r in rows)]
        for k in kinds
    ]
    text = (
        f"# Odd footage\n\n{machine_line()}\n\n"
        f"{markdown_table(['kind', 'right', 'of'], counts)}\n\n"
        f"{markdown_table(['kind', 'scene', 'right', 'seen'], lines)}\n"
    )
    results = {"machine": machine(), "clip": options.clip.name, "rows": [vars(r) for r in rows]}
    write_results(options.out, "odd_footage", text, results)
    if bench.sheet:
        blank = np.zeros_like(bench.sheet[0])
        pairs = bench.sheet + [blank] * (-len(bench.sheet) % 4)
        strips = [np.concatenate(pairs[n : n + 4], 1) for n in range(0, len(pairs), 4)]
        Image.fromarray(np.concatenate(strips)).save(options.out / "odd_footage.png")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
