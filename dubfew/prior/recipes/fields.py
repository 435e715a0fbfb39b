"""The recipe of blending renderers: dubfew's own losses on blend fields, one optional critic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from dubfew.data.samples import TrainingSample
from dubfew.prior.discriminator import Discriminator, discriminator_loss
from dubfew.prior.losses import Vgg19, load_vgg19
from dubfew.prior.losses.objective import LossNetworks, compute_loss, render_batch
from dubfew.prior.losses.weights import LOSS_PRESETS, LossWeights, resolve_loss_weights
from dubfew.prior.recipes._base import (
    NetworkFiles,
    RecipeNetworks,
    RenderedBatch,
    TrainedCritic,
    TrainingRecipe,
    TrainingStage,
)
from dubfew.prior.renderers import Renderer
from dubfew.training import MAX_GRADIENT_NORM
from dubfew.training.schedules import warmup_cosine

# Less momentum for the discriminator, whose opponent moves at every step.
# Source: Isola et al. 2017, pix2pix (arXiv 1611.07004), section 3.3.
DISCRIMINATOR_ADAM_BETAS = (0.5, 0.999)
# Part of the training during which the rates rise, and the factor that they begin and end with.
WARMUP_FRACTION = 0.02
INITIAL_RATE_FACTOR, FINAL_RATE_FACTOR = 0.01, 0.1


class FieldsRecipe(TrainingRecipe):
    """Train a blending renderer; see `dubfew.prior.losses.objective` for the terms."""

    settings: LossWeights
    settings_class = LossWeights
    presets = LOSS_PRESETS
    # 0.99 follows the gradient's size within a hundred steps; Adam's own 0.999 would take a fourth
    # of a training of 4000 steps.
    betas = (0.9, 0.99)
    max_gradient_norm = MAX_GRADIENT_NORM

    @classmethod
    def resolve_settings(cls, loss: str | Mapping[str, Any]) -> LossWeights:
        """Turn the ``loss`` of a configuration into weights, see `resolve_loss_weights`."""
        return resolve_loss_weights(loss)

    def compute_rate_factor(self, step: int, num_steps: int) -> float:
        """Compute a warm-up and a cosine decay to a tenth.

        Args:
            step: steps done.
            num_steps: steps of the whole training.
        """
        return warmup_cosine(
            step,
            num_steps,
            warmup_steps=WARMUP_FRACTION * num_steps,
            initial=INITIAL_RATE_FACTOR,
            floor=FINAL_RATE_FACTOR,
        )

    def make_critics(self, renderer: Renderer) -> dict[str, TrainedCritic]:
        """Make the discriminator of patches, if a term needs it."""
        if not self.settings.needs_discriminator:
            return {}
        return {"discriminator": TrainedCritic(Discriminator(), betas=DISCRIMINATOR_ADAM_BETAS)}

    def load_networks(self, files: NetworkFiles) -> dict[str, nn.Module]:
        """Load VGG-19, if a term needs it."""
        return {"vgg": load_vgg19(files.vgg)} if self.settings.needs_vgg else {}

    def compute_generator_loss(
        self,
        renderer: Renderer,
        sample: TrainingSample,
        texture: Tensor,
        networks: RecipeNetworks,
        stage: TrainingStage,
    ) -> RenderedBatch:
        """Predict the fields of a batch, compose its pictures, and compute the terms.

        Args:
            renderer: network to train.
            sample: windows with their references and targets. RGB in [0, 1], [B, 3, S, S]
            texture: sampled neural textures. [B, C, S, S]
            networks: VGG-19 and the discriminator, where a term needs them.
            stage: not used: there is one.
        """
        fields, picture = render_batch(renderer, sample, texture)
        loss_networks = LossNetworks(
            cast("Vgg19 | None", networks.frozen.get("vgg")),
            cast("Discriminator | None", networks.critics.get("discriminator")),
        )
        loss, terms = compute_loss(sample, texture, fields, picture, self.settings, loss_networks)
        return RenderedBatch(loss, terms, picture)

    def compute_critic_losses(
        self,
        critics: Mapping[str, nn.Module],
        sample: TrainingSample,
        output: Any,
        stage: TrainingStage,
    ) -> dict[str, Tensor]:
        """Compute the discriminator's loss.

        Args:
            critics: the discriminator, or nothing.
            sample: the batch that was rendered.
            output: composed pictures, RGB. [B, 3, S, S]
            stage: not used: there is one.
        """
        return {name: discriminator_loss(each, sample, output) for name, each in critics.items()}


RECIPE = FieldsRecipe
