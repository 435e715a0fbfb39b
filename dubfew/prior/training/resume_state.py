"""Resume states: complete, and either wholly there or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from accelerate import Accelerator
from safetensors import SafetensorError

from dubfew.errors import ArtefactError
from dubfew.prior.checkpoint import renderer_config_to_dict
from dubfew.prior.renderers import Renderer
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.references.footage import Footage
from dubfew.utils.files import write_atomic

STATE_FORMAT_VERSION = 1
LATEST_STATE_FILE, STATE_INFO_FILE, TRAINING_LOG_FILE = "latest", "training.json", "log.jsonl"
# Where and how often the training writes may change from one part of a run to the next; who
# takes part is compared by content, the size of a step by its product.
CHANGEABLE_CONFIG_KEYS = (
    "steps",
    "checkpoint",
    "workers",
    "tensorboard",
    "exclude",
    "batch",
    "accumulate",
)
# Whatever the readers of JSON, safetensors and torch make of a damaged file.
_READ_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    UnpicklingError,
    SafetensorError,
)


@dataclass(frozen=True)
class RunState:
    """How far a run has come.

    Attributes:
        step: optimiser steps done.
        best: highest PSNR of the held-out people so far, dB; None before the first.
    """

    step: int = 0
    best: float | None = None


def compute_run_fingerprint(
    config: PriorTrainConfig,
    renderer: Renderer,
    people: Iterable[tuple[Footage, Mapping[str, Any]]],
    start: Mapping[str, str],
    num_processes: int,
) -> dict[str, Any]:
    """What has to be the same for a run to go on as if it had not been interrupted."""
    same = {
        name: value
        for name, value in config.to_public_dict().items()
        if name not in CHANGEABLE_CONFIG_KEYS
    }
    same["renderer_config"] = renderer_config_to_dict(renderer)
    same["start"] = dict(start)
    same["samples_per_step"] = config.batch * config.accumulate * num_processes
    who = [[h.get("file"), h.get("sha256"), len(footage)] for footage, h in people]
    same["people"] = hashlib.sha256(json.dumps(who).encode()).hexdigest()[:12]
    return json.loads(json.dumps(same))  # as it will be read back: lists, no tuples


def save_run_state(
    accelerator: Accelerator, out: Path, state: RunState, fingerprint: Mapping[str, Any]
) -> None:
    """Write everything that resuming needs, then point to it.

    Killed at any moment, it leaves the state before, or this one: the folder gets its name when
    all of it is on the disk, and the pointer moves to it after that.
    """
    unfinished, folder = out / "unfinished", out / f"state-{state.step}"
    if accelerator.is_main_process:
        for left in (unfinished, folder):  # of an attempt that was killed
            shutil.rmtree(left, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(unfinished))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        about = {"format_version": STATE_FORMAT_VERSION, **asdict(state), "same": fingerprint}
        (unfinished / STATE_INFO_FILE).write_text(json.dumps(about, indent=2))
        for path in (*unfinished.rglob("*"), unfinished):
            _fsync_path(path)
        unfinished.rename(folder)
        _fsync_path(out)
        write_atomic(out / LATEST_STATE_FILE, str(state.step).encode())
        _fsync_path(out)
        for old in out.glob("state-*"):
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def resume_run(accelerator: Accelerator, out: Path, fingerprint: Mapping[str, Any]) -> RunState:
    """Load the latest state, if there is one, and cut the log to it.

    Raises:
        ArtefactError: the state is of a training with another configuration, is damaged, or from
            another version of dubfew.
    """
    out.mkdir(parents=True, exist_ok=True)
    state = RunState()
    if (out / LATEST_STATE_FILE).exists():
        folder = out / f"state-{(out / LATEST_STATE_FILE).read_text().strip()}"
        try:
            about = json.loads((folder / STATE_INFO_FILE).read_text())
            if about["format_version"] != STATE_FORMAT_VERSION:
                raise ValueError(f"format {about['format_version']}")
            state = RunState(about["step"], about["best"])
            _check_fingerprint(out, about["same"], fingerprint)
            accelerator.load_state(str(folder))
        except _READ_ERRORS as error:
            raise ArtefactError(
                f"the state {folder} is damaged or of another version of dubfew "
                f"({type(error).__name__}): choose another 'out' to start anew"
            ) from error
    if accelerator.is_main_process:
        _truncate_log(out / TRAINING_LOG_FILE, state.step)
    accelerator.wait_for_everyone()
    return state


def _check_fingerprint(out: Path, stored: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    names = sorted({*stored, *expected})
    other = [
        f"{name} was {stored.get(name)!r}, is {expected.get(name)!r}"
        for name in names
        if stored.get(name) != expected.get(name)
    ]
    if other:
        raise ArtefactError(
            f"{out} holds a training of another configuration ({'; '.join(other)}): give these "
            "their old values to go on with it, or choose another 'out'"
        )


def _truncate_log(path: Path, last_step: int) -> None:
    """Forget steps after ``last_step``, which are done again, and a line that was cut short."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] > last_step:
                break
        except (ValueError, KeyError, TypeError):
            break
        kept.append(line + "\n")
    write_atomic(path, "".join(kept).encode())


def _fsync_path(path: Path) -> None:
    """Have the system write a file, or a folder's list of names, to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows knows no such thing for folders
        return
    handle = os.open(path, os.O_RDWR if path.is_file() and os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
