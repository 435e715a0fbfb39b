"""Steps to each quality with a painting prior and without: Dubbing for Everyone's table 3.

    python -m benchmarks.painting_steps PRIOR [CLIP ...] [--steps 150]

Each clip's first four seconds are learned twice, by all weights of the prior and by fresh ones. The
PSNR is that of held-out mouths, as ``dubfew adapt`` measures it every 50 steps; a mark counts as
reached at the first measurement above it. Trainings end early where nothing is gained any more.
The published table stands below; it is of 1000 frames of HDTF, so its rows do not compare.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), table 3.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import dubfew
from benchmarks.common import FOOTAGE, RESULTS, machine_line, markdown_table, write_results
from benchmarks.footage import split_clip
from dubfew.evaluate.papers.protocols import load_published
from dubfew.registry import Registry

# Marks, dB. The paper has 25 to 30.
PSNR_MARKS = tuple(range(14, 31, 2))
# Step and held-out PSNR of every validation.
Curve = list[tuple[int, float]]


def find_marks(curve: Curve) -> list[int | None]:
    """Find the step at which each mark was first passed; None for marks that never were."""
    return [next((step for step, psnr in curve if psnr >= mark), None) for mark in PSNR_MARKS]


def learn(clip: Path, prior: Path, steps: int, fresh: bool) -> Curve:
    """Adapt once and return the curve."""
    with tempfile.TemporaryDirectory(prefix="dubfew-steps-") as name:
        folder = Path(name)
        split_clip(clip, folder / "adapt.mp4", folder / "rest.mp4", test_seconds=1)
        result = dubfew.adapt(
            folder / "adapt.mp4",
            actor="actor",
            prior=prior,
            method="full",
            no_prior=fresh,
            steps=steps,
            registry=Registry(folder / "home"),
        )
    return [(step, psnr) for step, _, psnr in result.curve]


def main(arguments: Sequence[str] | None = None) -> int:
    """Learn every clip both ways and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prior", type=Path, help="folder of a prior that paints")
    parser.add_argument("clips", nargs="*", type=Path, help="default: one validate clip")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    clips = options.clips or [FOOTAGE / "lp_d20.mp4"]
    curves: dict[str, list[Curve]] = {}
    for label, fresh in (("prior", False), ("no prior", True)):
        curves[label] = [learn(clip, options.prior, options.steps, fresh) for clip in clips]
    rows = []
    for label, found in curves.items():
        for clip, curve in zip(clips, found, strict=True):
            best = float(np.max([psnr for _, psnr in curve]))
            rows.append([clip.stem, label, *find_marks(curve), curve[0][1], best])
    head = ["clip", "start", *(f"{mark} dB" for mark in PSNR_MARKS), "first, dB", "best, dB"]
    table = load_published()["003.3"]
    published = [[row["system"], *row["values"]] for row in table["rows"]]
    text = "\n\n".join(
        [
            machine_line(),
            markdown_table(head, rows),
            f"{table['title']} (published):",
            markdown_table(["system", *table["columns"]], published),
        ]
    )
    write_results(options.out, "painting_steps", text, {"curves": curves})
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
