"""The training of SIDGAN: eq. 4 of the paper at every level of the pyramid, from coarse to fine.

``L = a L1 + b CX + c FFL + m GAN + l SYN`` at 128, 256 and 512 px. The weights differ between the
levels. The paper's stand in a supplement that was not at hand, so these are dubfew's choices:
coarse levels follow the sync loss, which is stable there, and fine ones the critics, which see
texture there. The first third of the steps trains the coarse level alone; each further third adds
a level.

Source: Muaz et al. 2023, "SIDGAN: High-Resolution Dubbed Video Generation via Shift-Invariant
Learning", sections 3.3 and 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.data.clip_inputs import ClipSample
from dubfew.errors import ArtefactError, AssetError
from dubfew.prior.critics.sidgan import PatchCritic
from dubfew.prior.losses import contextual_loss, load_vgg19, plain_focal_frequency_loss
from dubfew.prior.losses.adversarial import (
    least_squares_critic_loss,
    least_squares_generator_loss,
)
from dubfew.prior.losses.contextual import CONTEXTUAL_LAYER
from dubfew.prior.recipes._base import (
    NetworkFiles,
    RecipeNetworks,
    RenderedBatch,
    TrainedCritic,
    TrainingRecipe,
    TrainingStage,
    frozen_parameters,
    judge_both,
)
from dubfew.prior.renderers._sidgan import LEVEL_NAMES, SidganGenerator
from dubfew.prior.syncnets import SYNC_FRAMES, SyncNetwork
from dubfew.prior.syncnets._file import load_syncnet

# Momentum of the critics, whose opponent moves at every step.
# Source: Isola et al. 2017, pix2pix (arXiv 1611.07004), section 3.3.
CRITIC_BETAS = (0.5, 0.999)


@dataclass(frozen=True)
class SidganLoss:
    """Weights and switches of eq. 4; a term of weight 0 is not computed.

    Attributes:
        l1: l1 distance of pixels, at every level.
        contextual: contextual loss, at every level; 0 is an ablation of table 4.
        frequency: focal frequency loss, at every level.
        adversarial_coarse: least squares against the critic of 128 px.
        adversarial_middle: the same at 256 px.
        adversarial_fine: the same at 512 px.
        sync_coarse: loss of the SyncNet at 128 px.
        sync_middle: the same at 256 px.
        sync_fine: the same at 512 px.
        features: ``contextual``, or ``perceptual`` for the ablation of table 4: the l1 distance of
            the same layer's features.
        pyramid: False for the ablation of table 4, which judges the finest level alone; the
            renderer's ``pyramid`` has to be False, too.
    """

    l1: float = 10.0
    contextual: float = 1.0
    frequency: float = 1.0
    adversarial_coarse: float = 0.1
    adversarial_middle: float = 0.5
    adversarial_fine: float = 1.0
    sync_coarse: float = 0.3
    sync_middle: float = 0.1
    sync_fine: float = 0.03
    features: str = "contextual"
    pyramid: bool = True

    def weigh(self, term: str, level: str) -> float:
        """Return the weight of ``adversarial`` or ``sync`` at a level.

        Args:
            term: ``adversarial`` or ``sync``.
            level: one of `LEVEL_NAMES`.
        """
        return float(getattr(self, f"{term}_{level}"))

    @property
    def needs_sync(self) -> bool:
        """Return whether a level has a sync loss."""
        return any(self.weigh("sync", level) > 0 for level in LEVEL_NAMES)


_FULL = SidganLoss()


class SidganRecipe(TrainingRecipe):
    """Train `SidganGenerator`; see the module's docstring."""

    settings: SidganLoss
    settings_class = SidganLoss
    presets: ClassVar[Mapping[str, Any]] = {
        "paper-002": _FULL,
        # Rows of table 4. The fourth, the vanilla sync loss, is another file as ``sync``.
        "paper-002-without-contextual": replace(_FULL, contextual=0.0),
        "paper-002-perceptual": replace(_FULL, features="perceptual"),
        "paper-002-without-pyramid": replace(_FULL, pyramid=False),
        # Without networks that need files or a GPU, for tests and small machines.
        "pixels": replace(
            _FULL,
            contextual=0.0,
            adversarial_coarse=0.0,
            adversarial_middle=0.0,
            adversarial_fine=0.0,
            sync_coarse=0.0,
            sync_middle=0.0,
            sync_fine=0.0,
        ),
    }
    # Section 3.4: Adam of 0.0002, 3.9 million steps, batches of 4.
    defaults: ClassVar[Mapping[str, Any]] = {
        "learning_rate": 2e-4,
        "discriminator_rate": 2e-4,
        "steps": 3_900_000,
        "batch": 4,
    }

    def __init__(self, settings: Any = None) -> None:
        """Make a recipe, see `TrainingRecipe`.

        Raises:
            ArtefactError: There are no such features.
        """
        super().__init__(settings)
        if self.settings.features not in ("contextual", "perceptual"):
            raise ArtefactError(
                f"'features' is {self.settings.features!r}: there are contextual and perceptual"
            )

    def _judged_levels(self) -> tuple[str, ...]:
        """List the levels that have a critic, coarsest first."""
        levels = LEVEL_NAMES if self.settings.pyramid else LEVEL_NAMES[-1:]
        return tuple(name for name in levels if self.settings.weigh("adversarial", name))

    def list_stages(self) -> tuple[TrainingStage, ...]:
        """List the levels that are added one after another, each for a third of the steps."""
        if not self.settings.pyramid:
            return (TrainingStage("fine", frames=SYNC_FRAMES),)
        judged = self._judged_levels()
        return tuple(
            TrainingStage(
                name,
                share=1 / len(LEVEL_NAMES),
                frames=SYNC_FRAMES,
                critics=tuple(n for n in LEVEL_NAMES[: number + 1] if n in judged),
            )
            for number, name in enumerate(LEVEL_NAMES)
        )

    def make_critics(self, renderer: SidganGenerator) -> dict[str, TrainedCritic]:
        """Make a critic of patches for each level."""
        narrow = renderer.config.narrow
        return {
            name: TrainedCritic(PatchCritic(narrow), betas=CRITIC_BETAS)
            for name in self._judged_levels()
        }

    def load_networks(self, files: NetworkFiles) -> dict[str, nn.Module]:
        """Load VGG-19 and the SyncNet, if terms need them.

        Raises:
            AssetError: A file is missing or damaged, or no SyncNet is named.
        """
        networks: dict[str, nn.Module] = {}
        if self.settings.contextual:
            networks["vgg"] = load_vgg19(files.vgg)
        if files.sync is not None:
            networks["sync"] = load_syncnet(files.sync)[0]
        elif self.settings.needs_sync:
            raise AssetError(
                "the sync loss needs a SyncNet: name its file as 'sync', train one with `dubfew "
                "prior sync`, or give sync_coarse, sync_middle and sync_fine the weight 0"
            )
        return networks

    def initialize_renderer(
        self, renderer: SidganGenerator, networks: Mapping[str, nn.Module], *, fresh: bool
    ) -> None:
        """Give a fresh renderer the SyncNet's encoder of sound, which then stays as it is.

        Section 3.1: "we train our audio encoder as a part of SyncNet and use its pretrained
        weights". That it is frozen is a choice. Without a SyncNet it learns along.

        Args:
            renderer: network to train; its encoder of sound is overwritten and frozen.
            networks: what `load_networks` gave; without ``sync`` nothing is done.
            fresh: False keeps the encoder of the prior that the training goes on from.

        Raises:
            ArtefactError: Renderer and settings differ in their pyramid, or the SyncNet hears
                another feature or has an encoder of other sizes.
        """
        if renderer.config.pyramid != self.settings.pyramid:
            raise ArtefactError(
                "'pyramid' of the loss and of 'renderer_config' differ: give both the same value"
            )
        sync = networks.get("sync")
        if not isinstance(sync, SyncNetwork):
            return
        # The encoder is copied below and the sync loss hears the same tensors: one feature for
        # both.
        sync.check_sound(renderer.config.sound)
        # A prior's encoder has learned along with its renderer and is kept.
        if fresh:
            encoder = getattr(sync, "sound_encoder", None)
            own = renderer.sound_encoder.state_dict()
            given = {} if encoder is None else encoder.state_dict()
            # Compared by shapes: copying some of the layers would leave an encoder that hears
            # nothing useful.
            if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in given.items()}:
                raise ArtefactError(
                    "the SyncNet's encoder of sound is not the renderer's: name a SyncNet of "
                    f"{renderer.config.sound_encoder!r} whose 'divisor' is the renderer's "
                    f"'narrow', {renderer.config.narrow}"
                )
            renderer.sound_encoder.load_state_dict(given)
        renderer.sound_encoder.requires_grad_(False)
        # Called again for its side effect: a frozen encoder has to leave training mode, too.
        renderer.train(renderer.training)

    def compute_generator_loss(
        self,
        renderer: SidganGenerator,
        sample: ClipSample,
        texture: Tensor,
        networks: RecipeNetworks,
        stage: TrainingStage,
    ) -> RenderedBatch:
        """Paint all levels up to the stage's and judge each of them.

        Args:
            renderer: network to train.
            sample: crops of T frames with sound; ``target`` is RGB in [0, 1]. [B, T, 3, H, W]
            texture: not used: SIDGAN has no texture.
            networks: VGG-19, the SyncNet, and a critic for each level.
            stage: its name is the finest level that is painted.

        Returns:
            The loss, and painted pictures of each level by its name.
        """
        # Adaptation has a stage of its own, which judges everything.
        finest = stage.name if stage.name in LEVEL_NAMES else LEVEL_NAMES[-1]
        painted = renderer.paint_levels(sample.inputs, finest)
        terms: dict[str, Tensor] = {}
        total = torch.zeros((), device=sample.target.device)
        for name, picture in painted.items():
            for term, weight, value in self._judge_level(name, picture, sample, networks):
                terms[f"{term}_{name}"] = value
                total = total + weight * value
        # Several processes wait for the gradient of every parameter, so those that do not take
        # part yet get one of zeros.
        for part in renderer.list_parts_behind(finest):
            total = total + 0 * sum(p.sum() for p in part.parameters())
        return RenderedBatch(total, terms, painted)

    def _judge_level(
        self, name: str, picture: Tensor, sample: ClipSample, networks: RecipeNetworks
    ) -> list[tuple[str, float, Tensor]]:
        """Compute the terms of one level: name, weight and value of each."""
        settings = self.settings
        truth = shrink_truth(sample.target, picture.shape[-1]).flatten(0, 1)
        flat = picture.flatten(0, 1).float()
        judged = [("l1", settings.l1, (flat - truth).abs().mean())]
        if settings.contextual:
            compare = contextual_loss
            if settings.features == "perceptual":
                compare = _layer_distance
            value = compare(networks.frozen["vgg"], flat, truth)  # type: ignore[arg-type]
            judged.append((settings.features, settings.contextual, value))
        if settings.frequency:
            judged.append(
                ("frequency", settings.frequency, plain_focal_frequency_loss(flat, truth))
            )
        weight, critic = settings.weigh("adversarial", name), networks.critics.get(name)
        if weight and critic is not None:
            with frozen_parameters(critic):
                judged.append(("adversarial", weight, least_squares_generator_loss(critic(flat))))
        weight, sync = settings.weigh("sync", name), networks.frozen.get("sync")
        # Windows of other lengths, as an adaptation may draw, have no sync loss.
        if weight and isinstance(sync, SyncNetwork) and picture.shape[1] == SYNC_FRAMES:
            value = sync.renderer_loss(picture.float(), sample.inputs.sound)
            judged.append(("sync", weight, value))
        return judged

    def compute_critic_losses(
        self,
        critics: Mapping[str, nn.Module],
        sample: ClipSample,
        output: Mapping[str, Tensor],
        stage: TrainingStage,
    ) -> dict[str, Tensor]:
        """Compute the loss of each level's critic.

        Args:
            critics: critics of the stage by level.
            sample: the batch that was painted.
            output: painted pictures by level, RGB in [0, 1]. [B, T, 3, h, w] each
            stage: not used.
        """
        losses = {}
        for name, critic in critics.items():
            fake = output[name].detach().flatten(0, 1)
            real = shrink_truth(sample.target, fake.shape[-1]).flatten(0, 1)
            on_real, on_fake = judge_both(critic, real, fake)
            losses[name] = least_squares_critic_loss(on_real, on_fake)
        return losses


def shrink_truth(target: Tensor, width: int) -> Tensor:
    """Average true pictures [B, T, 3, H, W] over squares of pixels, down to a width.

    Args:
        target: RGB in [0, 1]. [B, T, 3, H, W]
        width: width of the result, px; it divides W.

    Returns:
        RGB. [B, T, 3, h, width]
    """
    factor = target.shape[-1] // width
    if factor == 1:
        return target
    return F.avg_pool2d(target.flatten(0, 1), factor).unflatten(0, target.shape[:2])


def _layer_distance(vgg: nn.Module, prediction: Tensor, target: Tensor) -> Tensor:
    """Average the l1 distance of the contextual loss's features. []"""
    with torch.no_grad():
        (truth,) = vgg(target, (CONTEXTUAL_LAYER,))
    (features,) = vgg(prediction, (CONTEXTUAL_LAYER,))
    return (features - truth).abs().mean()


RECIPE = SidganRecipe
