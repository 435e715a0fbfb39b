"""The log of a training: one line of JSON for each step, and TensorBoard."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from dubfew.prior.training.validation import ValidationResult
from dubfew.training.resume_state import TRAINING_LOG_FILE


class TrainingLog:
    """Writes ``out``/log.jsonl in the main process, and to TensorBoard if Accelerate has it."""

    def __init__(self, accelerator: Accelerator, out: Path, steps_done: int) -> None:
        """Open the log, which `resume_run` has cut to ``steps_done``.

        Args:
            accelerator: knows the process and has the trackers.
            out: folder of the run.
            steps_done: optimizer steps before this part of the run.
        """
        self.accelerator = accelerator
        self.file = (out / TRAINING_LOG_FILE).open("a") if accelerator.is_main_process else None
        # TensorBoard drops what an interrupted run drew after its last resume state.
        accelerator.init_trackers(
            "tensorboard", init_kwargs={"tensorboard": {"purge_step": steps_done + 1}}
        )

    def write_step(
        self, step: int, metrics: Mapping[str, float], validation: ValidationResult | None
    ) -> None:
        """Write a step; the line of a checkpoint is on the disk before the checkpoint is.

        Args:
            step: optimizer steps done.
            metrics: figures by name.
            validation: result of the checkpoint's validation, or None between checkpoints.
        """
        self.accelerator.log(dict(metrics), step=step)
        if validation is not None:
            for tracker in self.accelerator.trackers:
                for name, image in validation.preview_images.items():
                    tracker.log_images(
                        {f"truth, warp, rendered/{name}": image[None]},
                        step=step,
                        dataformats="NHWC",
                    )
        if self.file is None:
            return
        # A dictionary of clips cannot be a curve: only the file has it.
        line: dict[str, Any] = {"step": step, **metrics}
        if validation is not None and validation.metrics_by_clip:
            line["heldout"] = validation.metrics_by_clip
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        if validation is not None:
            # A resume state must never be ahead of the log.
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Close the log and the trackers."""
        for tracker in self.accelerator.trackers:
            tracker.finish()
        if self.file is not None:
            self.file.close()
