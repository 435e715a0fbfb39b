"""Set-up of Accelerate for one training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin

from dubfew.errors import ArtefactError
from dubfew.utils.import_utils import import_optional


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
