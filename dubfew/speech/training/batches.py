"""Batches of training windows, cut from passages of synthetic, filmed and silent recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import AudioEncoder
from dubfew.speech.network import FeatureProjection
from dubfew.speech.training.config import SpeechTrainConfig
from dubfew.speech.training.examples import (
    MAX_PASSAGE_ROWS,
    WINDOW_ROWS,
    LabeledRecording,
    TrainingPassage,
    sample_passage,
    silent_recording,
)

# Synthetic sentences that one passage joins: two with a pause between, so that the network sees
# mouths come to rest and start again.
_SENTENCES_PER_PASSAGE = 2


@dataclass(frozen=True)
class SpeechBatch:
    """Training windows, stacked.

    Attributes:
        features: features that the networks see. [B, T, width]
        target: displacements of the mouth points. [B, R, P, 3]
        voice_activity: 1 where there is speech, else 0. [B, R]
        is_filmed: True for windows of filmed speakers. [B]
    """

    features: Tensor
    target: Tensor
    voice_activity: Tensor
    is_filmed: Tensor


@dataclass
class PassageEncoder:
    """Makes training passages: draws them from recordings, augments and encodes them.

    A passage is encoded once and serves many windows, because an encoder costs as much as a
    training step or more.

    Attributes:
        encoder: computes the features.
        rng: source of randomness.
        projection: reduces features that are wide; None leaves them as they are.
    """

    encoder: AudioEncoder
    rng: np.random.Generator
    projection: FeatureProjection | None = field(default=None)

    def encode_synthetic(
        self, recordings: Sequence[LabeledRecording], count: int
    ) -> list[TrainingPassage]:
        """Encode passages of random synthetic sentences with pauses between.

        Args:
            recordings: sentences to draw from, with repetition.
            count: number of passages.
        """
        return [
            self._encode(
                [
                    recordings[self.rng.integers(len(recordings))]
                    for _ in range(_SENTENCES_PER_PASSAGE)
                ]
            )
            for _ in range(count)
        ]

    def encode_filmed(
        self, recordings: Sequence[LabeledRecording], versions: int
    ) -> list[TrainingPassage]:
        """Encode every filmed recording in several versions.

        A recording that is longer than a passage gets so many more versions.

        Args:
            recordings: filmed recordings.
            versions: passages of each that is no longer than one passage.
        """
        return [
            self._encode([recording])
            for recording in recordings
            for _ in range(versions * -(-len(recording.voice_activity) // MAX_PASSAGE_ROWS))
        ]

    def encode_silent(self, count: int) -> list[TrainingPassage]:
        """Encode passages without speech."""
        return [self._encode([silent_recording(self.rng)]) for _ in range(count)]

    def _encode(self, recordings: Sequence[LabeledRecording]) -> TrainingPassage:
        """Draw, augment and encode one passage."""
        passage = sample_passage(recordings, self.rng, len(MOUTH_POINTS), self.encoder)
        if self.projection is None:
            return passage
        projected = self.projection(torch.from_numpy(passage.features)).numpy()
        return TrainingPassage(projected, passage.displacement, passage.voice_activity)


@dataclass(frozen=True)
class PassagePool:
    """All passages of a training.

    Attributes:
        synthetic: passages of synthetic speech, at least one.
        silent: passages without speech, at least one.
        filmed: passages of filmed speakers, drawn in proportion to their length; may be empty.
    """

    synthetic: Sequence[TrainingPassage]
    silent: Sequence[TrainingPassage]
    filmed: Sequence[TrainingPassage] = ()

    def sample_batch(
        self, config: SpeechTrainConfig, rng: np.random.Generator, filmed_fraction: float
    ) -> SpeechBatch:
        """Draw a batch of random windows.

        Args:
            config: gives the batch size and the fraction of windows without speech.
            rng: source of randomness.
            filmed_fraction: fraction of windows from ``filmed``, 0 to 1; without any, they are
                synthetic.
        """
        lengths = np.array([len(passage) for passage in self.filmed], np.float64)
        windows, is_filmed = [], []
        for _ in range(config.batch_size):
            # One draw decides the source: film, silence, or synthetic speech.
            draw = rng.random()
            from_film = draw < filmed_fraction and len(self.filmed) > 0
            if from_film:
                passage = self.filmed[rng.choice(len(self.filmed), p=lengths / lengths.sum())]
            else:
                source = self.silent if draw > 1 - config.silent_fraction else self.synthetic
                passage = source[rng.integers(len(source))]
            start = int(rng.integers(0, len(passage) - WINDOW_ROWS + 1))
            windows.append(passage.cut_window(start))
            is_filmed.append(from_film)
        return SpeechBatch(
            torch.from_numpy(np.stack([window.features for window in windows])),
            torch.from_numpy(np.stack([window.displacement for window in windows])),
            torch.from_numpy(np.stack([window.voice_activity for window in windows])),
            torch.tensor(is_filmed),
        )
