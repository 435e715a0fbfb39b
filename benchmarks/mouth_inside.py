"""What the seconds never showed: learn an actor from the smallest mouths, render the widest ones.

    python -m benchmarks.mouth_inside [CLIP ...] [--out FOLDER] [--steps N] [--prior P]

Of each clip the 1.6 s with the smallest openings are learned; the whole clip is rendered with the
motion that was tracked in it. Frames within 0.4 s of the learned part are left out, and of the rest
the fifth with the widest mouths is measured beside all others. Measured inside the lips, in the
mouth's box drawn 256 px wide:

- color: mean CIEDE2000 difference after a blur of 1.5 px, so that a tooth a little beside its place
  costs little. Source: Sharma, Wu and Dalal 2005, The CIEDE2000 color-difference formula, Color
  Research and Application 30;
- PSNR;
- teeth: share of pixels that are as bright as the lip and paler, and in how many of the frames
  where the film shows teeth (more than 5 %) the render does;
- tooth length: 95th percentile of the vertical runs of such pixels, over that of the film's;
- sharpness: variance of the Laplacian over the film's;
- flicker: mean change from frame to frame over the film's.

The benchmark writes ``mouth_inside.md``, ``mouth_inside.json`` and a sheet of the eight widest
frames of each clip, film above.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, laplace
from skimage.color import deltaE_ciede2000, rgb2lab

import dubfew
from benchmarks.common import (
    FOOTAGE,
    RESULTS,
    clips_of,
    markdown_table,
    run_clips,
    show,
)
from dubfew.evaluate import detect_landmarks
from dubfew.evaluate.face_geometry import mouth_opening
from dubfew.media import probe, read_frames
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.registry import Registry

# Length of the learned part and of the time left out beside it, s.
LEARNED_SECONDS, MARGIN_SECONDS = 1.6, 0.4
# Edge of the square that mouths are measured in, px, and its size as a factor of the mouth's width.
BOX_PX, BOX_OVER_MOUTH = 256, 1.3
# Blur before colors are compared, px.
BLUR_PX = 1.5
# Smallest opening that is measured, px of the box.
LEAST_PIXELS = 150
# A tooth is at least this bright beside the lower lip, and at most this colorful (CIELAB).
TOOTH_LIGHTNESS, TOOTH_CHROMA = 1.0, 0.75
# Share of the opening from which a frame shows teeth.
TEETH_SHARE = 0.05
MEASURES = (
    "color", "psnr", "teeth film", "teeth", "teeth found", "tooth length", "sharpness", "flicker",
)  # fmt: skip


def choose_smallest(openings: NDArray[np.float64], length: int) -> int:
    """Choose where the part of ``length`` frames with the smallest openings begins."""
    starts = range(len(openings) - length + 1)
    return min(starts, key=lambda s: float(np.percentile(openings[s : s + length], 90)))


def cut_mouths(
    video: Path, landmarks: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]]:
    """Cut the mouth out of every frame: box, pixels between the lips, pixels of the lower lip."""
    for frame, marks in zip(read_frames(video), landmarks, strict=False):
        outer = marks[list(OUTER_LIPS), :2]
        side = BOX_OVER_MOUTH * max(float(np.ptp(outer[:, 0])), 1.0)
        corner = (outer.min(0) + outer.max(0) - side) / 2
        picture = Image.fromarray(frame.to_rgb())
        box = picture.transform(
            (BOX_PX, BOX_PX),
            Image.Transform.EXTENT,
            (*corner, *(corner + side)),
            Image.Resampling.BICUBIC,
        )
        scaled = (marks[:, :2] - corner) * (BOX_PX / side)
        inner = scaled[list(INNER_LIPS)]
        lower = np.concatenate([inner[10:], inner[:1], scaled[list(OUTER_LIPS)][10:][::-1]])
        yield np.asarray(box), _fill_polygon(inner), _fill_polygon(lower)


def _fill_polygon(points: NDArray) -> NDArray[np.bool_]:
    mask = Image.new("1", (BOX_PX, BOX_PX))
    ImageDraw.Draw(mask).polygon([tuple(p) for p in points.tolist()], fill=1)
    return np.asarray(mask)


def find_teeth(
    lab: NDArray[np.float64], inside: NDArray[np.bool_], lip: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Find the pixels of teeth: as bright as the lower lip or brighter, and paler. [256, 256]"""
    reference = np.median(lab[lip], 0)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    bright = lab[..., 0] >= TOOTH_LIGHTNESS * reference[0]
    pale = chroma <= TOOTH_CHROMA * np.hypot(reference[1], reference[2])
    return inside & bright & pale


