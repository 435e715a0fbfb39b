"""Runs of ``dubfew.adapt.trainer.train_adapter`` at window level, each measured once and
remembered.

A *cell* is one clip learnt in one way. Finished cells are kept in ``cells`` of the results folder,
one file each, named by everything that decides them (the prior's hash too, but not dubfew's own
code: give a new version a new ``--out``). So an interrupted benchmark goes on where it was, and
benchmarks, also those that run side by side, share the cells that they have in common.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save
from torch import nn

from benchmarks.common import FOOTAGE, RESULTS, clips_of, machine, machine_line, write_results
from benchmarks.windows import (
    NUM_TEST_FRAMES,
    FootageCache,
    Variant,
    WindowMetrics,
    default_known_frames,
    make_test_batch,
    make_untrained_prior,
    measure_batch,
    mouth_boxes,
    render_windows,
    split_clip,
    spread_rows,
    to_uint8_images,
)
from dubfew.adapt import trainer
from dubfew.adapt.methods import METHODS, resolve_method_options
from dubfew.adapt.options import REPLAY_BY_DEFAULT
from dubfew.adapt.replay import load_replay_for_prior
from dubfew.adapt.trainer import AdapterTraining, train_adapter
from dubfew.data.samples import TrainingSample
from dubfew.errors import DubfewError
from dubfew.evaluate.contact_sheets import SheetRow
from dubfew.media import probe
from dubfew.prior.checkpoint import Prior
from dubfew.progress import no_progress
from dubfew.textures import NeuralTexture
from dubfew.utils.files import atomic_path, write_atomic

# Enough for the order of methods and ablations; the product's own limit is
# `dubfew.adapt.options.DEFAULT_TRAINING_STEPS`.
ADAPT_STEPS = 50
# Long enough to see what comes after the product would have stopped.
LONG_RUN_STEPS = 300
PRODUCT_VARIANT = Variant("product")
NO_PRIOR_VARIANT = Variant("no prior", prior=False, method="full", mixed=False)
# Before anything is measured: a step on one core, and what a cell costs beside its steps, in steps.
ESTIMATED_STEP_SECONDS, CELL_OVERHEAD_STEPS = 0.5, 20
SHEET_FRAMES = 5
QUICK_STEPS, QUICK_TEST_FRAMES = 4, 6


@dataclass(frozen=True)
class Cell:
    """One clip learnt in one way.

    Attributes:
        clip: which.
        known: how many of its first frames are known.
        steps: at most so many.
        variant: what is different from the product.
        method: of adaptation, unless the variant has its own.
        options: what is asked of the method, see `resolve_method_options`.
        stops: ends when held-out frames stop gaining, as the product does.
        tail: measure_batch in the clip's tail alone, the same however much is known.
    """

    clip: Path
    known: int
    steps: int
    variant: Variant = PRODUCT_VARIANT
    method: str = "lora"
    options: dict[str, int] = field(default_factory=dict)
    stops: bool = True
    tail: bool = False


class StepRecorder:
    """Judges test frames while ``train_adapter`` runs, and takes its own time off the clock."""

    def __init__(self, batch: TrainingSample, last: int, *, restores: bool) -> None:
        self.batch = batch
        self.last = last
        self.restores = restores
        self.figures: dict[int, WindowMetrics] = {}
        self.seconds: dict[int, float] = {}
        self._began: float | None = None

    def __call__(self, step: int, renderer: nn.Module, texture: nn.Module) -> None:
        now = time.monotonic()
        began = now if self._began is None else self._began
        self.seconds[step] = now - began
        if is_measured_step(step) or step == self.last:
            output = render_windows(renderer, texture, self.batch, restores=self.restores)
            self.figures[step] = measure_batch(output, self.batch)
        self._began = began + time.monotonic() - now


def is_measured_step(step: int) -> bool:
    """Whether test frames are measure_batch at a step: often at first, where most happens."""
    every = 5 if step < 25 else 25 if step < 300 else 50
    return step % every == 0


class CellBenchmark:
    """Where cells are measured and kept."""

    def __init__(
        self,
        out: Path,
        clips: Sequence[Path],
        *,
        prior: Path | None = None,
        prepared: Path | None = None,
        seed: int = 0,
        tests: int = NUM_TEST_FRAMES,
        device: str = "cpu",
    ) -> None:
        self.out = out
        self.clips = list(clips)
        self.prior = Prior.load(prior)
        self.blank = make_untrained_prior(self.prior)
        self.shelf = FootageCache(out, self.prior.renderer.config.window, prepared)
        self.seed = seed
        self.tests = tests
        self.device = device
        self.failed: dict[str, str] = {}
        self.started_on, self.line = machine(), machine_line()
        files = sorted((out / "cells").glob("*.json"))
        self._done: dict[str, Any] = {
            cell["key"]: cell for cell in (json.loads(file.read_text()) for file in files)
        }

    def frames(self, clip: Path) -> int:
        """Frames of a clip with a face."""
        return len(self.shelf.raw(clip))

    def known(self, clip: Path) -> int:
        """How many frames of a clip are known unless a benchmark asks otherwise."""
        return default_known_frames(self.frames(clip))

    def usable(self) -> list[Path]:
        """The clips that could be tracked; the others are noted as failed."""
        good = []
        for clip in self.clips:
            try:
                self.frames(clip)
                good.append(clip)
            except DubfewError as error:
                self.failed[clip.name] = str(error)
        return good

    def measure(self, cells: Iterable[Cell]) -> list[dict[str, Any] | None]:
        """Figures of every cell, in order; None for one that failed, see `failed`."""
        wanted = list(cells)
        todo = [cell for cell in wanted if self.key(cell) not in self._done]
        print(
            f"{len(wanted)} cells, {len(wanted) - len(todo)} of them done before; "
            f"at most about {self._minutes(todo):.0f} min",
            file=sys.stderr,
        )
        for count, cell in enumerate(todo):
            key = self.key(cell)
            if key in self._done:  # asked for twice
                continue
            began = time.monotonic()
            try:
                result = self._run(cell)
            except DubfewError as error:
                self.failed[key] = str(error)
                continue
            result |= {"key": key, "wall": time.monotonic() - began}
            self._done[key] = result
            write_atomic(self._file(key, "json"), json.dumps(result, indent=1).encode())
            left = self._minutes(todo[count + 1 :])
            print(
                f"[{count + 1}/{len(todo)}] {key}: {result['wall']:.0f} s; "
                f"at most about {left:.0f} min more",
                file=sys.stderr,
            )
        return [self._done.get(self.key(cell)) for cell in wanted]

    def _minutes(self, cells: Sequence[Cell]) -> float:
        """Time for cells that run to their last step, as fast as those before, minutes."""
        spent = [(r["wall"], r["last"] + CELL_OVERHEAD_STEPS) for r in self._done.values()]
        rate = (
            sum(w for w, _ in spent) / sum(s for _, s in spent) if spent else ESTIMATED_STEP_SECONDS
        )
        return rate * sum(cell.steps + CELL_OVERHEAD_STEPS for cell in cells) / 60

    def _run(self, cell: Cell) -> dict[str, Any]:
        with ExitStack() as stack:
            for name, value in list_patches(cell).items():
                owner, _, attribute = name.rpartition(".")
                stack.enter_context(patch.object(resolve_name(owner), attribute, value))
            return self._learnt(cell)

    def _learnt(self, cell: Cell) -> dict[str, Any]:
        variant, prior, head = cell.variant, self._prior(cell), self.shelf.head
        method = METHODS.load(self._method(cell))
        options = resolve_method_options(self._method(cell), **cell.options)
        cut = split_clip(
            self.shelf, cell.clip, cell.known, variant, tail=cell.tail, tests=self.tests
        )
        count = prior.renderer.config.references
        batch = make_test_batch(cut, variant, head, count).to(self.device)
        watcher = StepRecorder(batch, cell.steps, restores=variant.restores)
        learned = train_adapter(
            prior,
            cut.known,
            head,
            method,
            options,
            steps=cell.steps,
            device=self.device,
            seed=self.seed,
            progress=no_progress,
            on_step=watcher,
            replay=load_replay_for_prior(prior, head) if self._mixed(cell) else None,
        )
        kept = method.apply_delta(deepcopy(prior.renderer), learned.weights, options)
        output = self._render(kept, learned.texture, batch, variant)
        bare = torch.zeros_like(prior.texture)
        heldout = {step: psnr for step, _, psnr in learned.curve}
        return {
            "steps": learned.best_step,
            "last": max(watcher.seconds),
            "seconds": max(watcher.seconds.values()),
            "psnr_heldout": learned.psnr_heldout,
            "bytes": measure_stored_bytes(learned),
            "warp": measure_batch(self._render(self.blank.renderer, bare, batch, variant), batch),
            "zero": watcher.figures[0],
            "kept": measure_batch(output, batch),
            "shown": self._show(cell, to_uint8_images(batch.target), output, mouth_boxes(batch)),
            "curve": [
                {
                    "step": step,
                    "seconds": watcher.seconds[step],
                    "heldout": heldout.get(step),
                    **watcher.figures.get(step, {}),
                }
                for step in sorted({*watcher.figures, *heldout})
            ],
        }

    def _render(
        self, renderer: nn.Module, features: torch.Tensor, batch: TrainingSample, variant: Variant
    ) -> NDArray[np.uint8]:
        texture = NeuralTexture(1, len(features))
        with torch.no_grad():
            texture.features[0] = features
        return render_windows(
            deepcopy(renderer).to(self.device),
            texture.to(self.device),
            batch,
            restores=variant.restores,
        )

    def _show(
        self,
        cell: Cell,
        truth: NDArray[np.uint8],  # [B, S, S, 3]
        output: NDArray[np.uint8],  # [B, S, S, 3]
        boxes: NDArray[np.int64],  # [B, 4]
    ) -> list[list[int]]:
        """Keep a few frames for the eye, the true ones above; returns the boxes of their lips."""
        rows = spread_rows(0, len(truth) - 1, SHEET_FRAMES)
        strip = np.concatenate([np.concatenate(list(p[rows]), 1) for p in (truth, output)])
        with atomic_path(self._file(self.key(cell), "png")) as temporary:
            Image.fromarray(strip).save(temporary, format="PNG")
        return [[int(v) for v in box] for box in boxes[rows]]

    def sheet_rows(self, cell: Cell, name: str) -> tuple[SheetRow, SheetRow]:
        """The frames of a finished cell that are kept for the eye: the true ones and its own."""
        key = self.key(cell)
        boxes = self._done[key]["shown"]
        strip = np.asarray(Image.open(self._file(key, "png")))
        size = len(strip) // 2
        rows = []
        for label, half in (("original", strip[:size]), (name, strip[size:])):
            windows = np.split(half, len(boxes), axis=1)
            mouths = [w[y0:y1, x0:x1] for w, (x0, y0, x1, y1) in zip(windows, boxes, strict=True)]
            rows.append(SheetRow(label, tuple(windows), tuple(mouths)))
        return rows[0], rows[1]

    def _file(self, key: str, kind: str) -> Path:
        return self.out / "cells" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.{kind}"

    def key(self, cell: Cell) -> str:
        """Everything that decides a cell's figures, as text."""
        method, prior = self._method(cell), self._prior(cell)
        options = resolve_method_options(method, **cell.options)
        parts = {
            "known": cell.known,
            "prior": prior.sha256[:12] or "untrained",
            "method": method,
            **options,
            "steps": cell.steps,
            "stops": cell.stops,
            "variant": cell.variant.label,
            "mixed": self._mixed(cell),
            "seed": self.seed,
            "tests": self.tests,
            "tail": cell.tail,
            "prepared": self.shelf.prepared is not None,
        }
        return " ".join([cell.clip.name, *(f"{name}={value}" for name, value in parts.items())])

    def _method(self, cell: Cell) -> str:
        return cell.variant.method or cell.method

    def _mixed(self, cell: Cell) -> bool:
        return REPLAY_BY_DEFAULT if cell.variant.mixed is None else cell.variant.mixed

    def _prior(self, cell: Cell) -> Prior:
        return self.prior if cell.variant.prior else self.blank

    def write(self, name: str, title: str, notes: str, parts: Iterable[str], data: Any) -> None:
        """Write and print a benchmark's tables below what they are."""
        failed = [f"Failed: {what}: {why}" for what, why in self.failed.items()]
        text = "\n\n".join([f"# {title}", self.line, notes, *parts, *failed]) + "\n"
        machines = {"machine_before": self.started_on, "machine_after": machine()}
        options = {"prior": self.prior.name, "prior_sha256": self.prior.sha256, "seed": self.seed}
        write_results(self.out, name, text, {**machines, **options, **data, "failed": self.failed})
        print(text)


