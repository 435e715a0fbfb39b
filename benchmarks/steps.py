"""Optimizer steps to each quality, with the prior and without.

    python -m benchmarks.steps [--clips ...] [--steps N] [--baseline-steps N] [--quick]

Window level (see `benchmarks.windows`). Test frames are measured during the training, every 5 steps
at first, then every 25, later every 50. The same people are adapted to in three ways:

- *prior*: the shipped prior, adapted by LoRA;
- *no prior*: the same network untrained, all weights trained on the actor alone. At step 0 it
  renders the bare warp, which has passed the lower marks already;
- *no prior, no references*: the same, but the mouth has to come from the neural texture and the
  network alone, as in the baseline of the source below. At step 0 it renders a smooth continuation
  of the surroundings.

Marks are PSNRs of 25 to 37 dB, and gains over each clip's bare warp. A dash is a mark that was not
reached. No training stops early.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), table 3.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.cells import (
    LONG_RUN_STEPS,
    NO_PRIOR_VARIANT,
    PRODUCT_VARIANT,
    QUICK_STEPS,
    Cell,
    make_benchmark,
    make_parser,
)
from benchmarks.common import markdown_table
from benchmarks.windows import Variant
from dubfew.references.inputs import RenderInputs
from dubfew.references.warping import push_pull_fill

# Clips that are measured, unless named: every one is trained on three times.
MAX_CLIPS = 3
# Steps of the trainings without a prior, which need more.
NUM_BASELINE_STEPS = 400
# Marks: PSNR of the mouth in dB, and dB above the bare warp of the same frames.
PSNR_MARKS = tuple(range(25, 38))
GAIN_MARKS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5)
# Points of a training: "step", "seconds", "heldout", and the metrics where they were measured.
StepCurve = list[dict[str, Any]]


def hide_references(inputs: RenderInputs) -> RenderInputs:
    """Replace all references by the scene, continued smoothly into the mask."""
    fill = push_pull_fill(inputs.scene, (inputs.alpha <= 0).float())
    size, count = fill.shape[-1], inputs.references.shape[1]
    centers = (torch.arange(size) + 0.5) * (2 / size) - 1
    own_grid = torch.stack(torch.meshgrid(centers, centers, indexing="xy"), -1)
    return replace(
        inputs,
        references=fill[:, None].expand(-1, count, -1, -1, -1),
        sampling_grid=own_grid.expand_as(inputs.sampling_grid),
        reference_distances=torch.zeros_like(inputs.reference_distances),
    )


# The third way of the three, and all of them.
NO_REFERENCES_VARIANT = Variant(
    "no prior, no references", prior=False, method="full", mixed=False, edit=hide_references
)
COMPARED_VARIANTS = (
    replace(PRODUCT_VARIANT, label="prior"),
    NO_PRIOR_VARIANT,
    NO_REFERENCES_VARIANT,
)


def measured_points(curve: StepCurve) -> StepCurve:
    """Select the points at which test frames were measured."""
    return [point for point in curve if "psnr" in point]


def subtract_warp(curve: StepCurve, warp: float) -> StepCurve:
    """Express a curve in dB above the bare warp.

    Args:
        curve: points of a training.
        warp: PSNR of the bare warp, dB.
    """
    return [{**point, "psnr": point["psnr"] - warp} for point in measured_points(curve)]


def mean_curve(curves: Sequence[StepCurve]) -> StepCurve:
    """Average curves at the steps that all of them have."""
    tables = [{point["step"]: point for point in measured_points(curve)} for curve in curves]
    steps = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
    return [
        {
            "step": step,
            **{
                name: sum(table[step][name] for table in tables) / len(tables)
                for name in ("seconds", "psnr")
            },
        }
        for step in steps
    ]


def find_mark(curve: StepCurve, mark: float) -> dict[str, Any] | None:
    """Find the first point that reaches a mark.

    Args:
        curve: points of a training.
        mark: PSNR, dB.
    """
    return next((point for point in measured_points(curve) if point["psnr"] >= mark), None)


def format_mark_table(
    curves: dict[str, StepCurve], marks: Sequence[float], name: Callable[[float], str]
) -> str:
    """Format steps and seconds to each mark, and the ratio of steps to the first curve's.

    Marks that none of the curves reaches are left out.

    Args:
        curves: curves by their labels, ours first.
        marks: PSNRs, dB.
        name: formats a mark for the first column.
    """
    labels = list(curves)
    rows: list[list[object]] = []
    for mark in marks:
        found = {label: find_mark(curve, mark) for label, curve in curves.items()}
        if not any(found.values()):
            continue
        row: list[object] = [name(mark)]
        for label in labels:
            point = found[label]
            row.append(f"{point['step']} ({point['seconds']:.0f} s)" if point else None)
        for label in labels[1:]:
            row.append(format_ratio(found[labels[0]], found[label], curves[label]))
        rows.append(row)
    headers = ["", *labels, *(f"{label}: times more" for label in labels[1:])]
    return markdown_table(headers, rows)


def format_ratio(
    ours: dict[str, Any] | None, theirs: dict[str, Any] | None, their_curve: StepCurve
) -> str | None:
    """Format the ratio of their steps to ours.

    Args:
        ours: point that reached the mark, or None.
        theirs: their point, or None.
        their_curve: their curve, whose last step is a lower bound if they did not reach the mark.

    Returns:
        The ratio, with ">" for a bound; "at start" if ours needed no step; None if ours did not
        reach the mark.
    """
    if ours is None:
        return None
    steps = theirs["step"] if theirs else measured_points(their_curve)[-1]["step"]
    more = "" if theirs else ">"
    if ours["step"] == 0:
        return "both at start" if theirs and steps == 0 else f"at start / {more}{steps}"
    return f"{more}{steps / ours['step']:.1f}"


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a cell failed."""
    parser = make_parser(__doc__, LONG_RUN_STEPS)
    parser.add_argument("--baseline-steps", type=int, default=NUM_BASELINE_STEPS)
    options = parser.parse_args(arguments)
    bench = make_benchmark(options, most=MAX_CLIPS)
    if options.quick:
        options.baseline_steps = min(options.baseline_steps, 2 * QUICK_STEPS)
    # The first way is the product itself, so that `benchmarks.adapt_curve` finds its cells, too.
    requested = [
        (
            system.label,
            Cell(
                clip,
                bench.known(clip),
                options.steps if system.prior else options.baseline_steps,
                PRODUCT_VARIANT if system.prior else system,
                stops=False,
            ),
        )
        for clip in bench.usable()
        for system in COMPARED_VARIANTS
    ]
    results = bench.measure(cell for _, cell in requested)
    clips: dict[str, dict[str, dict[str, Any]]] = {}
    for (label, cell), result in zip(requested, results, strict=True):
        if result is not None:
            clips.setdefault(cell.clip.name, {})[label] = result
    # Means over clips that no way failed on.
    complete = {
        name: found for name, found in clips.items() if len(found) == len(COMPARED_VARIANTS)
    }
    parts: list[str] = []
    if complete:
        labels = [system.label for system in COMPARED_VARIANTS]
        absolute = {
            label: mean_curve([found[label]["curve"] for found in complete.values()])
            for label in labels
        }
        over = {
            label: mean_curve(
                [
                    subtract_warp(found[label]["curve"], found["prior"]["warp"]["psnr"])
                    for found in complete.values()
                ]
            )
            for label in labels
        }
        parts += [
            f"## Mean curve of {len(complete)} clips",
            format_mark_table(absolute, PSNR_MARKS, lambda mark: f"{mark} dB"),
            format_mark_table(over, GAIN_MARKS, lambda gain: f"bare warp + {gain:g} dB"),
            "Highest: "
            + "; ".join(f"{label} {format_best(curve)}" for label, curve in absolute.items()),
        ]
    # Every clip by itself, if there are several.
    for clip, found in clips.items() if len(clips) > 1 else ():
        curves = {label: result["curve"] for label, result in found.items()}
        warp = next(iter(found.values()))["warp"]["psnr"]
        parts += [
            f"## {clip}",
            format_mark_table(curves, PSNR_MARKS, lambda mark: f"{mark} dB"),
            format_mark_table(
                {label: subtract_warp(curve, warp) for label, curve in curves.items()},
                GAIN_MARKS,
                lambda gain, warp=warp: f"{warp:.2f} + {gain:g} dB",  # type: ignore[misc]
            ),
            "Highest: "
            + "; ".join(f"{label} {format_best(curve)}" for label, curve in curves.items()),
        ]
    notes = (
        f"Window level; PSNR of {options.tests} test frames a clip; at most {options.steps} steps "
        f"with the prior, {options.baseline_steps} without. 0 is before the first step."
    )
    data = {"steps": options.steps, "baseline_steps": options.baseline_steps, "clips": clips}
    bench.write("steps", "Steps to a PSNR", notes, parts, data)
    return 1 if bench.failed else 0


def format_best(curve: StepCurve) -> str:
    """Format the highest point of a curve."""
    point = max(measured_points(curve), key=lambda point: point["psnr"])
    return f"{point['psnr']:.2f} dB at step {point['step']}"


if __name__ == "__main__":
    sys.exit(main())
