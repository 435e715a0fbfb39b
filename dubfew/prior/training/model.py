"""What is trained: the renderer, and one neural texture per person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dubfew.data.samples import TrainingSample, unwrap_footage_texture
from dubfew.errors import ArtefactError
from dubfew.prior.losses.objective import LossNetworks, LossTerms, compute_loss, render_batch
from dubfew.prior.losses.weights import LossWeights
from dubfew.prior.renderers import Renderer
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.footage import Footage
from dubfew.textures import TEXTURE_SIZE, sample_texture
from dubfew.textures.neural import INITIAL_FEATURE_STD


class RendererWithLoss(nn.Module):
    """The renderer; a forward pass is the loss of a batch, its terms and its pictures."""

    def __init__(self, renderer: Renderer, loss_weights: LossWeights) -> None:
        super().__init__()
        self.renderer = renderer
        self.loss_weights = loss_weights

    def forward(
        self, sample: TrainingSample, texture: Tensor, loss_networks: LossNetworks
    ) -> tuple[Tensor, LossTerms, Tensor]:
        fields, picture = render_batch(self.renderer, sample, texture)
        loss, terms = compute_loss(
            sample, texture, fields, picture, self.loss_weights, loss_networks
        )
        return loss, terms, picture


class PeopleTextures(nn.Module):
    """One neural texture per person, started from the person's unwrapped colours.

    Each is a parameter of its own: people who are not in a batch cost nothing in that step, and
    `average_gradients` sends only those between processes who were in somebody's batch. So this
    module is not wrapped for several processes.
    """

    def __init__(self, people: Sequence[Footage], num_channels: int) -> None:
        super().__init__()
        head = load_head_model()
        size = TEXTURE_SIZE
        self.features = nn.ParameterList(
            torch.randn(num_channels, size, size) * INITIAL_FEATURE_STD for _ in people
        )
        self.colours: Tensor
        self.register_buffer("colours", torch.zeros(len(people), 3, size, size), persistent=False)
        with torch.no_grad():
            for person, footage in enumerate(people):
                rgb = torch.from_numpy(unwrap_footage_texture(footage, head)).permute(2, 0, 1)
                self.colours[person] = rgb
                self.features[person][:3] = rgb

    def forward(self, sample: TrainingSample) -> Tensor:
        """Texture at every pixel of a batch. [B, C, S, S]"""
        inputs = sample.inputs
        # As lists, or each number would be fetched from the GPU by itself.
        rows, fresh = inputs.actor_index.tolist(), sample.is_new_actor.tolist()
        texture = torch.stack(
            [
                texture_from_colors(self.colours[row], len(self.features[0]))
                if new
                else self.features[row]
                for row, new in zip(rows, fresh, strict=True)
            ]
        )
        return sample_texture(texture, inputs.uv, inputs.mesh_mask[:, 0] > 0)

    def average_gradients(self, accelerator: Accelerator) -> None:
        """Give every process the mean of all processes' gradients."""
        if accelerator.num_processes == 1:
            return
        parameters = list(self.features)
        touched = torch.tensor([float(p.grad is not None) for p in parameters])
        anywhere = accelerator.reduce(touched.to(accelerator.device), "sum").tolist()
        for parameter, count in zip(parameters, anywhere, strict=True):
            if count:
                none = parameter.grad is None
                own = parameter.new_zeros(parameter.shape) if none else parameter.grad
                parameter.grad = accelerator.reduce(own, "mean")

    def make_new_actor_texture(self) -> Tensor:
        """The texture that a new actor starts from beside the unwrapped colours. [C, H, W]"""
        colours = torch.stack([texture.detach()[:3] for texture in self.features]).mean(0)
        return texture_from_colors(colours, len(self.features[0]))


def texture_from_colors(colors: Tensor, num_channels: int) -> Tensor:
    """A texture that has colours [3, H, W] and nothing learned yet. [C, H, W]"""
    return torch.cat([colors, colors.new_zeros(num_channels - 3, *colors.shape[1:])])


def make_parameter_groups(
    renderer: Renderer, textures: PeopleTextures, config: PriorTrainConfig
) -> list[dict[str, Any]]:
    """The optimiser's groups, one for each learning rate, which "full_rate" keeps.

    Raises:
        ArtefactError: ``config.rates`` names what no parameter's name begins with.
    """
    factors = config.rates
    names = [name for name, _ in renderer.named_parameters()]
    for beginning in factors:
        if not any(name.startswith(beginning) for name in names):
            parts = ", ".join(sorted({name.split(".")[0] for name in names}))
            raise ArtefactError(f"'rates' names {beginning!r}; the renderer's parts are {parts}")
    grouped: dict[float, list[nn.Parameter]] = {}
    for name, parameter in renderer.named_parameters():
        fitting = [beginning for beginning in factors if name.startswith(beginning)]
        factor = factors[max(fitting, key=len)] if fitting else 1.0
        grouped.setdefault(config.learning_rate * factor, []).append(parameter)
    groups = [(grouped[each], each) for each in sorted(grouped, reverse=True)]
    groups.append((list(textures.parameters()), config.texture_rate))
    return [{"params": p, "lr": each, "full_rate": each} for p, each in groups]