def list_patches(cell: Cell) -> dict[str, object]:
    """What stands in for what in dubfew while a cell runs."""
    patches = {
        "dubfew.adapt.trainer.make_sample": cell.variant.make_sample,
        "dubfew.data.sampling.make_sample": cell.variant.make_sample,
        **(cell.variant.patches or {}),
    }
    if not cell.stops:
        patches["dubfew.adapt.trainer.PATIENCE_VALIDATIONS"] = (
            cell.steps + trainer.PATIENCE_VALIDATIONS
        )
    return patches


def measure_stored_bytes(learned: AdapterTraining) -> dict[str, int]:
    """What an adapter of this actor holds beside its references, in half precision."""
    weights = {name: value.half().contiguous() for name, value in learned.weights.items()}
    texture = {"features": learned.texture.half().contiguous()}
    return {"weights": len(save(weights)), "texture": len(save(texture))}


def make_parser(doc: str, steps: int = ADAPT_STEPS) -> argparse.ArgumentParser:
    """The options that all window-level benchmarks share."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--clips", nargs="+", help="names or files; default: the validate clips")
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help="folder with manifest.json")
    parser.add_argument(
        "--prepared", type=Path, help="folder of CLIP.safetensors, footage that is tracked already"
    )
    parser.add_argument("--prior", type=Path, help="name or folder; default: the shipped one")
    parser.add_argument("--steps", type=int, default=steps, help="of adaptation; %(default)s")
    parser.add_argument(
        "--tests", type=int, default=NUM_TEST_FRAMES, help="test frames; %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="default %(default)s")
    parser.add_argument("--quick", action="store_true", help="one short clip, few steps")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    return parser


def make_benchmark(options: argparse.Namespace, most: int | None = None) -> CellBenchmark:
    """The bench that the options ask for; ``--quick`` changes them.

    Args:
        options: of `make_parser`.
        most: so many clips at most where none are named, the shortest ones.
    """
    clips = _clips(options)
    if not options.clips and (options.quick or most is not None):
        clips = sorted(clips, key=_length)[: 1 if options.quick else most]
    if options.quick:
        options.steps = min(options.steps, QUICK_STEPS)
        options.tests = min(options.tests, QUICK_TEST_FRAMES)
    return CellBenchmark(
        options.out,
        clips,
        prior=options.prior,
        prepared=options.prepared,
        seed=options.seed,
        tests=options.tests,
        device=options.device,
    )


def _clips(options: argparse.Namespace) -> list[Path]:
    if options.clips:
        named = [Path(clip) for clip in options.clips]
        return [clip if clip.exists() else options.footage / clip for clip in named]
    if options.prepared is not None:
        return [
            options.footage / file.stem for file in sorted(options.prepared.glob("*.safetensors"))
        ]
    return clips_of("validate", options.footage)


def _length(clip: Path) -> float:
    return probe(clip).duration if clip.exists() else 0.0
