"""How the speech model is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SpeechTrainConfig:
    """How to train.

    Attributes:
        steps: optimiser steps of each network.
        scout_steps: steps of the network that is trained on synthetic speech alone and then says
            which clips' pictures belong to their sound, and with what lag.
        batch_size: windows of 3 s per step.
        filmed_fraction: of the windows that come from filmed speakers.
        silent_fraction: of the windows in which nobody speaks.
        num_linear_batches: batches that the linear reader is solved from.
        num_utterances: synthetic sentences to draw from.
        held_vowel_fraction: share of these in which a vowel is held.
        peak_learning_rate: peak learning rate.
        min_correlation: a clip whose mouth follows its sound less than this teaches nothing (music,
            another speaker) and is left out.
        seed: of everything random.
    """

    steps: int = 700
    scout_steps: int = 400
    batch_size: int = 16
    filmed_fraction: float = 0.55
    silent_fraction: float = 0.16
    num_linear_batches: int = 80
    num_utterances: int = 1200
    held_vowel_fraction: float = 0.2
    peak_learning_rate: float = 3e-3
    min_correlation: float = 0.15
    seed: int = 0

    def with_steps(self, steps: int) -> SpeechTrainConfig:
        """The same course in another number of steps."""
        return replace(
            self,
            steps=steps,
            scout_steps=max(1, steps * self.scout_steps // self.steps),
            num_linear_batches=max(1, steps * self.num_linear_batches // self.steps),
            # Short trainings need not wait for sentences that they would not draw.
            num_utterances=min(self.num_utterances, steps * self.batch_size),
        )
