"""Configuration of a training of the prior: a JSON file as a dataclass."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubfew.data.clip_index import normalize_excluded_names, read_exclude_list
from dubfew.errors import ArtefactError
from dubfew.prior.recipes import RECIPES
from dubfew.prior.renderers import RENDERERS

if TYPE_CHECKING:
    from dubfew.prior.recipes import NetworkFiles, TrainingRecipe

# Keys that decide the recipe, and their defaults.
_RECIPE_KEYS = (("renderer", "lite"), ("recipe", ""))
# Values of ``mixed_precision``, in Accelerate's words.
MIXED_PRECISIONS = ("no", "fp16", "bf16")


@dataclass(frozen=True)
class PriorTrainConfig:
    """Everything that decides a training; the fields are the keys of the JSON file.

    Attributes:
        data: folder of prepared footage of the training people.
        out: folder for resume states, log and the finished prior. With several machines all of
            them must see it.
        held_out: folder of prepared footage of held-out people, or "" for a training without
            validation.
        exclude: people who must not take part, by identity, file or SHA-256: a list, or a text
            file with one on each line.
        renderer: entry of `dubfew.prior.renderers.RENDERERS`.
        recipe: entry of `dubfew.prior.recipes.RECIPES`: losses, critics, optimizers and stages;
            "" for the renderer's own.
        renderer_config: sizes that differ from the entry's; by default all sizes are those of
            ``start``.
        start: prior whose weights the training starts from, by name or folder; "" for fresh ones.
        steps: optimizer steps.
        batch: samples that a process renders at once.
        accumulate: batches per step and process. A step sees batch * accumulate * processes
            samples.
        mixed_precision: "no", "bf16", or "fp16" (GPUs only).
        learning_rate: peak rate of the renderer (Adam). All rates fall to a tenth along a cosine.
        rates: factors on ``learning_rate`` for parts of the renderer, by what the parameters' names
            begin with; the longest that fits counts. 0 freezes a part.
        texture_rate: peak rate of the textures.
        discriminator_rate: peak rate of the discriminator, if the loss has one.
        adversarial_from: first step with the discriminator.
        ema: decay of the moving average of the weights, which is the result. From 0 to below 1
        seed: seed of everything random.
        checkpoint: steps from one resume state to the next, each with a validation.
        workers: processes that prepare batches; 0 prepares them in the training's own process. The
            batches are the same.
        tensorboard: whether curves and images are written to ``out``/tensorboard.
        loss: name of a preset, or weights and switches of the terms, see
            `dubfew.prior.recipes.Recipe.resolve_settings`.
        vgg: file of VGG-19's weights, for losses that use it; "" for the one in dubfew's cache.
        sync: file of a SyncNet, for losses that use one; "" for none.
    """

    data: str
    out: str
    held_out: str = ""
    exclude: str | list[str] = dataclasses.field(default_factory=list)
    renderer: str = "lite"
    recipe: str = ""
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
    sync: str = ""

    def __post_init__(self) -> None:
        check_field_types(self)
        for name in ("steps", "batch", "accumulate", "checkpoint"):
            if getattr(self, name) < 1:
                raise ArtefactError(f"{name!r} is {getattr(self, name)}: give at least 1")
        if self.workers < 0 or self.seed < 0:
            raise ArtefactError("'workers' and 'seed' cannot be below 0")
        if not 0 <= self.ema < 1:
            raise ArtefactError(f"'ema' is {self.ema}: a decay is from 0 to below 1")
        if self.mixed_precision not in MIXED_PRECISIONS:
            raise ArtefactError(
                f"'mixed_precision' is {self.mixed_precision!r}: there are "
                f"{', '.join(MIXED_PRECISIONS)}"
            )
        self.make_recipe()  # raises for unknown terms

    @classmethod
    def load(cls, path: Path) -> PriorTrainConfig:
        """Read a JSON file.

        Raises:
            ArtefactError: The file cannot be read or is not JSON, a key is not a field, or a value
                has another type or is out of range.
        """
        try:
            return cls.from_values(json.loads(path.read_text()))
        except OSError as error:
            raise ArtefactError(f"no training configuration at {path}") from error
        except (ValueError, TypeError) as error:
            raise ArtefactError(f"{path} is not a training configuration: {error}") from error

    @classmethod
    def from_values(cls, given: Mapping[str, Any]) -> PriorTrainConfig:
        """Make a configuration; the recipe's own defaults fill in what is not given.

        Args:
            given: values by key.

        Raises:
            ArtefactError: The renderer or the recipe does not exist, or a value is out of range.
            TypeError: A key is not a field.
        """
        if not isinstance(given, Mapping):
            raise TypeError("expected an object of keys and values")
        renderer, recipe_name = (str(given.get(k, d)) for k, d in _RECIPE_KEYS)
        recipe = RECIPES.load(find_recipe(renderer, recipe_name))
        return cls(**{**recipe.defaults, **given})

    def make_recipe(self) -> TrainingRecipe:
        """Make the recipe with the settings of ``loss``.

        Raises:
            ArtefactError: The recipe or a setting does not exist.
        """
        recipe = RECIPES.load(find_recipe(self.renderer, self.recipe))
        return recipe(recipe.resolve_settings(self.loss))

    @property
    def network_files(self) -> NetworkFiles:
        """Return the files of networks that losses need."""
        from dubfew.prior.recipes import NetworkFiles  # imports torch

        return NetworkFiles(
            Path(self.vgg) if self.vgg else None, Path(self.sync) if self.sync else None
        )

    def list_excluded_people(self) -> list[str]:
        """List the people who must not take part, as `open_prepared_clips` takes them.

        Raises:
            DubfewError: The file of the list cannot be read.
        """
        return list_excluded_people(self.exclude)

    def to_public_dict(self) -> dict[str, Any]:
        """Return the fields that a prior may hold: no paths, and excluded names as hashes."""
        # Paths tell about a user's machine, names about people who wanted to be left out.
        kept = dataclasses.asdict(self)
        for name in ("data", "out", "held_out", "start", "vgg", "sync"):
            del kept[name]
        # A renderer's own recipe goes without saying, as in files of earlier versions.
        if not self.recipe:
            del kept["recipe"]
        kept["exclude"] = hash_names(self.list_excluded_people())
        return kept


def find_recipe(renderer: str, recipe: str) -> str:
    """Return the name of a training's recipe: the given one, or the renderer's own.

    Args:
        renderer: name of a renderer.
        recipe: name of a recipe, or an empty text.

    Raises:
        ArtefactError: The renderer does not exist.
    """
    return recipe or RENDERERS.load(renderer).recipe


# JSON types of the fields, by their annotation. An int may stand for a float.
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


def list_excluded_people(exclude: str | Sequence[str]) -> list[str]:
    """List the people who must not take part, as `open_prepared_clips` takes them.

    Args:
        exclude: identities, files or SHA-256 sums; or a text file with one on each line, "" for
            none.

    Raises:
        DubfewError: The file of the list cannot be read.
    """
    if isinstance(exclude, str):
        return sorted(read_exclude_list(Path(exclude))) if exclude else []
    return sorted(normalize_excluded_names(exclude))


def check_field_types(config: Any) -> None:
    """Check the values of a configuration: JSON gives any type for any key.

    Args:
        config: instance of a dataclass whose fields have the types of `_FIELD_TYPES`.

    Raises:
        ArtefactError: A value has another type than its field.
    """
    for field in dataclasses.fields(config):
        value, declared = getattr(config, field.name), str(field.type)
        # To Python a bool is an int.
        misplaced_bool = isinstance(value, bool) and declared != "bool"
        if misplaced_bool or not isinstance(value, _FIELD_TYPES[declared]):
            raise ArtefactError(f"{field.name!r} is {value!r}: expected {declared}")


def hash_names(names: Sequence[str]) -> list[str]:
    """Hash names, so that a known name can be found in the list and no name can be read from it.

    Example:
        >>> hash_names(["mary"])[0][:12]
        '6915771be1c5'
    """
    return [hashlib.sha256(name.encode()).hexdigest() for name in names]
