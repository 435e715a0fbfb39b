"""The trainable parts: the renderer with its loss, and one neural texture per person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dubfew.data.samples import TrainingSample, unwrap_footage_texture
from dubfew.errors import ArtefactError
from dubfew.prior.recipes import RecipeNetworks, TrainingRecipe, TrainingStage
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.textures import SeparateTextures
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.footage import Footage
from dubfew.textures import TEXTURE_SIZE, sample_texture
from dubfew.textures.neural import INITIAL_FEATURE_STD


class RendererWithLoss(nn.Module):
    """A renderer whose forward pass computes the loss of a batch.

    One module with one forward pass is what Accelerate can wrap for several processes.
    """

    def __init__(self, renderer: nn.Module, recipe: TrainingRecipe) -> None:
        """Wrap a renderer.

        Args:
            renderer: network to train.
            recipe: computes the loss.
        """
        super().__init__()
        self.renderer = renderer
        self.recipe = recipe

    def forward(
        self, sample: Any, texture: Tensor, networks: RecipeNetworks, stage: TrainingStage
    ) -> tuple[Tensor, dict[str, Tensor], Any]:
        """Render a batch and compute its loss.

        Args:
            sample: batch with its targets.
            texture: sampled neural textures. [B, C, S, S] or [B, T, C, H, W]
            networks: networks of the terms that need one.
            stage: part of the training.

        Returns:
            The loss [], its terms, and what the critics judge.
        """
        rendered = self.recipe.compute_generator_loss(
            self.renderer, sample, texture, networks, stage
        )
        # A tuple: Accelerate turns half precision to single in tuples and dictionaries alone.
        return rendered.loss, rendered.terms, rendered.output


class PeopleTextures(SeparateTextures):
    """One neural texture per person, started from the person's unwrapped colors.

    Attributes:
        features: textures of all N people, the keys of resume states. [C, H, W] each
        colors: unwrapped colors of all people, not stored. [N, 3, H, W]
    """

    def __init__(self, people: Sequence[Footage], num_channels: int) -> None:
        """Start from random features and unwrapped colors.

        Args:
            people: footage of each person.
            num_channels: features of a texture, C.
        """
        super().__init__()
        head = load_head_model()
        size = TEXTURE_SIZE
        self.features = nn.ParameterList(
            torch.randn(num_channels, size, size) * INITIAL_FEATURE_STD for _ in people
        )
        self.colors: Tensor
        self.register_buffer("colors", torch.zeros(len(people), 3, size, size), persistent=False)
        with torch.no_grad():
            # Colors are features from the start, as they are for a new actor.
            for person, footage in enumerate(people):
                rgb = torch.from_numpy(unwrap_footage_texture(footage, head)).permute(2, 0, 1)
                self.colors[person] = rgb
                self.features[person][:3] = rgb

    def forward(self, sample: TrainingSample) -> Tensor:
        """Look up the textures of a batch at every pixel.

        Samples of new actors get the person's colors without the learned features.

        Args:
            sample: batch; ``actor_index`` counts the people.

        Returns:
            Features, 0 beside the mesh. [B, C, S, S]
        """
        inputs = sample.inputs
        # As lists: reading tensors one by one would wait for the GPU each time.
        rows, is_new = inputs.actor_index.tolist(), sample.is_new_actor.tolist()
        texture = torch.stack(
            [
                texture_from_colors(self.colors[row], len(self.features[0]))
                if new
                else self.features[row]
                for row, new in zip(rows, is_new, strict=True)
            ]
        )
        return sample_texture(texture, inputs.uv, inputs.mesh_mask[:, 0] > 0)

    def make_new_actor_texture(self) -> Tensor:
        """Make the texture that a new actor starts from: the people's mean colors. [C, H, W]

        The footage of an actor replaces the colors where it shows the skin.
        """
        colors = torch.stack([texture.detach()[:3] for texture in self.features]).mean(0)
        return texture_from_colors(colors, len(self.features[0]))


def texture_from_colors(colors: Tensor, num_channels: int) -> Tensor:
    """Make a texture that has colors and no learned features yet.

    Args:
        colors: RGB in [0, 1]. [3, H, W]
        num_channels: features of the texture, C.

    Returns:
        The colors, then zeros. [C, H, W]
    """
    return torch.cat([colors, colors.new_zeros(num_channels - 3, *colors.shape[1:])])


def make_parameter_groups(
    renderer: nn.Module, textures: nn.Module, config: PriorTrainConfig
) -> list[dict[str, Any]]:
    """Group the parameters by their learning rate, for the optimizer.

    Args:
        renderer: network, whose parts may have factors on their rates.
        textures: textures of the people, the last group unless there are none.
        config: configuration with the rates.

    Returns:
        Groups as torch's optimizers take them, highest rate of the renderer first. ``full_rate`` is
        the peak rate once more, a key that resume states have.

    Raises:
        ArtefactError: ``config.rates`` has a key that no parameter's name begins with.
    """
    factors = config.rates
    names = [name for name, _ in renderer.named_parameters()]
    for beginning in factors:
        if not any(name.startswith(beginning) for name in names):
            parts = ", ".join(sorted({name.split(".")[0] for name in names}))
            raise ArtefactError(f"'rates' names {beginning!r}; the renderer's parts are {parts}")
    # A prefix of "" fits every name; longer prefixes make exceptions from it.
    grouped: dict[float, list[nn.Parameter]] = {}
    for name, parameter in renderer.named_parameters():
        fitting = [beginning for beginning in factors if name.startswith(beginning)]
        factor = factors[max(fitting, key=len)] if fitting else 1.0
        grouped.setdefault(config.learning_rate * factor, []).append(parameter)
    groups = [(grouped[each], each) for each in sorted(grouped, reverse=True)]
    if own := list(textures.parameters()):
        groups.append((own, config.texture_rate))
    return [{"params": p, "lr": each, "full_rate": each} for p, each in groups]
