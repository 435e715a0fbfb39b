"""Scenes in another light than the footage: render an actor's own clip, graded anew.

    python -m benchmarks.scene_light [CLIP ...] [--out FOLDER] [--only ROW,ROW] [--frames N]
                                     [--held-out] [--same-track] [--other CLIP]

The actor is adapted on the first three seconds of a clip, without training. The scene is the end of
these seconds, or with ``--held-out`` what follows them, altered: brighter, darker, warmer, fading.
It is rendered with its own motion (``--drive self``): the altered scene itself is the right answer.
Only the mouth mask is measured, which is the same in all rows:

The tracker sees the altered scene. With ``--same-track`` it gets the track of the unaltered one,
which parts the errors of light from those of landmarks. Within the learned seconds a frame may be
one of its own references. Landmarks that move by half a pixel choose another one, and cost up to
8 dB there.

With ``--other`` a second actor is learned from another clip of the same person, filmed in another
light, and renders the unaltered scene; *ideal* is the first one's render.

- *ideal*: the mouth of the unaltered scene's render, altered afterwards. Altered errors are larger
  in a brighter picture and smaller in a darker one, so this is the unaltered figure in the altered
  scene's own scale;
- *rendered*: the render of the altered scene;
- *flicker*: the RMS change from frame to frame of the mean error in the mask, in 8-bit levels, of
  both. A light that pumps shows here.

The benchmark writes ``scene_light.md``, ``scene_light.json`` and a sheet per clip: truth, render,
and difference four times enlarged, of each row.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
from dubfew.errors import DubfewError
from dubfew.evaluate.regions import mouth_region
from dubfew.media import Frame, VideoWriter, probe, read_frames
from dubfew.reconstruction.shading_model import linear_to_srgb, srgb_to_linear
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.registry import Registry
from dubfew.render import scene as render_scene
from dubfew.utils.luma import LUMA_BT709

# Clips that are rendered unless others are named: 256, 480 and 700 px; studio, dusk, office.
CLIPS = ("hdtf_RD_Radio18.mp4", "lp_d20.mp4", "vr_1.mp4")
# Length of the footage that the actor is adapted on, s, and frames of it that are rendered.
ADAPT_SECONDS, NUM_FRAMES = 3, 24
# Factor by which differences are enlarged in the sheets.
DIFFERENCE_GAIN = 4
# Weights of red, green and blue in luma (BT.709).
LUMA = LUMA_BT709.astype(np.float32)

Picture = NDArray[np.float32]  # [H, W, 3] RGB in [0, 1]
# Alters a picture at a time, which runs from 0 in the first frame to 1 in the last.
Alteration = Callable[[Picture, float], Picture]


def _exposure(gain: float) -> Alteration:
    return lambda picture, _: linear_to_srgb(gain * srgb_to_linear(picture))


def _levels(gain: float) -> Alteration:
    return lambda picture, _: gain * picture


def _gamma(power: float) -> Alteration:
    return lambda picture, _: picture**power


def _contrast(slope: float) -> Alteration:
    return lambda picture, _: 0.5 + slope * (picture - 0.5)


def _saturation(factor: float) -> Alteration:
    def alter(picture: Picture, _: float) -> Picture:
        gray = (picture @ LUMA)[..., None]
        return gray + factor * (picture - gray)

    return alter


def _temperature(kelvin: float) -> Alteration:
    """Light of another color than the camera's white, 6,500 K; luma of white stays."""
    gains = black_body_rgb(kelvin) / black_body_rgb(6500.0)
    gains = (gains / (gains @ LUMA)).astype(np.float32)
    return lambda picture, _: linear_to_srgb(gains * srgb_to_linear(picture))


