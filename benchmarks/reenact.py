"""Re-enactment: adapt on the first seconds of a clip, re-render the rest, compare with the truth.

    python -m benchmarks.reenact [CLIP ...] [--out FOLDER] [--only ROW,ROW] [--prior P] [--steps N]

The rest of each clip is rendered with the motion that was tracked in it, so the original is the
right answer. The table has these rows:

- the original one frame late: the noise floor of timing;
- the nearest reference, pasted rigidly;
- the nearest reference, warped by the mesh and nothing else: no matching of light, no alignment, no
  blending, no restored detail;
- three references, warped with all of these but without a network;
- the trained prior before any step for this actor;
- the original with a blurred mouth;
- dubfew;
- dubfew driven by the clip's own sound instead of its tracked motion, which shows the cost of
  speech.

A still mouth, as the last row, has landmarks only. The benchmark writes ``reenact.md``,
``reenact.json`` and one contact sheet per clip.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np

import dubfew
from benchmarks.baselines import Landmarks, blurred, pasted, references_of
from benchmarks.common import (
    FOOTAGE,
    RESULTS,
    clips_of,
    markdown_table,
    run_clips,
    show,
)
from benchmarks.footage import delayed, split_clip, write_frames
from dubfew.evaluate import detect_landmarks, evaluate
from dubfew.evaluate.compare import FIELD_NAMES
from dubfew.evaluate.contact_sheets import draw_contact_sheet, make_sheet_rows, save_contact_sheet
from dubfew.evaluate.face_geometry import freeze_lips
from dubfew.evaluate.metrics import METRICS
from dubfew.evaluate.metrics.lmd import lip_landmark_distance
from dubfew.evaluate.regions import EditRegion, mouth_region
from dubfew.media import probe
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.registry import Registry

if TYPE_CHECKING:
    from dubfew.adapt import AdaptResult

# Name of the prior without weights, whose network passes the warp through.
BARE_WARP = "warp"
# Every metric, in the order in which `dubfew evaluate` shows them.
MEASURES = tuple(n for n in dict.fromkeys((*FIELD_NAMES, *METRICS.names)) if n != "frames")
# Those of the tables, by their columns; the JSON file has all.
COLUMNS = {
    "psnr": "crop PSNR",
    "ssim": "crop SSIM",
    "psnr_mouth": "mouth PSNR",
    "ssim_mouth": "mouth SSIM",
    "lmd": "LMD %",
    "sharpness": "sharpness",
    "opening_r": "opening r",
    "opening_r_best": "best r",
    "opening_spread": "spread",
    "seam": "seam",
    "flicker": "flicker",
    "outside_max": "outside",
}


@dataclass(frozen=True)
class Job:
    """One clip, cut in two, with everything that a row needs.

    Attributes:
        adapt_clip: first part, which the actor is adapted on.
        test_clip: second part, which is rendered.
        adapt_marks: landmarks of the first part, px. [N, 478, 3]
        test_marks: landmarks of the second part, px. [M, 478, 3]
        track: track of the second part.
        region: pixels of the second part that may change.
        registry: registry for the adapted actors.
        prior: name or folder of the prior; None for the shipped one.
        steps: training steps; None for as many as ``adapt`` makes.
        adapted: results of the adaptations so far, which the rows append to.
    """

    adapt_clip: Path
    test_clip: Path
    adapt_marks: Landmarks
    test_marks: Landmarks
    track: Track
    region: EditRegion
    registry: Registry
    prior: Path | None
    steps: int | None
    adapted: list[AdaptResult]


def _late(job: Job, path: Path) -> None:
    write_frames(path, job.test_clip, delayed(job.test_clip))


def _pasted(job: Job, path: Path) -> None:
    references = references_of(job.adapt_clip, job.adapt_marks)
    frames = pasted(job.test_clip, job.test_marks, references, job.region)
    write_frames(path, job.test_clip, frames)


def _blurred(job: Job, path: Path) -> None:
    write_frames(path, job.test_clip, blurred(job.test_clip, job.test_marks, job.region))


def _warped(job: Job, path: Path) -> None:
    _rendered(job, path, "warped", prior=BARE_WARP, steps=0)


# Parts of the product that the bare warp does without, by what stands in for them. With so low a
# temperature the nearest reference takes all the weight.
BARE: Mapping[str, object] = {
    "dubfew.references.warping.BLEND_TEMPERATURE": 1e-6,
    "dubfew.references.warping.MAX_COLOR_CORRECTION": 0.0,
    "dubfew.adapt.actor_footage.align_footage": lambda footage, head, progress: footage,
    "dubfew.render.prediction.align_vertices": lambda inputs, seen, vertices: vertices,
    "dubfew.render.compositing.restore_detail": lambda colors, energy, scale: (
        np.clip(colors, 0, 1) * np.float32(255)
    ),
}


def _bare(job: Job, path: Path) -> None:
    with ExitStack() as stack:
        for name, value in BARE.items():
            owner, _, attribute = name.rpartition(".")
            stack.enter_context(patch.object(resolve_name(owner), attribute, value))
        _rendered(job, path, "bare", prior=BARE_WARP, steps=0)


def _zero(job: Job, path: Path) -> None:
    _rendered(job, path, "zero", prior=job.prior, steps=0)


def _ours(job: Job, path: Path) -> None:
    _rendered(job, path, "ours", prior=job.prior, steps=job.steps)


def _spoken(job: Job, path: Path) -> None:
    _rendered(job, path, "ours", prior=job.prior, steps=job.steps, drive="audio")


def _rendered(
    job: Job,
    path: Path,
    actor: str,
    *,
    prior: str | Path | None,
    steps: int | None,
    drive: str = "self",
) -> None:
    """Render the test clip with an actor, who is adapted first if they are not there yet."""
    if actor not in (result.actor for result in job.adapted):
        result = dubfew.adapt(
            job.adapt_clip,
            actor=actor,
            prior=prior,
            steps=steps,
            registry=job.registry,
            progress=show,
        )
        job.adapted.append(result)
    dubfew.render(
        actor,
        video=job.test_clip,
        drive=drive,
        out=path,
        lossless=True,
        watermark=False,  # what is measured is the renderer
        registry=job.registry,
        progress=show,
    )


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        label: name of the row in tables.
        make: function that writes the row's version of ``Job.test_clip`` to a path.
        needs_sound: whether the row is left out for silent clips.
    """

    label: str
    make: Callable[[Job, Path], None]
    needs_sound: bool = False


