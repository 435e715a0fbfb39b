"""Set-up of Accelerate for one training."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin, gather_object

from dubfew.errors import ArtefactError
from dubfew.utils.import_utils import import_optional

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class PlainSettings:
    """The `AcceleratorSettings` of a training that has no choice of them."""

    out: str = ""
    accumulate: int = 1
    mixed_precision: str = "no"
    tensorboard: bool = False


class AcceleratorSettings(Protocol):
    """Part of a training's configuration that Accelerate needs, see `PriorTrainConfig`."""

    @property
    def out(self) -> str:
        """Return the folder of the run."""

    @property
    def accumulate(self) -> int:
        """Return the number of batches whose gradients are added up for one step."""

    @property
    def mixed_precision(self) -> str:
        """Return Accelerate's name of the precision, such as "no" or "bf16"."""

    @property
    def tensorboard(self) -> bool:
        """Return whether TensorBoard's files are written, too."""


@contextmanager
def configured_accelerator(config: AcceleratorSettings) -> Iterator[Accelerator]:
    """Set up Accelerate by the configuration alone.

    Accelerate keeps settings for the whole process. They are reset before and after, so that
    neither an earlier use nor a later one is affected.

    Raises:
        ArtefactError: Half precision of 16 bits is asked for without a GPU.
        MissingDependencyError: TensorBoard is asked for and not installed.
    """
    if config.tensorboard:
        import_optional("tensorboard")
    if config.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise ArtefactError("'mixed_precision' 'fp16' needs an NVIDIA GPU: use 'bf16' or 'no'")
    AcceleratorState._reset_state()
    try:
        yield Accelerator(
            # The plain argument would give way to an environment variable.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=config.accumulate),
            mixed_precision=config.mixed_precision,
            log_with="tensorboard" if config.tensorboard else None,
            project_dir=config.out,
        )
    finally:
        AcceleratorState._reset_state()


def is_main_process() -> bool:
    """Tell whether this is the process that reports, of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def share_work(
    accelerator: Accelerator, items: Sequence[Item], work: Callable[[Item], Result]
) -> list[Result]:
    """Do work on each item in one of the processes, and give all results to all of them.

    Args:
        accelerator: knows number and rank of the processes, which call this function together.
        items: the same ones in every process.
        work: gives what can be pickled.

    Returns:
        Results, in the order of the items.
    """
    rank, count = accelerator.process_index, accelerator.num_processes
    own: list[Any] = [(number, work(items[number])) for number in range(rank, len(items), count)]
    found = dict(own if count == 1 else gather_object(own))
    return [found[number] for number in range(len(items))]