def black_body_rgb(kelvin: float) -> NDArray[np.float64]:
    """Compute the color of a black body in linear BT.709.

    Args:
        kelvin: temperature, 1,667 to 25,000.

    Returns:
        RGB of luminance 1. [3]

    Source: Kim et al. 2002, "Design of Advanced Color Temperature Control System for HDTV
    Applications" (Journal of the Korean Physical Society 41), cubic fit of the Planckian locus.
    """
    t = 1000.0 / kelvin
    if kelvin <= 4000:
        x = ((-0.2661239 * t - 0.2343589) * t + 0.8776956) * t + 0.179910
    else:
        x = ((-3.0258469 * t + 2.1070379) * t + 0.2226347) * t + 0.240390
    if kelvin <= 2222:
        y = ((-1.1063814 * x - 1.34811020) * x + 2.18555832) * x - 0.20219683
    elif kelvin <= 4000:
        y = ((-0.9549476 * x - 1.37418593) * x + 2.09137015) * x - 0.16748867
    else:
        y = ((3.0817580 * x - 5.87338670) * x + 3.75112997) * x - 0.37001483
    xyz = np.array([x / y, 1.0, (1 - x - y) / y])
    matrix = np.array(
        [
            [3.2404542, -1.5371385, -0.4985314],
            [-0.9692660, 1.8760108, 0.0415560],
            [0.0556434, -0.2040259, 1.0572252],
        ]
    )
    return np.maximum(matrix @ xyz, 1e-3)


def _fade(picture: Picture, moment: float) -> Picture:
    """Fade up from black over the first two thirds, as editors do: on the levels."""
    return picture * min(1.0, 1.5 * moment)


def _gradient(picture: Picture, moment: float) -> Picture:
    """A lamp that goes from left to right, from 1.5 times the light to 0.5 across the face."""
    width = picture.shape[1]
    across = (np.arange(width, dtype=np.float32) + 0.5) / width - moment
    gain = 1 - 0.5 * np.tanh(3 * across)
    return linear_to_srgb(gain[:, None] * srgb_to_linear(picture))


def _flash(picture: Picture, moment: float) -> Picture:
    """Three bright frames in the middle, as a photographer's flash makes."""
    return linear_to_srgb((1.5 if 0.45 < moment < 0.6 else 1.0) * srgb_to_linear(picture))


def _log(picture: Picture, _: float) -> Picture:
    """A flat picture, as cameras store it logarithmically."""
    return 0.1 + 0.25 * np.log2(1 + 10 * srgb_to_linear(picture)) * 0.8


def _night(picture: Picture, _: float) -> Picture:
    """A grade for night: dark, blue, with little color."""
    gray = (picture @ LUMA)[..., None]
    faded = gray + 0.5 * (picture - gray)
    return linear_to_srgb(np.array([0.18, 0.25, 0.42], np.float32) * srgb_to_linear(faded))


# Rows of the table by their names on the command line.
ALTERATIONS: Mapping[str, Alteration] = {
    "none": lambda picture, _: picture,
    **{f"levels {g}": _levels(g) for g in (0.85, 0.7, 0.55)},
    **{f"gain {g}": _exposure(g) for g in (0.4, 0.6, 0.8, 1.25, 1.6)},
    **{f"{k} K": _temperature(k) for k in (2800, 4000, 9000)},
    **{f"gamma {g}": _gamma(g) for g in (0.6, 0.8, 1.25, 1.6)},
    **{f"saturation {s}": _saturation(s) for s in (0, 0.5, 1.5)},
    **{f"contrast {c}": _contrast(c) for c in (0.4, 0.7, 1.3)},
    "log": _log,
    "night": _night,
    "fade": _fade,
    "flash": _flash,
    "gradient": _gradient,
}


