"""The training of IPTalker: clips of five frames, DINet's losses and optimizer.

The paper takes losses and weights from DINet, whose code it builds on, and names neither optimizer
nor batch nor schedule: they are DINet's, with DINet's critic of single frames.

Source: Liu et al. 2025, "Identity-Preserving Video Dubbing Using Motion Warping" (arXiv
2501.04586), section III-E.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from dubfew.prior.recipes._base import TrainingStage
from dubfew.prior.recipes._perceptual_sync import (
    FRAME_CRITIC,
    PerceptualSyncLoss,
    PerceptualSyncRecipe,
)
from dubfew.prior.syncnets import SYNC_FRAMES


class IPTalkerRecipe(PerceptualSyncRecipe):
    """Train `IPTalker`; see the module's docstring."""

    settings_class = PerceptualSyncLoss
    presets: ClassVar[Mapping[str, Any]] = {
        "paper-004": PerceptualSyncLoss(),
        # Without networks that need files or a GPU, for tests and small machines.
        "pixels": PerceptualSyncLoss(perceptual=0.0, adversarial=0.0, sync=0.0, l1=10.0),
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        "batch": 3,
        "learning_rate": 1e-4,
        "discriminator_rate": 1e-4,
        "ema": 0.0,
    }

    def list_stages(self) -> tuple[TrainingStage, ...]:
        """List the one stage, with as many frames as a SyncNet hears."""
        return (TrainingStage("clip", frames=SYNC_FRAMES, critics=(FRAME_CRITIC,)),)


RECIPE = IPTalkerRecipe
