"""The teacher's features: Whisper's residual stream after a block, without the place in the window.

Whisper adds positions to its input, and they show in all features: the same word at two places of
the window differs by a third of the features' variance. A student that sees a second of sound
cannot know the place. So every utterance is encoded at several places, the mean that belongs to
each place is taken out, and what is left is averaged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from dubfew.media.mel import estimate_channel, level_gain
from dubfew.speech.encoders import MEL_FRAMES_PER_ROW, ROW_SAMPLES
from dubfew.speech.encoders._whisper_mel import whisper_log_mel
from dubfew.speech.encoders._whisper_network import (
    MEL_CONTEXT_FRAMES,
    WhisperBlocks,
    WhisperSizes,
)
from dubfew.speech.encoders._whisper_weights import find_whisper_weights, read_whisper_weights

# Places at which an utterance is encoded. The features of two places differ by a fifth of their
# variance after the mean is taken out; the mean of two halves that.
NUM_PLACES = 2
# Steps between the places at which the mean of each place is measured, and the width of its
# smoothing, rows.
_PLACE_STEP_ROWS, _PLACE_SIGMA_ROWS = 150, 6.0


class Teacher:
    """Whisper's first blocks, started anywhere in the window.

    Attributes:
        feature_dim: numbers per row.
        max_rows: rows of the longest utterance.
        place_mean: mean of the features that belongs to each place. [max_rows, feature_dim]
    """

    def __init__(self, location: str, layer: int) -> None:
        """Load Whisper.

        Args:
            location: file or folder of weights; "" is the installed package.
            layer: number of blocks.

        Raises:
            ArtefactError: There are no such weights.
            MissingDependencyError: The package is not installed.
        """
        weights = read_whisper_weights(find_whisper_weights(location), layer)
        self._positions = weights.tensors["positions"]
        self.max_rows, self.feature_dim = self._positions.shape
        self._num_bands = weights.tensors["conv1.weight"].shape[1]
        sizes = WhisperSizes(
            self._num_bands, self.feature_dim, weights.num_heads, layer, self.max_rows
        )
        self._network = WhisperBlocks(sizes).eval()
        self._network.load_state_dict(weights.tensors)
        self.place_mean = np.zeros((self.max_rows, self.feature_dim), np.float32)

    def encode_at(self, samples: NDArray[np.float32], place: int) -> NDArray[np.float32]:
        """Encode an utterance as if it began at a row of the window. [n // 320, feature_dim]"""
        num_rows = len(samples) // ROW_SAMPLES
        mel = whisper_log_mel(
            samples,
            -MEL_CONTEXT_FRAMES,
            (num_rows - 1) * MEL_FRAMES_PER_ROW + MEL_CONTEXT_FRAMES + 1,
            gain=level_gain(estimate_channel(samples)),
            num_bands=self._num_bands,
        )
        self._network.positions = self._positions[place:]
        with torch.inference_mode():
            return self._network(torch.from_numpy(mel)[None])[0].numpy()

    def measure_place_mean(
        self, utterances: Sequence[NDArray[np.float32]], rng: np.random.Generator
    ) -> None:
        """Measure `place_mean` from utterances that are encoded at many places each.

        Args:
            utterances: mono samples at 16 kHz; some dozens. [n] each
            rng: source of randomness.
        """
        total = np.zeros((self.max_rows, self.feature_dim))
        count = np.zeros(self.max_rows)
        for samples in utterances:
            num_rows = len(samples) // ROW_SAMPLES
            first = int(rng.integers(0, _PLACE_STEP_ROWS // 2))
            places = range(first, self.max_rows - num_rows, _PLACE_STEP_ROWS)
            found = [self.encode_at(samples, place) for place in places]
            content = np.mean(found, axis=0)
            for place, rows in zip(places, found, strict=True):
                total[place : place + num_rows] += rows - content
                count[place : place + num_rows] += 1
        weight = gaussian_filter1d(count, _PLACE_SIGMA_ROWS)
        smooth = gaussian_filter1d(total, _PLACE_SIGMA_ROWS, axis=0)
        self.place_mean = (smooth / np.maximum(weight, 0.5)[:, None]).astype(np.float32)

    def encode(self, samples: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Encode an utterance without its place.

        Args:
            samples: mono at 16 kHz, shorter than the window. [n]
            rng: source of randomness.

        Returns:
            Features. [n // 320, feature_dim]
        """
        num_rows = len(samples) // ROW_SAMPLES
        places = rng.integers(0, self.max_rows - num_rows, NUM_PLACES)
        found = [
            self.encode_at(samples, int(place)) - self.place_mean[place : place + num_rows]
            for place in places
        ]
        return np.mean(found, axis=0, dtype=np.float32)