def alter(picture: NDArray[np.uint8], alteration: Alteration, moment: float) -> NDArray[np.uint8]:
    """Alter a picture of 8 bit. [H, W, 3]"""
    altered = alteration(picture.astype(np.float32) / 255, moment)
    return (altered.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _moments(count: int) -> NDArray[np.float64]:
    return np.linspace(0, 1, count)


def run_clip(
    clip: Path,
    rows: Sequence[str],
    out: Path,
    count: int,
    *,
    held_out: bool = False,
    same_track: bool = False,
    other: Path | None = None,
) -> dict[str, Any]:
    """Measure some rows on one clip and write its sheet.

    Args:
        clip: file of one talking person.
        rows: names of the rows.
        out: folder of the results.
        count: frames of the scene.
        held_out: whether the scene follows the learned seconds instead of ending them.
        same_track: whether the track of the unaltered scene serves all rows.
        other: clip of the same person from which the actor of the rows is learned; None for the
            same clip.
    """
    with tempfile.TemporaryDirectory(prefix="dubfew-light-") as name:
        folder = Path(name)
        info = probe(clip)
        learned = round(ADAPT_SECONDS * float(info.fps))
        frames = list(read_frames(clip, stop=learned + held_out * count))
        learned = min(learned, len(frames) - held_out * count)
        known, scene = folder / "known.mp4", folder / "scene.mp4"
        _write(known, clip, [f.to_rgb() for f in frames[:learned]])
        pictures = [f.to_rgb() for f in frames[-count:]]
        _write(scene, clip, pictures)
        registry = Registry(folder / "home")
        dubfew.adapt(known, actor="a", steps=0, registry=registry, progress=show)
        actor = "a"
        if other is not None:
            dubfew.adapt(other, actor="b", steps=0, registry=registry, progress=show)
            actor = "b"
        plain_track = track_video(scene, progress=show)
        region = mouth_region(plain_track)
        masks = [m for m in (region(i) for i in range(len(pictures))) if m is not None]
        options: dict[str, Any] = {"drive": "self", "lossless": True, "watermark": False}
        plain = folder / "plain.mp4"
        dubfew.render("a", video=scene, out=plain, registry=registry, progress=show, **options)
        rendered_plain = [f.to_rgb() for f in read_frames(plain)]
        figures: dict[str, Any] = {}
        sheet = []
        for row in rows:
            alteration = ALTERATIONS[row]
            moments = _moments(len(pictures))
            truth = [alter(p, alteration, m) for p, m in zip(pictures, moments, strict=True)]
            ideal = [alter(p, alteration, m) for p, m in zip(rendered_plain, moments, strict=True)]
            _write(scene, clip, truth)
            # What encoding changes is no error of the render.
            truth = [f.to_rgb() for f in read_frames(scene)]
            output = folder / "output.mp4"
            began = time.process_time()
            try:
                with _given_track(plain_track if same_track else None):
                    result = dubfew.render(
                        actor,
                        video=scene,
                        out=output,
                        overwrite=True,
                        registry=registry,
                        progress=show,
                        **options,
                    )
            except DubfewError as error:
                figures[row] = {"error": str(error)}
                continue
            painted = [f.to_rgb() for f in read_frames(output)]
            figures[row] = {
                "ideal": psnr_in_masks(truth, ideal, masks),
                "rendered": psnr_in_masks(truth, painted, masks),
                "flicker_ideal": flicker_in_masks(truth, ideal, masks),
                "flicker": flicker_in_masks(truth, painted, masks),
                "edited": result.edited_frames,
                "note": result.note,
                "cpu_seconds": time.process_time() - began,
            }
            print(clip.stem, row, figures[row], file=sys.stderr)
            sheet.append(_sheet_row(truth, painted, masks))
        out.mkdir(parents=True, exist_ok=True)
        if sheet:
            Image.fromarray(np.concatenate(sheet)).save(out / f"scene_light-{clip.stem}.png")
        return {"clip": clip.name, "frames": len(pictures), "rows": figures}


@contextmanager
def _given_track(track: Track | None) -> Iterator[None]:
    """Let renders use a track instead of tracking their scene; None lets them track it."""
    before = render_scene.track_person
    if track is not None:
        render_scene.track_person = lambda *_, **__: track
    try:
        yield
    finally:
        render_scene.track_person = before


def _write(path: Path, like: Path, pictures: Sequence[NDArray[np.uint8]]) -> None:
    """Write pictures without loss."""
    info, color = probe(like), next(iter(read_frames(like))).color
    with VideoWriter(path, info, lossless=True) as writer:
        for index, picture in enumerate(pictures):
            writer.write(Frame.from_rgb(picture, index, info.fps, color=color))


def _errors(
    truth: Sequence[NDArray[np.uint8]],
    shown: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.bool_]],
) -> list[NDArray[np.float64]]:
    """Errors of each frame inside its mask, levels. [P, 3] each"""
    return [b[m].astype(np.float64) - a[m] for a, b, m in zip(truth, shown, masks, strict=True)]