def longest_runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Measure the longest vertical run of every column that has one, px."""
    best = run = np.zeros(mask.shape[1], np.int64)
    for row in mask:
        run = (run + 1) * row
        best = np.maximum(best, run)
    return best[best > 0]


def measure_frames(
    film: list[tuple[NDArray, NDArray, NDArray]], render: list[NDArray], rows: NDArray
) -> dict[str, float | None]:
    """Measure some frames of a render against the film."""
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    runs: tuple[list[NDArray], list[NDArray]] = ([], [])
    for row in rows:
        (truth, inside, lip), output = film[row], render[row]
        if inside.sum() < LEAST_PIXELS or not lip.any():
            continue
        pair = [rgb2lab(gaussian_filter(i / 255, (BLUR_PX, BLUR_PX, 0))) for i in (truth, output)]
        found["color"].append(float(deltaE_ciede2000(*pair)[inside].mean()))
        squared = ((truth.astype(float) - output) ** 2)[inside].mean()
        found["psnr"].append(float(10 * np.log10(255**2 / max(squared, 1e-9))))
        teeth = [find_teeth(lab, inside, lip) for lab in pair]
        shares = [float(t.sum() / inside.sum()) for t in teeth]
        found["teeth film"].append(shares[0])
        found["teeth"].append(shares[1])
        if shares[0] > TEETH_SHARE:
            found["teeth found"].append(float(shares[1] > TEETH_SHARE))
        for kept, mask in zip(runs, teeth, strict=True):
            kept.append(longest_runs(mask))
        detail = [laplace(i.astype(float).mean(2))[inside].var() for i in (truth, output)]
        found["sharpness"].append(float(detail[1] / max(detail[0], 1e-9)))
        if row and (row - 1) in rows:
            change = [
                np.abs(a.astype(float) - b)[inside].mean()
                for a, b in ((truth, film[row - 1][0]), (output, render[row - 1]))
            ]
            found["flicker"].append(float(change[1] / max(change[0], 1e-9)))
    lengths = [np.concatenate(r) if r else np.zeros(0) for r in runs]
    if all(len(length) for length in lengths):
        found["tooth length"] = [
            float(np.percentile(lengths[1], 95) / np.percentile(lengths[0], 95))
        ]
    return {name: float(np.mean(values)) if values else None for name, values in found.items()}


def run_clip(clip: Path, out: Path, *, prior: Path | None, steps: int | None) -> dict[str, Any]:
    """Learn from the smallest mouths of a clip, render it, and measure.

    Returns:
        ``{clip, learned, widest, rest}``: opening that was learned and its widest in the test, in
        inter-ocular distances; measures of the widest fifth and of the rest.
    """
    fps = float(probe(clip).fps)
    landmarks = detect_landmarks(clip)
    openings = np.nan_to_num(mouth_opening(landmarks))
    length = min(round(LEARNED_SECONDS * fps), len(openings) // 2)
    start = choose_smallest(openings, length)
    with tempfile.TemporaryDirectory(prefix="dubfew-inside-") as name:
        registry, path = Registry(Path(name) / "home"), Path(name) / "render.mp4"
        dubfew.adapt(
            clip,
            actor="actor",
            start=start / fps,
            seconds=length / fps,
            prior=prior,
            steps=steps,
            registry=registry,
            progress=show,
        )
        dubfew.render(
            "actor",
            video=clip,
            drive="self",
            out=path,
            lossless=True,
            watermark=False,
            registry=registry,
            progress=show,
        )
        film = list(cut_mouths(clip, landmarks))
        render = [picture for picture, _, _ in cut_mouths(path, landmarks)]
    margin = round(MARGIN_SECONDS * fps)
    rows = np.array(
        [
            row
            for row in range(len(film))
            if not start - margin <= row < start + length + margin and openings[row] > 0
        ]
    )
    ordered = rows[np.argsort(-openings[rows])]
    count = max(len(rows) // 5, 1)
    widest, rest = np.sort(ordered[:count]), np.sort(ordered[count:])
    shown = ordered[:count][:: max(count // 8, 1)][:8]
    sheet = np.concatenate([np.concatenate([film[r][0], render[r]]) for r in shown], 1)
    (out / "sheets").mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(out / "sheets" / f"inside-{clip.stem}.png")
    return {
        "clip": clip.name,
        "learned": float(openings[start : start + length].max()),
        "needed": float(openings[rows].max()),
        "widest": measure_frames(film, render, widest),
        "rest": measure_frames(film, render, rest),
    }


def document(results: list[dict[str, Any]], failed: dict[str, str], line: str) -> str:
    """Format the results as Markdown."""
    parts = ["# The mouth's inside", line]
    for part in ("widest", "rest"):
        rows: list[list[Any]] = [
            [r["clip"], r["learned"], r["needed"], *(r[part][m] for m in MEASURES)] for r in results
        ]
        if rows:
            columns = [[v for v in c if v is not None] for c in list(zip(*rows, strict=True))[1:]]
            rows.append(["mean", *(float(np.mean(c)) if c else None for c in columns)])
        headers = ["clip", "opening learned", "opening needed", *MEASURES]
        parts += [f"## {part.capitalize()} mouths", markdown_table(headers, rows)]
    parts += [f"Failed: {clip}: {reason}" for clip, reason in failed.items()]
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code, 1 if a clip failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help="default: the validate clips")
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help="folder with manifest.json")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    parser.add_argument("--prior", type=Path, help="name or folder; default: the shipped one")
    parser.add_argument("--steps", type=int, default=None, help="training steps")
    options = parser.parse_args(arguments)
    return run_clips(
        options.clips or clips_of("validate", options.footage),
        options.out,
        "mouth_inside",
        lambda clip: run_clip(clip, options.out, prior=options.prior, steps=options.steps),
        document,
    )


if __name__ == "__main__":
    sys.exit(main())
