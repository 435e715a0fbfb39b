"""All renderers beside each other: tiny priors of equal training, adapted alike, on the same clips.

    python -m benchmarks.renderers --priors FOLDER [CLIP ...] [--out FOLDER] [--steps 60]

FOLDER is what `benchmarks.tiny_priors` filled. Each actor is learned from the first four seconds of
a clip, by all weights and the same number of steps, and speaks the next two with the clip's own
sound and tracked motion, so the original is the right answer. The shipped prior stands beside
them; it was trained for longer on more people. Goes on where it stopped: every row is a file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dubfew
from benchmarks.common import (
    FOOTAGE,
    RESULTS,
    machine_line,
    markdown_table,
    write_results,
)
from benchmarks.footage import split_clip
from benchmarks.tiny_priors import TINY_RUNS
from dubfew.errors import DubfewError
from dubfew.evaluate import evaluate
from dubfew.media import read_frames
from dubfew.prior.checkpoint import prior_info
from dubfew.reconstruction.tracking import track_video
from dubfew.registry import Registry
from dubfew.utils.files import write_atomic

# Seconds of the part that is rendered.
TEST_SECONDS = 2.0
# Trainings of `benchmarks.tiny_priors`, by their folder's name.
BUDGETS = {"steps": "equal steps", "seconds": "equal seconds"}
SHIPPED = "lite, shipped"
MEASURES = ("psnr_mouth", "ssim_mouth", "sharpness", "lmd", "opening_r")
# Stages of a render that a frame's cost is made of.
PAINTING_STAGES = ("inputs", "light", "network", "composite")
# Frame of the rendered part that the picture shows, and the share of its height above the mouth.
SHOWN_FRAME = 20


def list_rows(priors: Path) -> dict[str, tuple[str, Path | None]]:
    """List the rows: renderer and prior of each, by a name that files can have."""
    rows: dict[str, tuple[str, Path | None]] = {}
    for budget in BUDGETS:
        for name in TINY_RUNS:
            prior = priors / budget / name / "prior"
            if prior.exists():
                rows[f"{name}-{budget}"] = (name, prior)
    return {**rows, "shipped": (SHIPPED, None)}


def run_row(clip: Path, prior: Path | None, steps: int, video: Path) -> dict[str, Any]:
    """Adapt, render and measure one row on one clip.

    Args:
        clip: footage of one person.
        prior: folder of the prior; None for the shipped one.
        steps: steps of the adaptation.
        video: file for the rendered part.
    """
    with tempfile.TemporaryDirectory(prefix="dubfew-renderers-") as name:
        folder = Path(name)
        learned, test = folder / "adapt.mp4", folder / "test.mp4"
        split_clip(clip, learned, test, test_seconds=TEST_SECONDS)
        registry = Registry(folder / "home")
        began = time.process_time()
        adapted = dubfew.adapt(
            learned, actor="actor", prior=prior, method="full", steps=steps, registry=registry
        )
        middle = time.process_time()
        result = dubfew.render(
            "actor",
            video=test,
            drive="self",
            out=video,
            lossless=True,
            overwrite=True,
            watermark=False,
            anyone=True,
            registry=registry,
        )
        figures = evaluate(test, video, track=track_video(test)).to_json()
    painting = sum(result.seconds.get(stage, 0.0) for stage in PAINTING_STAGES)
    return {
        **{measure: figures[measure] for measure in MEASURES},
        "frames": result.edited_frames,
        "ms_a_frame": 1000 * painting / max(result.edited_frames, 1),
        "adapt_processor_s": middle - began,
        "adapt_best_step": adapted.steps,
        "actor_mb": adapted.bytes / 1e6,
    }


def describe_prior(prior: Path | None) -> dict[str, Any]:
    """Return steps, processor seconds and size of a prior's training, where they are known."""
    folder = prior_info(prior).path
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6
    if prior is None:
        return {"mb": size}
    facts = json.loads((prior.parent / "run.json").read_text())
    return {"mb": size, "steps": facts["steps"], "processor_s": facts["processor_seconds"]}


def mean_of(results: Sequence[dict[str, Any]], key: str) -> float | None:
    """Average a figure over clips; None where no clip has it."""
    values = [row[key] for row in results if row.get(key) is not None]
    return float(np.mean(values)) if values else None


def format_table(out: Path, rows: dict[str, tuple[str, Path | None]], clips: list[str]) -> str:
    """Format what has been measured so far."""
    body = []
    for key, (name, prior) in rows.items():
        found = [
            json.loads(path.read_text())
            for clip in clips
            if (path := out / f"{clip}-{key}.json").exists()
        ]
        if not found:
            continue
        facts = describe_prior(prior)
        body.append(
            [
                name,
                BUDGETS.get(key.rpartition("-")[2], "-"),
                facts.get("steps"),
                facts.get("processor_s"),
                len(found),
                *(mean_of(found, measure) for measure in MEASURES),
                mean_of(found, "ms_a_frame"),
                facts["mb"],
            ]
        )
    head = ["renderer", "trained for", "steps", "processor s", "clips", *MEASURES, "ms a frame"]
    return markdown_table([*head, "MB"], body)


def draw_picture(out: Path, rows: dict[str, tuple[str, Path | None]], clip: Path) -> None:
    """Write one frame of every row of a clip beside the original, for looking at."""
    from PIL import Image

    pictures = []
    for key in rows:
        video = out / f"{clip.stem}-{key}.mkv"
        if video.exists():
            frames = [frame.to_rgb() for frame in read_frames(video, stop=SHOWN_FRAME + 1)]
            pictures.append(frames[-1])
    if pictures:
        Image.fromarray(np.concatenate(pictures, 1)).save(out / f"{clip.stem}.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code, 1 if a row failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help="default: three validate clips")
    parser.add_argument("--priors", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESULTS / "renderers")
    parser.add_argument("--steps", type=int, default=60, help="steps of each adaptation")
    parser.add_argument("--only", default="", help="rows, separated by commas")
    options = parser.parse_args(arguments)
    clips = options.clips or [FOOTAGE / name for name in ("lp_d20.mp4", "hdtf_RD_Radio13.mp4")]
    options.out.mkdir(parents=True, exist_ok=True)
    rows, failed = list_rows(options.priors), 0
    for clip in clips:
        for key, (_, prior) in rows.items():
            done = options.out / f"{clip.stem}-{key}.json"
            if done.exists() or (options.only and key not in options.only.split(",")):
                continue
            try:
                found = run_row(clip, prior, options.steps, done.with_suffix(".mkv"))
            except DubfewError as error:
                print(f"{clip.name}, {key}: {error}", file=sys.stderr)
                failed = 1
                continue
            write_atomic(done, json.dumps(found).encode())
            print(f"{clip.stem}, {key}: {found}", flush=True)
        draw_picture(options.out, rows, clip)
    text = machine_line() + "\n\n" + format_table(options.out, rows, [c.stem for c in clips])
    write_results(options.out, "renderers", text, {"clips": [clip.name for clip in clips]})
    print(text)
    return failed


if __name__ == "__main__":
    sys.exit(main())
