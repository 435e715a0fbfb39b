"""The training of "Dubbing for Everyone": eq. 1 of the paper on windows of frames.

``L = 10 L1 + 10 VGG + 5 reg + 1 adv``; L1 weighs the mouth 10, the rest of the lower face 8 and
everything else 1. Renderer, textures and critic are trained together.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), sections 3.4 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dubfew.data.clip_inputs import ClipSample
from dubfew.prior.critics.stylesync import StyleSyncCritic
from dubfew.prior.losses import load_vgg19, perceptual_and_style_losses, weighted_l1_loss
from dubfew.prior.losses.adversarial import (
    least_squares_critic_loss,
    least_squares_generator_loss,
)
from dubfew.prior.recipes._base import (
    NetworkFiles,
    RecipeNetworks,
    RenderedBatch,
    TrainedCritic,
    TrainingRecipe,
    TrainingStage,
    frozen_parameters,
    judge_both,
    sum_weighted_terms,
)
from dubfew.prior.renderers._stylesync import StyleSyncGenerator
from dubfew.reconstruction.heads.landmark_indices import OUTER_LIPS
from dubfew.textures import texture_regularization_loss


@dataclass(frozen=True)
class StyleSyncLoss:
    """Weights and switches of eq. 1; a term of weight 0 is not computed.

    Attributes:
        l1: l1 distance of pixels, under the weights of the regions.
        perceptual: distance of VGG-19's features or of what ``vgg`` says.
        texture: l1 distance of the texture's first three channels from the frame.
        adversarial: least squares against the critic of windows.
        mouth: weight of pixels around the lips.
        lower: weight of pixels of the mask beside the mouth.
        rest: weight of all others.
        vgg: ``features`` (l1 of features), ``gram`` (l1 of their Gram matrices) or ``both``. The
            paper calls its term style loss and perceptual loss.
        mouth_margin: width, as a fraction of the crop, by which the lips' hull is dilated.
        r1: weight of the penalty on the critic's slope at real pictures, which StyleGAN2 has and
            the paper does not name.
    """

    l1: float = 10.0
    perceptual: float = 10.0
    texture: float = 5.0
    adversarial: float = 1.0
    mouth: float = 10.0
    lower: float = 8.0
    rest: float = 1.0
    vgg: str = "features"
    mouth_margin: float = 0.02
    r1: float = 0.0


class StyleSyncRecipe(TrainingRecipe):
    """Train `StyleSyncGenerator`; see the module's docstring."""

    settings: StyleSyncLoss
    settings_class = StyleSyncLoss
    presets: ClassVar[Mapping[str, Any]] = {
        "paper-003": StyleSyncLoss(),
        # Without networks that need files or a GPU, for tests and small machines.
        "pixels": StyleSyncLoss(perceptual=0.0, adversarial=0.0),
    }
    # Rates and batch of section 4. No schedule is said: the rates stay. No average of the weights
    # is said either, so that the last weights are the result.
    defaults: ClassVar[Mapping[str, Any]] = {
        "batch": 4,
        "learning_rate": 1e-4,
        "texture_rate": 1e-4,
        "discriminator_rate": 1e-4,
        "ema": 0.0,
    }

    def make_critics(self, renderer: StyleSyncGenerator) -> dict[str, TrainedCritic]:
        """Make the critic of windows, if a term needs it."""
        if not self.settings.adversarial:
            return {}
        config = renderer.config
        size = config.load_layout().height
        return {"windows": TrainedCritic(StyleSyncCritic(size, config.frames, config.narrow))}

    def load_networks(self, files: NetworkFiles) -> dict[str, nn.Module]:
        """Load VGG-19, if a term needs it."""
        return {"vgg": load_vgg19(files.vgg)} if self.settings.perceptual else {}

    def compute_generator_loss(
        self,
        renderer: StyleSyncGenerator,
        sample: ClipSample,
        texture: Tensor,
        networks: RecipeNetworks,
        stage: TrainingStage,
    ) -> RenderedBatch:
        """Paint windows and compute eq. 1.

        Args:
            renderer: network to train.
            sample: crops of T frames with masks, landmarks and sound; ``target`` is RGB in [0, 1].
                [B, T, 3, H, W]
            texture: sampled neural textures; the first three channels are RGB. [B, T, C, H, W]
            networks: VGG-19 and the critic of windows, where a term needs them.
            stage: not used: there is one.
        """
        settings = self.settings
        inputs = sample.inputs.with_texture(texture)
        # Losses in single precision: sums over features overflow half precision.
        painted = renderer(inputs).float()
        flat = sample.target.flatten(0, 1)
        mask = inputs.mask.flatten(0, 1)
        terms: dict[str, Tensor] = {}
        if settings.l1:
            weights = weigh_face_regions(sample, settings)
            terms["l1"] = weighted_l1_loss(painted.flatten(0, 1), flat, weights.flatten(0, 1))
        # The paper names the term both style loss and perceptual loss; ``vgg`` says which is meant.
        if settings.perceptual:
            both = perceptual_and_style_losses(
                networks.frozen["vgg"],  # type: ignore[arg-type]
                painted.flatten(0, 1),
                flat,
                # All pixels count, since the whole crop is painted.
                torch.ones_like(mask),
            )
            chosen = {"features": ("perceptual",), "gram": ("style",)}
            names = chosen.get(settings.vgg, ("perceptual", "style"))
            terms["perceptual"] = torch.stack([both[name] for name in names]).sum()
        if settings.texture:
            # Where the mesh does not cover a pixel, no texel was sampled that could be pulled to
            # its color.
            seen = mask * inputs.mesh_mask.flatten(0, 1)
            terms["texture"] = texture_regularization_loss(texture.flatten(0, 1), flat, seen)
        # Before ``adversarial_from`` there is no critic yet.
        if settings.adversarial and "windows" in networks.critics:
            critic = networks.critics["windows"]
            with frozen_parameters(critic):
                terms["adversarial"] = least_squares_generator_loss(critic(painted))
        return RenderedBatch(sum_weighted_terms(terms, settings, painted), terms, painted)

    def compute_critic_losses(
        self,
        critics: Mapping[str, nn.Module],
        sample: ClipSample,
        output: Tensor,
        stage: TrainingStage,
    ) -> dict[str, Tensor]:
        """Compute the loss of the critic of windows.

        Args:
            critics: the critic of windows, or nothing.
            sample: the batch that was painted.
            output: painted windows, RGB in [0, 1]. [B, T, 3, H, W]
            stage: not used: there is one.
        """
        losses = {}
        for name, critic in critics.items():
            real = sample.target.detach().requires_grad_(self.settings.r1 > 0)
            on_real, on_fake = judge_both(critic, real, output.detach(), 2)
            losses[name] = least_squares_critic_loss(on_real, on_fake)
            if self.settings.r1:
                # R1 of one sample, as half the squared slope; the graph is kept because the penalty
                # itself is differentiated.
                (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
                penalty = slope.square().flatten(1).sum(1).mean() / 2
                losses[name] = losses[name] + self.settings.r1 * penalty
        return losses


def weigh_face_regions(sample: ClipSample, settings: StyleSyncLoss) -> Tensor:
    """Compute the weight of every pixel: the mouth, the rest of the mask, everything else.

    Args:
        sample: batch with masks and landmarks.
        settings: the three weights, and the margin around the lips.

    Returns:
        Weights. [B, T, 1, H, W]

    Source: Saunders and Namboodiri 2024 (arXiv 2401.06126), section 3.4. The mouth is the lips'
    hull, dilated; the lower face is the mask.
    """
    mouth = draw_mouth_hulls(sample, settings.mouth_margin)
    mask = sample.inputs.mask
    beside = settings.lower * mask + settings.rest * (1 - mask)
    return torch.where(mouth > 0, torch.full_like(beside, settings.mouth), beside)


def draw_mouth_hulls(sample: ClipSample, margin: float) -> Tensor:
    """Draw the dilated hull of the lips in every frame. [B, T, 1, H, W], 1 inside

    Args:
        sample: batch with landmarks.
        margin: width of the dilation, as a fraction of the crop's height.
    """
    from kornia.morphology import dilation  # takes seconds to import

    height, width = sample.target.shape[-2:]
    lips = sample.landmarks[..., list(OUTER_LIPS), :].flatten(0, 1)
    inside = _fill_rings(lips, height, width)
    radius = max(1, round(margin * height))
    grid = torch.arange(-radius, radius + 1, device=lips.device)
    disk = (grid[:, None] ** 2 + grid[None] ** 2 <= radius**2).to(inside)
    # A channel each: the operator takes one kernel for all.
    dilated = dilation(inside[:, None], disk)
    return dilated.unflatten(0, sample.landmarks.shape[:2])


def _fill_rings(rings: Tensor, height: int, width: int) -> Tensor:
    """Fill closed polygons by the rule of odd crossings.

    Args:
        rings: corners in order, px. [M, P, 2]
        height, width: size of the pictures.

    Returns:
        1 where a pixel's center is inside. [M, height, width]
    """
    x = torch.arange(width, device=rings.device) + 0.5
    y = torch.arange(height, device=rings.device) + 0.5
    crossings = rings.new_zeros(len(rings), height, width)
    for a, b in zip(rings.unbind(1), rings.roll(-1, 1).unbind(1), strict=True):
        (ax, ay), (bx, by) = a.T[:, :, None], b.T[:, :, None]
        spans = (ay > y) != (by > y)
        at = ax + (y - ay) / torch.where(by == ay, torch.ones_like(by), by - ay) * (bx - ax)
        crossings += (spans[:, :, None] & (x < at[:, :, None])).float()
    return crossings % 2


RECIPE = StyleSyncRecipe