# Rows in the order of the table, by their names on the command line.
ROWS: Mapping[str, Row] = {
    "late": Row("original, one frame late", _late),
    "pasted": Row("nearest reference, pasted", _pasted),
    "bare": Row("nearest reference, bare mesh warp", _bare),
    "warped": Row("nearest reference, warped", _warped),
    "zero": Row("dubfew, zero steps", _zero),
    "blurred": Row("original, blurred", _blurred),
    "ours": Row("dubfew", _ours),
    "spoken": Row("dubfew, driven by the sound", _spoken, needs_sound=True),
}


def run_clip(
    clip: Path,
    rows: list[str],
    out: Path,
    *,
    prior: Path | None = None,
    steps: int | None = None,
) -> dict[str, Any]:
    """Measure the rows on one clip and write its contact sheet.

    Args:
        clip: file of one talking person.
        rows: names of the rows.
        out: folder of the results.
        prior: name or folder of the prior; None for the shipped one.
        steps: training steps; None for as many as ``adapt`` makes.

    Returns:
        ``{clip, frames, still_lmd, rows: {name: figures}, adapt: {...}}``, ready for JSON.
    """
    with tempfile.TemporaryDirectory(prefix="dubfew-reenact-") as name:
        folder = Path(name)
        adapt_clip, test_clip = folder / "adapt.mp4", folder / "test.mp4"
        split_clip(clip, adapt_clip, test_clip)
        # One track for all rows, so that all of them may change the same pixels.
        track = track_video(test_clip, progress=show)
        test_marks = detect_landmarks(test_clip)
        job = Job(
            adapt_clip=adapt_clip,
            test_clip=test_clip,
            adapt_marks=detect_landmarks(adapt_clip),
            test_marks=test_marks,
            track=track,
            region=mouth_region(track),
            registry=Registry(folder / "home"),
            prior=prior,
            steps=steps,
            adapted=[],
        )
        figures, videos, seconds = {}, {"original": test_clip}, {}
        for row in rows:
            if ROWS[row].needs_sound and not probe(test_clip).has_audio:
                continue
            path = folder / f"{row}.mp4"
            started = time.perf_counter()
            ROWS[row].make(job, path)
            seconds[row] = round(time.perf_counter() - started, 2)
            figures[row] = evaluate(test_clip, path, track=track).to_json()
            videos[ROWS[row].label] = path
        cuts, moments = make_sheet_rows(videos, landmarks=test_marks)
        sheet = draw_contact_sheet(cuts, moments=moments, title=clip.stem)
        save_contact_sheet(sheet, out / "sheets" / f"{clip.stem}.png")
        return {
            "clip": clip.name,
            "frames": len(test_marks),
            "still_lmd": lip_landmark_distance(test_marks, freeze_lips(test_marks)),
            "rows": figures,
            "row_seconds": seconds,
            "adapt": {
                result.actor: {
                    "frames": result.frames,
                    "steps": result.steps,
                    "seconds": dict(result.seconds),
                    "psnr_heldout": result.psnr_heldout,
                }
                for result in job.adapted
            },
        }


