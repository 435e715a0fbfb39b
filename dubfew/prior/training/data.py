"""The part of a training that depends on the family of the renderer: data and textures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dubfew.prior.recipes import TrainingStage
from dubfew.prior.training.validation import ValidationResult


class TrainingTextures(Protocol):
    """Neural textures of the training people, an ``nn.Module``."""

    def __call__(self, sample: Any) -> Tensor:
        """Look up the textures of a batch at every pixel."""
        ...

    def average_gradients(self, accelerator: Accelerator) -> None:
        """Give every process the mean of all processes' gradients."""
        ...

    def make_new_actor_texture(self) -> Tensor:
        """Make the texture that a new actor starts from. [C, H, W]"""
        ...


class TrainingData(Protocol):
    """Data of a training, for one family of renderers."""

    @property
    def people(self) -> Sequence[tuple[Any, Mapping[str, Any]]]:
        """Return data and header of every training clip."""
        ...

    @property
    def head(self) -> str:
        """Return the name of the head model that the people were tracked with."""
        ...

    def make_textures(self) -> Any:
        """Make the textures of all people: a module with the methods of `TrainingTextures`."""
        ...

    def iterate_batches(
        self, stages: tuple[TrainingStage, ...], steps_done: int, accelerator: Accelerator
    ) -> Iterator[tuple[TrainingStage, Any]]:
        """Iterate over this process's batches from a step on, with the stage of each.

        Args:
            stages: the recipe's stages, in order.
            steps_done: steps of an interrupted run; their samples are skipped.
            accelerator: says which process this is, and how many there are.
        """
        ...

    def make_validator(
        self, device: torch.device, *, is_main: bool
    ) -> Callable[[Any, nn.Module], ValidationResult]:
        """Make what renders the held-out people from a renderer and the textures.

        Args:
            device: device of the rendering.
            is_main: whether this is the process that validates; the others render nobody.
        """
        ...
