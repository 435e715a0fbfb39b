"""What a training says while it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from dubfew.prior.training.resume_state import LOG
from dubfew.prior.training.validation import Judgement


class Log:
    """One line of JSON for each step in ``out``/log.jsonl; TensorBoard, if Accelerate has it."""

    def __init__(self, accelerator: Accelerator, out: Path, done: int) -> None:
        self.accelerator = accelerator
        self.file = (out / LOG).open("a") if accelerator.is_main_process else None
        # Curves that an interrupted run drew after its last resume state are taken back.
        accelerator.init_trackers(
            "tensorboard", init_kwargs={"tensorboard": {"purge_step": done + 1}}
        )

    def write(self, step: int, values: Mapping[str, float], judgement: Judgement | None) -> None:
        """Note a step; a checkpoint's note is on the disk before the checkpoint is."""
        self.accelerator.log(dict(values), step=step)
        if judgement is not None:
            for tracker in self.accelerator.trackers:
                for name, picture in judgement.pictures.items():
                    tracker.log_images(
                        {f"truth, warp, rendered/{name}": picture[None]},
                        step=step,
                        dataformats="NHWC",
                    )
        if self.file is None:
            return
        line: dict[str, Any] = {"step": step, **values}
        if judgement is not None and judgement.clips:
            line["heldout"] = judgement.clips
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        if judgement is not None:
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """The run is done."""
        for tracker in self.accelerator.trackers:
            tracker.finish()
        if self.file is not None:
            self.file.close()
