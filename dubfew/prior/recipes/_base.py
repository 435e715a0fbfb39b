"""The interface of a training recipe: losses, critics, optimizers and stages of a renderer.

One loop runs every recipe. In each step it draws a batch of the stage, calls
`TrainingRecipe.compute_generator_loss`, takes a step of the renderer and the textures, calls
`TrainingRecipe.compute_critic_losses` with the critics of the stage, and takes a step of each
critic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dubfew.errors import ArtefactError


@dataclass(frozen=True)
class TrainingStage:
    """A part of a training with its own size of picture, batch or losses.

    Attributes:
        name: name in logs, and of the losses that belong to it.
        share: share of all steps; those of all stages sum up to 1.
        shrink: whole number that further divides the size of the renderer's crop.
        frames: consecutive frames of each sample; 0 for as many as the renderer needs.
        batch: samples of a process's batch; 0 for those of the configuration.
        critics: names of the critics that judge and are trained; None for all.
    """

    name: str = "all"
    share: float = 1.0
    shrink: int = 1
    frames: int = 0
    batch: int = 0
    critics: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TrainedCritic:
    """A network that judges pictures while a renderer is trained, and how it is trained.

    Attributes:
        network: the network with fresh weights.
        learning_rate: factor on the configuration's ``discriminator_rate``.
        betas: momentum and second moment of its Adam.
    """

    network: nn.Module
    learning_rate: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class NetworkFiles:
    """Files of networks that losses need and that are never trained along.

    Attributes:
        vgg: torchvision's file of VGG-19; None for the one in dubfew's cache.
        sync: a SyncNet of ``dubfew prior sync``; None for a training without one.
    """

    vgg: Path | None = None
    sync: Path | None = None


@dataclass(frozen=True)
class RecipeNetworks:
    """Networks of a running training.

    Attributes:
        frozen: networks from files, by name, in evaluation mode and without gradients of their own.
        critics: bare critics of the stage, by name; empty before ``adversarial_from``.
    """

    frozen: Mapping[str, nn.Module] = field(default_factory=dict)
    critics: Mapping[str, nn.Module] = field(default_factory=dict)

    def to(self, device: Any) -> RecipeNetworks:
        """Return the same networks on another device; modules are moved in place."""
        for network in (*self.frozen.values(), *self.critics.values()):
            network.to(device)
        return self


@dataclass(frozen=True)
class RenderedBatch:
    """What a renderer made of a batch.

    Attributes:
        loss: sum of the weighted terms. []
        terms: the terms by name, without their weights. [] each
        output: what the critics judge: pictures, or whatever the recipe's critics take.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    output: Any


