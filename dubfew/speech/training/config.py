"""How the speech model is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        steps: optimiser steps of each network.
        scout: steps of the network that is trained on synthetic speech alone and then says which
            clips' pictures belong to their sound, and with what lag.
        batch: windows of 3 s per step.
        real_share: of the windows that come from filmed speakers.
        silent_share: of the windows in which nobody speaks.
        linear: batches that the linear reader is solved from.
        utterances: synthetic sentences to draw from.
        held: share of these in which a vowel is held.
        rate: peak learning rate.
        least_r: a clip whose mouth follows its sound less than this teaches nothing (music,
            another speaker) and is left out.
        seed: of everything random.
    """

    steps: int = 700
    scout: int = 400
    batch: int = 16
    real_share: float = 0.55
    silent_share: float = 0.16
    linear: int = 80
    utterances: int = 1200
    held: float = 0.2
    rate: float = 3e-3
    least_r: float = 0.15
    seed: int = 0

    def with_steps(self, steps: int) -> TrainConfig:
        """The same course in another number of steps."""
        return replace(
            self,
            steps=steps,
            scout=max(1, steps * self.scout // self.steps),
            linear=max(1, steps * self.linear // self.steps),
            # Short trainings need not wait for sentences that they would not draw.
            utterances=min(self.utterances, steps * self.batch),
        )