def psnr_in_masks(
    truth: Sequence[NDArray[np.uint8]],
    shown: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.bool_]],
) -> float:
    """Compute the PSNR of all pixels inside the masks, dB."""
    squared = np.concatenate([e.ravel() ** 2 for e in _errors(truth, shown, masks)])
    return float(10 * np.log10(255**2 / max(squared.mean(), 1e-4)))


def flicker_in_masks(
    truth: Sequence[NDArray[np.uint8]],
    shown: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.bool_]],
) -> float:
    """Compute the RMS change from frame to frame of the mean error inside the masks, levels."""
    means = np.array([e.mean(0) for e in _errors(truth, shown, masks)])
    return float(np.sqrt((np.diff(means, axis=0) ** 2).mean()))


def _sheet_row(
    truth: Sequence[NDArray[np.uint8]],
    shown: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.bool_]],
) -> NDArray[np.uint8]:
    """Truth, render and enlarged difference of two frames side by side."""
    parts = []
    for index in (len(truth) // 3, len(truth) - 2):
        rows, columns = np.nonzero(masks[index])
        center = np.array([rows.mean(), columns.mean()])
        half = 0.75 * max(np.ptp(rows), np.ptp(columns))
        y0, x0 = np.maximum(center - half, 0).astype(int)
        y1, x1 = (center + half).astype(int)
        cut = np.s_[y0:y1, x0:x1]
        a, b = truth[index][cut], shown[index][cut]
        difference = 128 + DIFFERENCE_GAIN * (b.astype(np.int16) - a)
        for part in (a, b, difference.clip(0, 255).astype(np.uint8)):
            parts.append(np.asarray(Image.fromarray(part).resize((200, 200))))
    return np.concatenate(parts, 1)


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Format a row per alteration, and the columns of each clip."""
    names = list(dict.fromkeys(name for result in results for name in result["rows"]))
    headers = ["scene"]
    for result in results:
        stem = Path(result["clip"]).stem
        headers += [f"{stem}: ideal", "rendered", "flicker ideal", "rendered"]
    body = []
    for name in names:
        cells: list[object] = [name]
        for result in results:
            row = result["rows"].get(name, {})
            cells += [row.get(k) for k in ("ideal", "rendered", "flicker_ideal", "flicker")]
        body.append(cells)
    return markdown_table(headers, body)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help=f"default: {', '.join(CLIPS)}")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    parser.add_argument("--only", default=",".join(ALTERATIONS), help="rows; default: all")
    parser.add_argument("--frames", type=int, default=NUM_FRAMES, help="default %(default)s")
    parser.add_argument("--held-out", action="store_true", help="frames after those learned")
    parser.add_argument("--other", type=Path, help="clip of the same person in another light")
    parser.add_argument("--same-track", action="store_true", help="track the unaltered scene")
    options = parser.parse_args(arguments)
    rows = [row for row in ALTERATIONS if row in options.only.split(",")]
    if not rows:
        parser.error(f"no row in {options.only!r}: choose among {', '.join(ALTERATIONS)}")
    results = []
    for clip in options.clips or [FOOTAGE / name for name in CLIPS]:
        print(f"{clip.name} ...", file=sys.stderr)
        results.append(
            run_clip(
                clip,
                rows,
                options.out,
                options.frames,
                held_out=options.held_out,
                same_track=options.same_track,
                other=options.other,
            )
        )
        text = f"# Scenes in another light\n\n{machine_line()}\n\n{table(results)}\n"
        write_results(options.out, "scene_light", text, {"machine": machine(), "clips": results})
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
