"""What decides a training."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.data.clip_index import normalize_excluded_names, read_exclude_list
from dubfew.errors import ArtefactError
from dubfew.prior.losses.weights import LossWeights, resolve_loss_weights

MIXED_PRECISIONS = ("no", "fp16", "bf16")


@dataclass(frozen=True)
class PriorTrainConfig:
    """Everything that decides a training; the fields are the keys of the JSON file.

    Attributes:
        data: folder of prepared footage of the people to learn from.
        out: folder for resume states, log and the finished prior. With several machines all of
            them must see it.
        held_out: folder of prepared footage of other people to judge by, or empty.
        exclude: people who must not take part, by identity, file or SHA-256: a list, or a text
            file with one on each line.
        renderer: entry of `RENDERERS`.
        renderer_config: its sizes; by default those of ``start``.
        start: prior whose weights the training starts from, by name or folder, or empty.
        steps: optimiser steps.
        batch: samples that a process renders at once.
        accumulate: such batches per step and process. A step sees batch * accumulate * processes
            samples.
        mixed_precision: "no", "bf16", or "fp16" (GPUs only).
        learning_rate: of the renderer (Adam); falls to a tenth along a cosine, as all rates do.
        rates: factors on that for parts of the renderer, by the beginning of the parameters'
            names; the longest that fits counts. 0 holds a part still.
        texture_rate: of the textures.
        discriminator_rate: of the discriminator, if the loss has one.
        adversarial_from: step at which the discriminator begins.
        ema: decay of the average that is kept as the result.
        seed: of everything.
        checkpoint: steps between resume states, each with a look at the held-out people.
        workers: processes that prepare batches, 0: none beside the training itself. The batches
            are the same.
        tensorboard: write curves and pictures to ``out``/tensorboard.
        loss: a preset, or weights of the terms, see `resolve_loss_weights`.
        vgg: VGG-19's weights for the losses that use it; by default where
            `dubfew.prior.losses.vgg` keeps them.
    """

    data: str
    out: str
    held_out: str = ""
    exclude: str | list[str] = dataclasses.field(default_factory=list)
    renderer: str = "lite"
    renderer_config: dict[str, Any] = dataclasses.field(default_factory=dict)
    start: str = ""
    steps: int = 4000
    batch: int = 8
    accumulate: int = 1
    mixed_precision: str = "no"
    learning_rate: float = 4e-4
    rates: dict[str, float] = dataclasses.field(default_factory=dict)
    texture_rate: float = 2e-3
    discriminator_rate: float = 1e-3
    adversarial_from: int = 1
    ema: float = 0.998
    seed: int = 0
    checkpoint: int = 250
    workers: int = 0
    tensorboard: bool = False
    loss: str | dict[str, Any] = dataclasses.field(default_factory=dict)
    vgg: str = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name))
        for name, least in (("steps", 1), ("batch", 1), ("accumulate", 1), ("checkpoint", 1)):
            if getattr(self, name) < least:
                raise ArtefactError(f"{name!r} is {getattr(self, name)}: give at least {least}")
        if self.workers < 0 or self.seed < 0:
            raise ArtefactError("'workers' and 'seed' cannot be below 0")
        if not 0 <= self.ema < 1:
            raise ArtefactError(f"'ema' is {self.ema}: a decay is from 0 to below 1")
        if self.mixed_precision not in MIXED_PRECISIONS:
            raise ArtefactError(
                f"'mixed_precision' is {self.mixed_precision!r}: there are "
                f"{', '.join(MIXED_PRECISIONS)}"
            )
        resolve_loss_weights(self.loss)

    @classmethod
    def load(cls, path: Path) -> PriorTrainConfig:
        """Read a JSON file.

        Raises:
            ArtefactError: not JSON, a key that is no field, or a value that does not fit.
        """
        try:
            return cls(**json.loads(path.read_text()))
        except OSError as error:
            raise ArtefactError(f"no training configuration at {path}") from error
        except (ValueError, TypeError) as error:
            raise ArtefactError(f"{path} is not a training configuration: {error}") from error

    @property
    def loss_weights(self) -> LossWeights:
        """Weights of the terms."""
        return resolve_loss_weights(self.loss)

    def list_excluded_people(self) -> list[str]:
        """Who must not take part, as `open_prepared_clips` takes it.

        Raises:
            DubfewError: the list's file cannot be read.
        """
        if isinstance(self.exclude, str):
            return sorted(read_exclude_list(Path(self.exclude))) if self.exclude else []
        return sorted(normalize_excluded_names(self.exclude))

    def to_public_dict(self) -> dict[str, Any]:
        """What may be written into a prior: no paths, and the excluded as hashes only."""
        kept = dataclasses.asdict(self)
        for name in ("data", "out", "held_out", "start", "vgg"):
            del kept[name]
        kept["exclude"] = hash_names(self.list_excluded_people())
        return kept


# Types as JSON has them: an int will do for a float, a bool for neither.
_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str | list[str]": (str, list, tuple),
    "str | dict[str, Any]": (str, dict),
    "dict[str, Any]": (dict,),
    "dict[str, float]": (dict,),
}


def _check_type(name: str, value: Any) -> None:
    declared = str(PriorTrainConfig.__dataclass_fields__[name].type)
    right = isinstance(value, _FIELD_TYPES[declared])
    if isinstance(value, bool) and declared != "bool":
        right = False
    if not right:
        raise ArtefactError(f"{name!r} is {value!r}: expected {declared}")


def hash_names(names: Sequence[str]) -> list[str]:
    """SHA-256 of each name: whoever knows a name can see that it is there, nobody can read it."""
    return [hashlib.sha256(name.encode()).hexdigest() for name in names]
