"""Settings of a training of the speech model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np


class RandomStream(IntEnum):
    """Sources of randomness that do not depend on each other.

    So what one part of a training draws is the same whatever the parts before it drew, did not
    draw because it was stored, or drew in another process.
    """

    SENTENCES = 0
    SYNTHETIC_PASSAGE = 1
    FILMED_PASSAGE = 2
    SILENT_PASSAGE = 3
    TRAINING_BATCH = 4
    LINEAR_BATCH = 5
    DETECTOR = 6

    def start(self, seed: int, *place: int) -> np.random.Generator:
        """Start a stream.

        Args:
            seed: seed of the training.
            place: what is drawn, such as the number of a step; at least 0.
        """
        return np.random.default_rng((seed, int(self), *place))


@dataclass(frozen=True)
class SpeechTrainConfig:
    """Settings of a training.

    Attributes:
        steps: optimizer steps of each network.
        scout_steps: optimizer steps of the scout, which learns from synthetic speech alone and then
            measures which clips are in sync.
        batch_size: windows of 3 s per step.
        filmed_fraction: fraction of the windows that come from filmed speakers.
        silent_fraction: fraction of the windows without speech.
        num_linear_batches: batches that the linear predictor is solved from.
        num_synthetic_passages: passages of synthetic speech that windows are cut from.
        num_silent_passages: the same without speech.
        num_filmed_versions: differently augmented versions of every filmed recording.
        num_projection_passages: synthetic passages that wide features are reduced by.
        num_detector_recordings: synthetic sentences, and sounds without speech, that the detector
            of speech is fitted to.
        num_utterances: synthetic sentences to draw windows from.
        held_vowel_fraction: fraction of these sentences in which a vowel is held.
        peak_learning_rate: learning rate at the end of the warm-up.
        min_correlation: least correlation of predicted and tracked lip gap for a clip to be trained
            on; below it, the sound is music or another speaker.
        seed: seed of all randomness.
    """

    steps: int = 700
    scout_steps: int = 400
    batch_size: int = 16
    filmed_fraction: float = 0.55
    silent_fraction: float = 0.16
    num_linear_batches: int = 80
    num_synthetic_passages: int = 600
    num_silent_passages: int = 150
    num_filmed_versions: int = 6
    num_projection_passages: int = 60
    num_detector_recordings: int = 300
    num_utterances: int = 1200
    held_vowel_fraction: float = 0.2
    peak_learning_rate: float = 3e-3
    min_correlation: float = 0.15
    seed: int = 0

    def with_steps(self, steps: int) -> SpeechTrainConfig:
        """Return settings for another number of steps, with the other counts in proportion.

        Example:
            >>> SpeechTrainConfig().with_steps(70).scout_steps
            40
        """
        return replace(
            self,
            steps=steps,
            scout_steps=max(1, steps * self.scout_steps // self.steps),
            num_linear_batches=max(1, steps * self.num_linear_batches // self.steps),
            # Nor passages whose windows they would hardly draw.
            num_synthetic_passages=min(self.num_synthetic_passages, steps * self.batch_size),
            num_silent_passages=min(self.num_silent_passages, steps * self.batch_size),
            num_projection_passages=min(self.num_projection_passages, steps * self.batch_size),
            num_detector_recordings=max(2, steps * self.num_detector_recordings // self.steps),
            # Short trainings need not synthesize sentences that they would never draw.
            num_utterances=min(self.num_utterances, steps * self.batch_size),
        )