class TrainingRecipe:
    """Base class of recipes.

    Attributes:
        settings: weights of the losses and switches, an instance of ``settings_class``.
        settings_class: frozen dataclass of numbers, switches and words; its fields are the terms of
            ``loss`` in a training configuration.
        presets: settings by the name that ``loss`` may be; the empty name is the default.
        defaults: values of a training configuration's keys that the user leaves out, where they
            differ from those of `PriorTrainConfig`.
        betas: momentum and second moment of Adam for the renderer and the textures.
        max_gradient_norm: gradients of the renderer are clipped to it; None clips nothing.
    """

    settings_class: ClassVar[type[Any]]
    presets: ClassVar[Mapping[str, Any]] = {}
    defaults: ClassVar[Mapping[str, Any]] = {}
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)
    max_gradient_norm: ClassVar[float | None] = None

    def __init__(self, settings: Any = None) -> None:
        """Make a recipe.

        Args:
            settings: instance of ``settings_class``; its defaults if None.
        """
        self.settings = self.settings_class() if settings is None else settings

    @classmethod
    def resolve_settings(cls, loss: str | Mapping[str, Any]) -> Any:
        """Turn the ``loss`` of a training configuration into settings.

        Args:
            loss: name of a preset, or settings that differ from a preset: that of the key
                ``preset``, or the default one.

        Raises:
            ArtefactError: The preset or a setting does not exist, or a value is of another kind.
        """
        given = {"preset": loss} if isinstance(loss, str) else dict(loss)
        name = given.pop("preset", "")
        if name and name not in cls.presets:
            raise ArtefactError(
                f"no preset of losses {name!r}: there are {', '.join(cls.presets) or 'none'}"
            )
        base = cls.presets[name] if name else cls.settings_class()
        known = {f.name for f in fields(cls.settings_class)}
        for key, value in given.items():
            if key not in known:
                raise ArtefactError(f"no loss {key!r}: there are {', '.join(sorted(known))}")
            default = getattr(base, key)
            # An int may stand for a float; to Python a bool is an int.
            expected = (int, float) if type(default) in (int, float) else type(default)
            if isinstance(value, bool) != isinstance(default, bool) or not isinstance(
                value, expected
            ):
                raise ArtefactError(f"{key!r} of the loss is {value!r}: give one like {default!r}")
            # NaN fails the comparison.
            if isinstance(value, int | float) and not value >= 0:
                raise ArtefactError(f"{key!r} of the loss is {value!r}: give a number >= 0")
        return replace(base, **given)

    def list_stages(self) -> tuple[TrainingStage, ...]:
        """List the stages in order; one stage with everything by default."""
        return (TrainingStage(),)

    def compute_rate_factor(self, step: int, num_steps: int) -> float:
        """Compute the factor of all learning rates after some steps; 1 by default.

        Args:
            step: steps done.
            num_steps: steps of the whole training.
        """
        return 1.0

    def make_critics(self, renderer: Any) -> dict[str, TrainedCritic]:
        """Make the critics with fresh weights, for all stages; none by default.

        Args:
            renderer: network that will be judged; says the size of its pictures.
        """
        return {}

    def load_networks(self, files: NetworkFiles) -> dict[str, nn.Module]:
        """Load networks that are never trained along; none by default.

        Raises:
            AssetError: A file is missing or damaged.
        """
        return {}

    def initialize_renderer(
        self, renderer: Any, networks: Mapping[str, nn.Module], *, fresh: bool
    ) -> None:
        """Prepare the renderer before the first step, from networks of files; nothing by default.

        Args:
            renderer: network to train; parts may get weights or be frozen.
            networks: what `load_networks` gave.
            fresh: whether the renderer's weights are random rather than a prior's.

        Raises:
            ArtefactError: Renderer, networks and settings do not fit together.
        """

    def compute_generator_loss(
        self,
        renderer: Any,
        sample: Any,
        texture: Tensor,
        networks: RecipeNetworks,
        stage: TrainingStage,
    ) -> RenderedBatch:
        """Render a batch and compute the renderer's loss; every subclass implements it.

        Critics may get no gradients here, see `frozen_parameters`.

        Args:
            renderer: network to train.
            sample: batch with its targets: `TrainingSample` for blending renderers, `ClipSample`
                for painting ones.
            texture: sampled neural textures. [B, C, S, S] or [B, T, C, H, W]
            networks: networks that the terms need.
            stage: part of the training.

        Raises:
            NotImplementedError: The class is the base class.
        """
        raise NotImplementedError

    def compute_critic_losses(
        self, critics: Mapping[str, nn.Module], sample: Any, output: Any, stage: TrainingStage
    ) -> dict[str, Tensor]:
        """Compute the loss of each critic; the renderer gets no gradients.

        Args:
            critics: critics of the stage by name, which may be wrapped for several processes: call
                each once.
            sample: the batch.
            output: what `compute_generator_loss` put into `RenderedBatch.output`; detach it.
            stage: part of the training.

        Returns:
            A loss [] for each of the critics.
        """
        return {}


@contextmanager
def frozen_parameters(*modules: nn.Module) -> Iterator[None]:
    """Exclude the trainable parameters of modules from the graphs that are built meanwhile."""
    trainable = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def sum_weighted_terms(terms: Mapping[str, Tensor], settings: Any, like: Tensor) -> Tensor:
    """Sum terms of a loss, each times the setting of its name.

    Args:
        terms: terms by name. [] each
        settings: has a weight for each of them.
        like: tensor on whose device the sum of no terms is made.

    Returns:
        The loss. []
    """
    weighted = (getattr(settings, name) * term for name, term in terms.items())
    return sum(weighted, like.new_zeros(()))


def judge_both(
    critic: nn.Module, real: Tensor, fake: Tensor, *arguments: Any
) -> tuple[Tensor, Tensor]:
    """Judge real and painted pictures in one call.

    A wrapped network may be called once before its backward pass.

    Args:
        critic: network that judges a batch.
        real, fake: pictures of the same shape.
        *arguments: further arguments of the critic.

    Returns:
        What it says of the real ones and of the painted ones.
    """
    on_real, on_fake = critic(torch.cat([real, fake.to(real.dtype)]), *arguments).chunk(2)
    return on_real, on_fake


def stage_steps(stages: tuple[TrainingStage, ...], num_steps: int) -> list[int]:
    """Compute the last step of each stage.

    Args:
        stages: stages whose shares sum up to 1.
        num_steps: steps of the whole training.

    Returns:
        Rising numbers of steps; the last one is ``num_steps``.

    Example:
        >>> stage_steps((TrainingStage(share=0.25), TrainingStage(share=0.75)), 10)
        [2, 10]
    """
    ends, total = [], 0.0
    for stage in stages:
        total += stage.share
        ends.append(round(total * num_steps))
    ends[-1] = num_steps
    return ends


def stage_of_step(stages: tuple[TrainingStage, ...], step: int, num_steps: int) -> TrainingStage:
    """Return the stage that a step, counted from 1, belongs to.

    Args:
        stages: stages whose shares sum up to 1.
        step: step, counted from 1.
        num_steps: steps of the whole training.
    """
    ends = stage_steps(stages, num_steps)
    return next((s for s, end in zip(stages, ends, strict=True) if step <= end), stages[-1])
