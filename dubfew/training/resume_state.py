"""Resume states: everything that a run needs to go on, on disk as a whole or not at all.

Layout of a run's folder ``out``:

    state-N/          Accelerate's checkpoint after N steps, and ``training.json``
    latest            N, as text
    unfinished/       a state that is being written, or was when the run was killed
    log.jsonl         one line of JSON for each step

``training.json`` also holds a *fingerprint*: what has to be the same for a run to go on as if it
had not been interrupted. Each trainer computes its own.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from dubfew.errors import ArtefactError
from dubfew.utils.files import write_atomic
from dubfew.utils.format_version import check_format_version

if TYPE_CHECKING:
    from accelerate import Accelerator

# Version of ``training.json``. A run is resumed by the dubfew that began it or a newer one.
STATE_FORMAT_VERSION = 1
# Names in a run's folder, see above. Changing one makes unfinished runs start anew.
LATEST_STATE_FILE = "latest"
STATE_INFO_FILE = "training.json"
TRAINING_LOG_FILE = "log.jsonl"
UNFINISHED_STATE_FOLDER = "unfinished"
# Errors of the readers of JSON, safetensors and torch on a damaged file.
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
    """Progress of a run.

    Attributes:
        step: optimizer steps done.
        best: highest validation score so far, for the prior the PSNR of held-out people in dB;
            None before the first validation.
    """

    step: int = 0
    best: float | None = None


def save_run_state(
    accelerator: Accelerator, out: Path, state: RunState, fingerprint: Mapping[str, Any]
) -> None:
    """Write a state, then make it the latest one and delete the older ones.

    A process that is killed at any moment leaves either the state before or this one: the folder
    gets its name when all of it is on the disk, and the pointer moves to it after that.

    Args:
        accelerator: holds what was prepared and registered for checkpointing. All processes call
            this function together.
        out: folder of the run.
        state: progress of the run.
        fingerprint: what has to be the same when the run goes on, JSON values.
    """
    unfinished, folder = out / UNFINISHED_STATE_FOLDER, out / f"state-{state.step}"
    if accelerator.is_main_process:
        # Left behind by an attempt that was killed.
        for leftover in (unfinished, folder):
            shutil.rmtree(leftover, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(unfinished))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        info = {"format_version": STATE_FORMAT_VERSION, **asdict(state), "same": fingerprint}
        (unfinished / STATE_INFO_FILE).write_text(json.dumps(info, indent=2))
        # Files first, then the folder's new name, then the pointer: each on the disk before the
        # next begins, or a power cut could keep the later one alone.
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


def resume_run(
    accelerator: Accelerator,
    out: Path,
    fingerprint: Mapping[str, Any],
    *,
    folder_option: str = "'out'",
) -> RunState:
    """Load the latest state, if there is one, and cut the log to it.

    Args:
        accelerator: holds what was prepared and registered for checkpointing, in the same order as
            when the state was written. All processes call this function together.
        out: folder of the run; made where it is missing.
        fingerprint: what has to be the same as when the state was written.
        folder_option: what the user names the folder by.

    Returns:
        Progress of the run; step 0 without a state.

    Raises:
        ArtefactError: The state belongs to a run with another fingerprint, is damaged, or was
            written by a newer dubfew.
    """
    out.mkdir(parents=True, exist_ok=True)
    state = RunState()
    if (out / LATEST_STATE_FILE).exists():
        folder = out / f"state-{(out / LATEST_STATE_FILE).read_text().strip()}"
        try:
            # The fingerprint first: Accelerate's errors on another network explain nothing.
            info = json.loads((folder / STATE_INFO_FILE).read_text())
            check_format_version(info["format_version"], STATE_FORMAT_VERSION, f"state {folder}")
            state = RunState(info["step"], info["best"])
            _check_fingerprint(out, info["same"], fingerprint, folder_option)
            accelerator.load_state(str(folder))
        except _READ_ERRORS as error:
            raise ArtefactError(
                f"the state {folder} is damaged ({type(error).__name__}): choose another "
                f"{folder_option} to start anew"
            ) from error
    # Steps after the state are done again and get their lines again.
    if accelerator.is_main_process:
        _truncate_log(out / TRAINING_LOG_FILE, state.step)
    accelerator.wait_for_everyone()
    return state


def discard_run_state(out: Path) -> None:
    """Delete the states of a run that is over; what else the folder holds stays.

    Args:
        out: folder of the run.
    """
    # The pointer first: without it, what is left by a kill is no state.
    (out / LATEST_STATE_FILE).unlink(missing_ok=True)
    for folder in (*out.glob("state-*"), out / UNFINISHED_STATE_FOLDER):
        shutil.rmtree(folder, ignore_errors=True)


def _check_fingerprint(
    out: Path, stored: Mapping[str, Any], expected: Mapping[str, Any], folder_option: str
) -> None:
    """Refuse a state of another run; the error names every value that differs."""
    # Keys that only one of the two has differ, too.
    names = sorted({*stored, *expected})
    differences = [
        f"{name} was {stored.get(name)!r}, is {expected.get(name)!r}"
        for name in names
        if stored.get(name) != expected.get(name)
    ]
    if differences:
        raise ArtefactError(
            f"{out} holds a training of another configuration ({'; '.join(differences)}): give "
            f"these their old values to go on with it, or choose another {folder_option}"
        )


def _truncate_log(path: Path, last_step: int) -> None:
    """Remove the lines of steps that will be done again, and a line that was cut short."""
    if not path.exists():
        return
    # A killed process may have left half a line at the end.
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
    # Windows cannot do so for folders, and opens files for it only to write.
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDWR if path.is_file() and os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
