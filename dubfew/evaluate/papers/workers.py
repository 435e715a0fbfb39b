"""Worker processes that measure cells of a protocol, on this machine or others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.data.jobs import AnswerQuestion, FramesCallback, refuse_question
from dubfew.data.workers import HandleRequest, ParentChannel, WorkerProcess, serve_requests


@dataclass(frozen=True)
class CellJob:
    """One clip under one condition, to be measured and stored.

    Attributes:
        clip: the video.
        file: JSON file of the result.
        setting: all that the values depend on, with the protocol's name.
    """

    clip: str
    file: str
    setting: Mapping[str, Any]


@dataclass(frozen=True)
class CellOutcome:
    """Result of a job, whose values are in its file.

    Attributes:
        error: reason of a failure, or empty.
    """

    error: str = ""


class CellWorker(WorkerProcess):
    """A process that measures one cell after another."""

    def __init__(self) -> None:
        super().__init__("dubfew.evaluate.papers.workers:serve_cells")

    def run_job(
        self,
        job: CellJob,
        on_frames: FramesCallback = lambda count: None,
        answer: AnswerQuestion = refuse_question,
    ) -> CellOutcome:
        """Measure a cell; the death of the process is a failure of the cell.

        Args:
            job: the cell.
            on_frames: called with 1 when the cell is done.
            answer: answers questions; a cell has none.
        """
        found = self.request(dataclasses.asdict(job), lambda message: None, answer)
        on_frames(1)
        if isinstance(found, str):
            return CellOutcome(f"the process that measured it {found}")
        return CellOutcome(**found)

    def describe_loss(self, reason: str) -> CellOutcome:
        """Make the outcome of a cell that was lost with its machine.

        Args:
            reason: what happened, in words.
        """
        return CellOutcome(reason)


def serve_cells() -> None:
    """Measure the cells that come on stdin, until it ends."""
    serve_requests(_load_cell_handler)


def _load_cell_handler() -> HandleRequest:
    """Import what a cell needs."""
    import torch

    from dubfew.errors import DubfewError
    from dubfew.evaluate.papers.run import measure_cell

    torch.set_num_threads(1)

    def handle(fields: dict[str, Any], send_message: ParentChannel) -> dict[str, Any]:
        try:
            measure_cell(Path(fields["clip"]), fields["setting"], Path(fields["file"]))
        except DubfewError as error:
            return {"error": str(error)}
        except Exception as error:  # a bug of dubfew's costs one cell, not the night
            return {"error": f"unexpected {type(error).__name__}: {error}"}
        return {"error": ""}

    return handle
