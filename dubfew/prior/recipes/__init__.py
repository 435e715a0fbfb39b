"""Recipes: how a renderer is trained, one module each.

Every module of this package that does not begin with an underscore defines ``RECIPE``, a subclass
of `TrainingRecipe`: losses, critics, optimizers and stages. One loop runs all of them
(`dubfew.prior.training.trainer`), and adaptation uses the loss and the critics of the recipe that
its prior was trained by. Training configurations and stored priors name a recipe by its module.
Importing this package imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubfew.errors import ArtefactError
from dubfew.utils.extension_table import ExtensionTable
from dubfew.utils.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from dubfew.prior.recipes._base import (
        NetworkFiles,
        RecipeNetworks,
        RenderedBatch,
        TrainedCritic,
        TrainingRecipe,
        TrainingStage,
        frozen_parameters,
    )

RECIPES: ExtensionTable[type[TrainingRecipe]] = ExtensionTable(
    "training recipe", "dubfew.prior.recipes", "RECIPE", ArtefactError
)

__all__ = [
    "RECIPES",
    "NetworkFiles",
    "RecipeNetworks",
    "RenderedBatch",
    "TrainedCritic",
    "TrainingRecipe",
    "TrainingStage",
    "frozen_parameters",
]

__getattr__ = lazy_exports(__name__, {name: "_base" for name in __all__ if name != "RECIPES"})
