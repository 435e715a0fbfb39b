"""How many optimiser steps reach which quality, with the prior and without.

    python -m benchmarks.steps [--clips ...] [--steps N] [--baseline-steps N] [--quick]

Window level (see `benchmarks.windows`); test frames are judged while the steps go on, every 5
steps at first, then every 25, later every 50. Three ways to learn the same people:

- *prior*: the shipped prior, adapted by LoRA;
- *no prior*: the same network untrained, learnt as a whole on the actor alone. Where it starts
  it shows the bare warp, which is past the lower marks already;
- *no prior, no references*: the same, but the mouth has to come from the neural texture and the
  network alone, as in paper 003's baseline. It starts from the surroundings continued smoothly.

Marks are PSNRs of 25 to 37 dB, as in paper 003, table 3, and gains over each clip's bare warp.
A dash is a mark that was not reached in as many steps as were taken. None stops early.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.cells import LONG, NO_PRIOR, PRODUCT, QUICK_STEPS, Cell, bench_of, bench_parser
from benchmarks.common import markdown_table
from benchmarks.windows import Variant
from dubfew.references.inputs import RenderInputs
from dubfew.references.warping import push_pull_fill

MOST = 3
BASELINE_STEPS = 400
MARKS = tuple(range(25, 38))
GAINS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5)
Curve = list[dict[str, Any]]


def without_references(inputs: RenderInputs) -> RenderInputs:
    """Nothing of the actor's other frames: in their place the target's surroundings, continued
    smoothly into the mask."""
    fill = push_pull_fill(inputs.scene, (inputs.alpha <= 0).float())
    size, count = fill.shape[-1], inputs.references.shape[1]
    at = (torch.arange(size) + 0.5) * (2 / size) - 1
    places = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1)
    return replace(
        inputs,
        references=fill[:, None].expand(-1, count, -1, -1, -1),
        sampling_grid=places.expand_as(inputs.sampling_grid),
        reference_distances=torch.zeros_like(inputs.reference_distances),
    )


NO_REFERENCES = Variant(
    "no prior, no references", prior=False, method="full", mixed=False, edit=without_references
)
SYSTEMS = (replace(PRODUCT, label="prior"), NO_PRIOR, NO_REFERENCES)


def judged_part(curve: Curve) -> Curve:
    """The points at which test frames were judged."""
    return [point for point in curve if "psnr" in point]


def gains(curve: Curve, warp: float) -> Curve:
    """The curve in dB over the bare warp."""
    return [{**point, "psnr": point["psnr"] - warp} for point in judged_part(curve)]


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Mean of several curves, at the steps that all of them have."""
    tables = [{point["step"]: point for point in judged_part(curve)} for curve in curves]
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


def reached(curve: Curve, mark: float) -> dict[str, Any] | None:
    """The first point that is as good as a mark."""
    return next((point for point in judged_part(curve) if point["psnr"] >= mark), None)


def mark_table(
    curves: dict[str, Curve], marks: Sequence[float], name: Callable[[float], str]
) -> str:
    """Steps and seconds to each mark that any system reached, and how many times more than the
    first the others took."""
    labels = list(curves)
    rows: list[list[object]] = []
    for mark in marks:
        found = {label: reached(curve, mark) for label, curve in curves.items()}
        if not any(found.values()):
            continue
        row: list[object] = [name(mark)]
        for label in labels:
            point = found[label]
            row.append(f"{point['step']} ({point['seconds']:.0f} s)" if point else None)
        for label in labels[1:]:
            row.append(ratio(found[labels[0]], found[label], curves[label]))
        rows.append(row)
    headers = ["", *labels, *(f"{label}: times more" for label in labels[1:])]
    return markdown_table(headers, rows)


def ratio(
    ours: dict[str, Any] | None, theirs: dict[str, Any] | None, their_curve: Curve
) -> str | None:
    """Their steps over ours: "at start" where ours needed none, with ">" where theirs were not
    enough."""
    if ours is None:
        return None
    steps = theirs["step"] if theirs else judged_part(their_curve)[-1]["step"]
    more = "" if theirs else ">"
    if ours["step"] == 0:
        return "both at start" if theirs and steps == 0 else f"at start / {more}{steps}"
    return f"{more}{steps / ours['step']:.1f}"


def main(arguments: list[str] | None = None) -> int:
    parser = bench_parser(__doc__, LONG)
    parser.add_argument("--baseline-steps", type=int, default=BASELINE_STEPS)
    options = parser.parse_args(arguments)
    bench = bench_of(options, most=MOST)
    if options.quick:
        options.baseline_steps = min(options.baseline_steps, 2 * QUICK_STEPS)
    # The first system is the product itself, so that `benchmarks.adapt_curve` has its cells too.
    wanted = [
        (
            system.label,
            Cell(
                clip,
                bench.known(clip),
                options.steps if system.prior else options.baseline_steps,
                PRODUCT if system.prior else system,
                stops=False,
            ),
        )
        for clip in bench.usable()
        for system in SYSTEMS
    ]
    results = bench.measure(cell for _, cell in wanted)
    clips: dict[str, dict[str, dict[str, Any]]] = {}
    for (label, cell), result in zip(wanted, results, strict=True):
        if result is not None:
            clips.setdefault(cell.clip.name, {})[label] = result
    whole = {name: found for name, found in clips.items() if len(found) == len(SYSTEMS)}
    parts: list[str] = []
    if whole:
        labels = [system.label for system in SYSTEMS]
        absolute = {
            label: mean_curve([found[label]["curve"] for found in whole.values()])
            for label in labels
        }
        over = {
            label: mean_curve(
                [
                    gains(found[label]["curve"], found["prior"]["warp"]["psnr"])
                    for found in whole.values()
                ]
            )
            for label in labels
        }
        parts += [
            f"## Mean curve of {len(whole)} clips",
            mark_table(absolute, MARKS, lambda mark: f"{mark} dB"),
            mark_table(over, GAINS, lambda gain: f"bare warp + {gain:g} dB"),
            "Highest: " + "; ".join(f"{label} {best(curve)}" for label, curve in absolute.items()),
        ]
    for clip, found in clips.items():
        curves = {label: result["curve"] for label, result in found.items()}
        warp = next(iter(found.values()))["warp"]["psnr"]
        parts += [
            f"## {clip}",
            mark_table(curves, MARKS, lambda mark: f"{mark} dB"),
            mark_table(
                {label: gains(curve, warp) for label, curve in curves.items()},
                GAINS,
                lambda gain, warp=warp: f"{warp:.2f} + {gain:g} dB",  # type: ignore[misc]
            ),
            "Highest: " + "; ".join(f"{label} {best(curve)}" for label, curve in curves.items()),
        ]
    notes = (
        f"Window level; PSNR of {options.tests} test frames a clip; at most {options.steps} steps "
        f"with the prior, {options.baseline_steps} without. 0 is before the first step."
    )
    data = {"steps": options.steps, "baseline_steps": options.baseline_steps, "clips": clips}
    bench.write("steps", "Steps to a PSNR", notes, parts, data)
    return 1 if bench.failed else 0


def best(curve: Curve) -> str:
    """The highest point of a curve in words."""
    point = max(judged_part(curve), key=lambda point: point["psnr"])
    return f"{point['psnr']:.2f} dB at step {point['step']}"


if __name__ == "__main__":
    sys.exit(main())
