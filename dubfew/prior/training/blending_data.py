"""Footage, textures and validation of a training of a blending renderer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from dubfew.data.samples import TrainingSample
from dubfew.data.shards import open_prepared_clips
from dubfew.prior.recipes import TrainingStage
from dubfew.prior.renderers import Renderer
from dubfew.prior.training.batches import (
    check_held_out_disjoint,
    check_window_sizes,
    iterate_batches,
)
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.model import PeopleTextures
from dubfew.prior.training.validation import HeldOutValidator, ValidationResult
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.footage import Footage


class BlendingData:
    """Mouth windows of the training people and the held-out ones, left on the disk.

    Attributes:
        people: footage and header of every training clip.
        head: name of the head model that the footage was tracked with.
    """

    people: Sequence[tuple[Footage, Mapping[str, Any]]]
    head: str

    def __init__(self, config: PriorTrainConfig, renderer: Renderer) -> None:
        """Open the data of a training.

        Raises:
            DubfewError: The data is missing or of another size, or a held-out person is among the
                training people.
        """
        self.config, self.renderer = config, renderer
        self.people = open_prepared_clips(Path(config.data), config.list_excluded_people())
        self.held_out = open_prepared_clips(Path(config.held_out)) if config.held_out else []
        check_held_out_disjoint(self.people, self.held_out)
        check_window_sizes([*self.people, *self.held_out], renderer.config.window)
        self.head = load_head_model().name

    def make_textures(self) -> PeopleTextures:
        """Make the textures of all people, with their unwrapped colors."""
        footage = [footage for footage, _ in self.people]
        return PeopleTextures(footage, self.renderer.config.texture_channels)

    def iterate_batches(
        self, stages: tuple[TrainingStage, ...], steps_done: int, accelerator: Accelerator
    ) -> Iterator[tuple[TrainingStage, TrainingSample]]:
        """Iterate over this process's batches from a step on, see `iterate_batches`.

        Args:
            stages: the recipe's stages; blending renderers have one.
            steps_done: steps of an interrupted run.
            accelerator: says which process this is, and how many there are.
        """
        footage = [footage for footage, _ in self.people]
        num_references = self.renderer.config.references
        for sample in iterate_batches(
            self.config, footage, num_references, steps_done, accelerator
        ):
            yield stages[0], sample

    def make_validator(self, device: torch.device, *, is_main: bool) -> BlendingValidator:
        """Make what renders the held-out people; other processes have none of them.

        Args:
            device: device of the rendering.
            is_main: whether this is the process that validates.
        """
        held_out = self.held_out if is_main else []
        return BlendingValidator(
            HeldOutValidator(held_out, self.renderer.config.references, device)
        )


class BlendingValidator:
    """Renders held-out people as new actors, whose textures are their colors alone."""

    def __init__(self, validator: HeldOutValidator) -> None:
        """Wrap the validator, which needs no textures."""
        self.validator = validator

    def __call__(self, renderer: Renderer, textures: nn.Module) -> ValidationResult:
        """Render all held-out clips and measure the mouths."""
        return self.validator(renderer)
