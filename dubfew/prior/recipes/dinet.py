"""The training of DINet: single frames from coarse to fine, then clips of five frames.

The paper trains with frames and clips and says no order. The published code trains frames with a
mouth of 64, 128 and 256 px, each from the weights of the one before, without clips and sync; then
clips with everything. An epoch there draws each video several times. The shares of the stages here
follow from those draws, the batches and the epochs of the published scripts.

Source: Zhang et al. 2023, "DINet: Deformation Inpainting Network for Realistic Face Visually
Dubbing on High Resolution Video" (arXiv 2303.03988), sections "Loss Function" and "Implementation
Details".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dubfew.errors import ArtefactError
from dubfew.prior.recipes._base import TrainingStage
from dubfew.prior.recipes._perceptual_sync import (
    CLIP_CRITIC,
    FRAME_CRITIC,
    PerceptualSyncLoss,
    PerceptualSyncRecipe,
)
from dubfew.prior.syncnets import SYNC_FRAMES


@dataclass(frozen=True)
class DINetStage:
    """One stage of the published training.

    Attributes:
        shrink: divisor of the crop's size.
        frames: consecutive frames of a sample.
        draws: draws of each video per epoch.
        batch: samples of a batch.
        epochs: epochs with the published number of draws.
        critics: names of its critics.
    """

    shrink: int
    frames: int
    draws: int
    batch: int
    epochs: int
    critics: tuple[str, ...]

    @property
    def steps_per_video(self) -> float:
        """Return the optimizer steps for each video of the training set."""
        return self.draws * self.epochs / self.batch


# Stages by name; the number is the mouth's size, px, in the crop of 416 x 320. Draws, batches and
# epochs are those of the published scripts; the paper has the batch of the last one. It is trained
# for 400 epochs, and the paper's result is the one of epoch 160.
STAGES: dict[str, DINetStage] = {
    "frame64": DINetStage(4, 1, draws=32, batch=24, epochs=270, critics=(FRAME_CRITIC,)),
    "frame128": DINetStage(2, 1, draws=100, batch=80, epochs=200, critics=(FRAME_CRITIC,)),
    "frame256": DINetStage(1, 1, draws=20, batch=12, epochs=200, critics=(FRAME_CRITIC,)),
    "clip256": DINetStage(
        1, SYNC_FRAMES, draws=3, batch=3, epochs=400, critics=(FRAME_CRITIC, CLIP_CRITIC)
    ),
}


@dataclass(frozen=True)
class DINetLoss(PerceptualSyncLoss):
    """Weights of eq. 7, and how the training is divided.

    Attributes:
        stages: names of the stages in order, of `STAGES`. The batch of the last one is that of the
            configuration, those before it have their own.
        constant: share of the last stage in which the rates stay; then they fall to 0 along a line.
            The published scripts hold them for 200 of 400 epochs.
    """

    stages: str = "frame64 frame128 frame256 clip256"
    constant: float = 0.5


class DINetRecipe(PerceptualSyncRecipe):
    """Train `DINet`; see the module's docstring."""

    settings: DINetLoss
    settings_class = DINetLoss
    presets: ClassVar[Mapping[str, Any]] = {
        "paper-001": DINetLoss(),
        # The small-data study says 60 epochs, batches of 10 that memory allows, and a rate that
        # falls with progress. Ten samples of five frames do not fit into its 24 GB, ten frames do.
        "paper-000": DINetLoss(stages="frame256", constant=0.0),
        # Without networks that need files or a GPU, for tests and small machines.
        "pixels": DINetLoss(perceptual=0.0, adversarial=0.0, sync=0.0, l1=10.0, stages="clip256"),
    }
    # Section "Implementation Details". No average of the weights is said: the last ones count.
    defaults: ClassVar[Mapping[str, Any]] = {
        "batch": 3,
        "learning_rate": 1e-4,
        "discriminator_rate": 1e-4,
        "ema": 0.0,
    }

    def __init__(self, settings: Any = None) -> None:
        """Make a recipe, see `TrainingRecipe`.

        Raises:
            ArtefactError: A stage does not exist, or none is named.
        """
        super().__init__(settings)
        names = self.settings.stages.split()
        if not names or any(name not in STAGES for name in names):
            raise ArtefactError(
                f"'stages' is {self.settings.stages!r}: name some of {', '.join(STAGES)}"
            )

    def list_stages(self) -> tuple[TrainingStage, ...]:
        """List the stages, their shares as in the published training."""
        chosen = [(name, STAGES[name]) for name in self.settings.stages.split()]
        total = sum(stage.steps_per_video for _, stage in chosen)
        return tuple(
            TrainingStage(
                name,
                share=stage.steps_per_video / total,
                shrink=stage.shrink,
                frames=stage.frames,
                batch=0 if number == len(chosen) else stage.batch,
                critics=stage.critics,
            )
            for number, (name, stage) in enumerate(chosen, 1)
        )

    def compute_rate_factor(self, step: int, num_steps: int) -> float:
        """Compute 1 up to a part of the last stage, then a line to 0 at the end.

        Args:
            step: steps done.
            num_steps: steps of the whole training.
        """
        begins = num_steps * (1 - self.list_stages()[-1].share * (1 - self.settings.constant))
        return max(0.0, min(1.0, (num_steps - step) / max(1.0, num_steps - begins)))


RECIPE = DINetRecipe