def mean_rows(results: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Average each row over the clips; missing values are left out."""
    names = dict.fromkeys(name for result in results for name in result["rows"])
    means: dict[str, dict[str, float | None]] = {}
    for name in names:
        rows = [result["rows"][name] for result in results if name in result["rows"]]
        means[name] = {}
        for measure in MEASURES:
            values = [row[measure] for row in rows if row.get(measure) is not None]
            means[name][measure] = float(np.mean(values)) if values else None
    return means


def table(rows: Mapping[str, Mapping[str, float | None]], still_lmd: float) -> str:
    """Format the values of one clip, or their mean, with the still mouth as the last row."""
    body = [
        [ROWS[name].label, *(values.get(measure) for measure in COLUMNS)]
        for name, values in rows.items()
    ]
    body.append(["still mouth", *(still_lmd if m == "lmd" else None for m in COLUMNS)])
    return markdown_table(["", *COLUMNS.values()], body)


def verdict(results: list[dict[str, Any]]) -> str:
    """Format by how much training beats the bare warp, with the clips on which it does not."""
    gains: dict[str, float] = {}
    for result in results:
        if {"ours", "warped"} <= result["rows"].keys():
            ours, warp = (result["rows"][row]["psnr_mouth"] for row in ("ours", "warped"))
            if ours is not None and warp is not None:
                gains[result["clip"]] = ours - warp
    if not gains:
        return ""
    lost = [f"{clip} ({gain:+.2f} dB)" for clip, gain in gains.items() if gain <= 0]
    text = (
        f"Training beats the bare warp on {len(gains) - len(lost)} of {len(gains)} clips: mouth "
        f"PSNR {np.mean(list(gains.values())):+.2f} dB on average, {min(gains.values()):+.2f} dB "
        "at least."
    )
    return f"{text} Not on {', '.join(lost)}." if lost else text


def document(results: list[dict[str, Any]], failed: Mapping[str, str], line: str) -> str:
    """Format the whole result as Markdown."""
    parts = ["# Re-enactment", line, verdict(results)]
    if results:
        still = float(np.nanmean([result["still_lmd"] for result in results]))
        parts += [f"## Mean of {len(results)} clips", table(mean_rows(results), still)]
    for result in results:
        parts += [f"## {result['clip']}, {result['frames']} frames"]
        for actor, adapted in result["adapt"].items():
            seconds = ", ".join(f"{k} {v:.1f} s" for k, v in adapted["seconds"].items())
            parts += [f"{actor}: {adapted['frames']} frames, {adapted['steps']} steps, {seconds}"]
        parts += [table(result["rows"], result["still_lmd"])]
    parts += [f"Failed: {clip}: {reason}" for clip, reason in failed.items()]
    return "\n\n".join(filter(None, parts)) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code, 1 if a clip failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help="default: the validate clips")
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help="folder with manifest.json")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    parser.add_argument(
        "--only", default=",".join(ROWS), help="rows, separated by commas; default %(default)s"
    )
    parser.add_argument("--prior", type=Path, help="name or folder; default: the shipped one")
    parser.add_argument("--steps", type=int, default=None, help="training steps of dubfew")
    options = parser.parse_args(arguments)
    rows = [row for row in ROWS if row in options.only.split(",")]
    if not rows:
        parser.error(f"no row in {options.only!r}: choose among {', '.join(ROWS)}")
    clips = options.clips or [
        *clips_of("validate", options.footage),
        options.footage / "mt_duda.mp4",
    ]
    return run_clips(
        clips,
        options.out,
        "reenact",
        lambda clip: run_clip(clip, rows, options.out, prior=options.prior, steps=options.steps),
        document,
    )


if __name__ == "__main__":
    sys.exit(main())
