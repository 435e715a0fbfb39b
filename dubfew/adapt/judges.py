"""The networks that judge a renderer while it is adapted: those of its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dubfew.errors import ArtefactError
from dubfew.prior.checkpoint import Prior
from dubfew.prior.recipes import NetworkFiles, RecipeNetworks, TrainingRecipe, TrainingStage

# Peak rate of critics (Adam) whose recipe names none: that of blending priors.
DEFAULT_CRITIC_RATE = 1e-3


class Judges:
    """A recipe's loss with its critics, which are trained along.

    Critics start from the weights that the prior brings, where it brings any.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        prior: Prior,
        accelerator: Accelerator,
        frozen: Mapping[str, nn.Module] | None = None,
    ) -> None:
        """Make the networks.

        Args:
            recipe: computes the losses.
            prior: prior that is adapted.
            accelerator: has the device.
            frozen: networks that are not trained along, from `TrainingRecipe.load_networks`;
                loaded from the usual places by default.

        Raises:
            AssetError: A file of the losses is missing.
            ArtefactError: The prior's critics do not fit the recipe's.
        """
        self.recipe, self.accelerator = recipe, accelerator
        # The last stage is the one that a finished training was in.
        self.stage: TrainingStage = recipe.list_stages()[-1]
        critics = {
            name: critic
            for name, critic in recipe.make_critics(prior.renderer).items()
            if self.stage.critics is None or name in self.stage.critics
        }
        for name, critic in critics.items():
            state = prior.critics.get(name)
            if state is None:
                continue
            try:
                critic.network.load_state_dict({**critic.network.state_dict(), **state})
            except RuntimeError as error:
                raise ArtefactError(
                    f"the critic {name!r} of the prior {prior.name!r} does not fit its renderer"
                ) from error
        rate = float(recipe.defaults.get("discriminator_rate", DEFAULT_CRITIC_RATE))
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.critics: dict[str, nn.Module] = {}
        for name, critic in critics.items():
            self.critics[name] = critic.network.to(accelerator.device)
            self.optimizers[name] = torch.optim.Adam(
                self.critics[name].parameters(), rate * critic.learning_rate, betas=critic.betas
            )
        if frozen is None:
            frozen = recipe.load_networks(NetworkFiles())
        recipe.initialize_renderer(prior.renderer, frozen, fresh=False)
        self.networks = RecipeNetworks(frozen, self.critics).to(accelerator.device)
        self._judged: tuple[Any, Any] | None = None

    def compute_loss(self, renderer: Any, sample: Any, texture: Tensor) -> Tensor:
        """Render a batch and compute the renderer's loss; the output waits for the critics.

        Args:
            renderer: network to train.
            sample: batch with its targets.
            texture: sampled neural textures.
        """
        rendered = self.recipe.compute_generator_loss(
            renderer, sample, texture, self.networks, self.stage
        )
        self._judged = (sample, rendered.output)
        return rendered.loss

    def train_critics(self) -> None:
        """Take a step of every critic on the batch of the last loss."""
        if not self.critics or self._judged is None:
            return
        sample, output = self._judged
        losses = self.recipe.compute_critic_losses(self.critics, sample, output, self.stage)
        for name, loss in losses.items():
            self.optimizers[name].zero_grad()
            self.accelerator.backward(loss)
            self.optimizers[name].step()
