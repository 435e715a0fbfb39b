"""The loss that DINet and IPTalker share: perceptual, adversarial and sync.

``L = 10 L_p + 0.1 L_sync + L_GAN``: features of VGG-19 at two scales, least squares against
critics, and a frozen SyncNet that hears five consecutive frames.

Source: Zhang et al. 2023, "DINet: Deformation Inpainting Network for Realistic Face Visually
Dubbing on High Resolution Video" (arXiv 2303.03988), eq. 2 to 7; Liu et al. 2025, "Identity-
Preserving Video Dubbing Using Motion Warping" (arXiv 2501.04586), eq. 8 to 13, is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dubfew.data.clip_inputs import ClipSample
from dubfew.errors import AssetError
from dubfew.prior.critics.dinet import DINetCritic, DINetCriticConfig
from dubfew.prior.losses import (
    Vgg19,
    least_squares_critic_loss,
    least_squares_generator_loss,
    load_vgg19,
    two_scale_perceptual_loss,
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
from dubfew.prior.syncnets import SYNC_FRAMES, SyncNetwork
from dubfew.prior.syncnets._file import load_syncnet

# Names of the critics: of single frames (D_I), and of five consecutive ones at once (D_V).
FRAME_CRITIC, CLIP_CRITIC = "frames", "clips"


@dataclass(frozen=True)
class PerceptualSyncLoss:
    """Weights of the terms; a term of weight 0 is not computed.

    Attributes:
        perceptual: distance of VGG-19's features at two scales.
        adversarial: least squares against each critic.
        sync: loss of the SyncNet, in stages of five consecutive frames.
        l1: l1 distance of pixels, which the papers do not have: a stand-in for ``perceptual`` where
            VGG-19's weights are not at hand.
    """

    perceptual: float = 10.0
    adversarial: float = 1.0
    sync: float = 0.1
    l1: float = 0.0


class PerceptualSyncRecipe(TrainingRecipe):
    """Base class of the two recipes; subclasses say which stages and critics there are."""

    settings: PerceptualSyncLoss

    def load_networks(self, files: NetworkFiles) -> dict[str, nn.Module]:
        """Load VGG-19 and the SyncNet, if terms need them.

        Raises:
            AssetError: A file is missing or damaged, or no SyncNet is named.
        """
        networks: dict[str, nn.Module] = {}
        if self.settings.perceptual:
            networks["vgg"] = load_vgg19(files.vgg)
        if self._hears_sync():
            if files.sync is None:
                raise AssetError(
                    "the sync loss needs a SyncNet: name its file as 'sync', train one with "
                    "`dubfew prior sync`, or give 'sync' of the loss the weight 0"
                )
            networks["sync"] = load_syncnet(files.sync)[0]
        return networks

    def _hears_sync(self) -> bool:
        """Return whether a stage has a sync loss."""
        return self.settings.sync > 0 and any(
            stage.frames == SYNC_FRAMES for stage in self.list_stages()
        )

    def make_critics(self, renderer: Any) -> dict[str, TrainedCritic]:
        """Make the critics that the stages name, if a term needs them."""
        if not self.settings.adversarial:
            return {}
        frames = {FRAME_CRITIC: 1, CLIP_CRITIC: SYNC_FRAMES}
        named = {name for stage in self.list_stages() for name in stage.critics or ()}
        default = DINetCriticConfig()
        # As narrow as the renderer, or a small one would have no chance.
        widths = tuple(width // renderer.config.narrow for width in default.widths)
        return {
            name: TrainedCritic(DINetCritic(DINetCriticConfig(count, widths)))
            for name, count in frames.items()
            if name in named
        }

    def initialize_renderer(
        self, renderer: Any, networks: Mapping[str, nn.Module], *, fresh: bool
    ) -> None:
        """Check that the SyncNet hears what the renderer hears.

        Args:
            renderer: network to train; its ``config.sound`` names the feature.
            networks: what `load_networks` gave.
            fresh: not used: nothing is initialized from the SyncNet.

        Raises:
            ArtefactError: They hear different features of sound.
        """
        sync = networks.get("sync")
        if isinstance(sync, SyncNetwork):
            sync.check_sound(renderer.config.sound)

    def compute_generator_loss(
        self,
        renderer: Any,
        sample: ClipSample,
        texture: Tensor,
        networks: RecipeNetworks,
        stage: TrainingStage,
    ) -> RenderedBatch:
        """Paint windows and compute the terms.

        Args:
            renderer: network to train.
            sample: crops of T frames with sound; ``target`` is RGB in [0, 1]. [B, T, 3, H, W]
            texture: not used: these renderers have no texture.
            networks: VGG-19, the SyncNet, and the critics of the stage.
            stage: not used: the length of the windows says which terms there are.
        """
        settings = self.settings
        painted = renderer(sample.inputs).float()
        fake, real = painted.flatten(0, 1), sample.target.flatten(0, 1)
        terms: dict[str, Tensor] = {}
        vgg, sync = networks.frozen.get("vgg"), networks.frozen.get("sync")
        if settings.l1:
            terms["l1"] = (fake - real).abs().mean()
        if settings.perceptual and isinstance(vgg, Vgg19):
            terms["perceptual"] = two_scale_perceptual_loss(vgg, fake, real)
        # Windows of other lengths, as in the stages of single frames, have no sync loss.
        if settings.sync and isinstance(sync, SyncNetwork) and painted.shape[1] == SYNC_FRAMES:
            terms["sync"] = sync.renderer_loss(painted, sample.inputs.sound)
        judged = []
        for name, critic in networks.critics.items():
            windows = judged_windows(name, painted)
            if settings.adversarial and windows is not None:
                with frozen_parameters(critic):
                    judged.append(least_squares_generator_loss(critic(windows)))
        if judged:
            terms["adversarial"] = torch.stack(judged).sum()
        return RenderedBatch(sum_weighted_terms(terms, settings, painted), terms, painted)

    def compute_critic_losses(
        self,
        critics: Mapping[str, nn.Module],
        sample: ClipSample,
        output: Tensor,
        stage: TrainingStage,
    ) -> dict[str, Tensor]:
        """Compute the least-squares loss of each critic.

        Args:
            critics: critics of the stage by name.
            sample: the batch that was painted.
            output: painted windows, RGB in [0, 1]. [B, T, 3, H, W]
            stage: not used.
        """
        losses = {}
        for name, critic in critics.items():
            real, fake = (judged_windows(name, each) for each in (sample.target, output.detach()))
            if real is None or fake is None:
                continue
            on_real, on_fake = judge_both(critic, real, fake)
            losses[name] = least_squares_critic_loss(on_real, on_fake)
        return losses


def judged_windows(critic: str, frames: Tensor) -> Tensor | None:
    """Cut windows of frames into what a critic judges at once.

    Args:
        critic: name of the critic.
        frames: RGB. [B, T, 3, H, W]

    Returns:
        Single frames [B * T, 1, 3, H, W] or five consecutive ones [B, 5, 3, H, W]; None for the
        critic of clips where windows have another length.
    """
    if critic == FRAME_CRITIC:
        return frames.flatten(0, 1)[:, None]
    return frames if frames.shape[1] == SYNC_FRAMES else None
