"""How the speech model is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        steps: optimiser steps in all.
        warmup: steps on synthetic speech alone, before the clips' lags are first measured.
        again: step at which they are measured again, by what has been learnt from clips.
        batch: windows of 3 s per step.
        real_share: of the windows that come from filmed speakers.
        silent_share: of the windows in which nobody speaks.
        utterances: synthetic sentences to draw from.
        rate: peak learning rate.
        least_r: a clip whose mouth follows its sound less than this teaches nothing (music,
            another speaker) and is left out.
        seed: of everything random.
    """

    steps: int = 2000
    warmup: int = 500
    again: int = 1200
    batch: int = 16
    real_share: float = 0.45
    silent_share: float = 0.1
    utterances: int = 1200
    rate: float = 3e-3
    least_r: float = 0.25
    seed: int = 0

    def with_steps(self, steps: int) -> TrainConfig:
        """The same course in another number of steps."""
        return replace(
            self,
            steps=steps,
            warmup=steps * self.warmup // self.steps,
            again=steps * self.again // self.steps,
            # Short trainings need not wait for sentences that they would not draw.
            utterances=min(self.utterances, steps * self.batch),
        )
