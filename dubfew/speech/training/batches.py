"""Batches of training windows, cut from passages of synthetic, filmed and silent recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from dubfew.data.array_cache import ArrayCache, StoredArrays
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import AudioEncoder
from dubfew.speech.network import FeatureProjection
from dubfew.speech.training.config import RandomStream, SpeechTrainConfig
from dubfew.speech.training.examples import (
    MAX_PASSAGE_ROWS,
    WINDOW_ROWS,
    EncodedPassage,
    LabeledRecording,
    Recording,
    StoredRecording,
    TrainingPassage,
    encode_passage,
    label_passage,
    silent_recording,
)
from dubfew.utils.arrays import FloatArray

if TYPE_CHECKING:
    from accelerate import Accelerator

Place = TypeVar("Place")
EncodedSource = TypeVar("EncodedSource")

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

    def to(self, device: torch.device) -> SpeechBatch:
        """Move to a device."""
        return SpeechBatch(
            self.features.to(device),
            self.target.to(device),
            self.voice_activity.to(device),
            self.is_filmed.to(device),
        )


class WindowSource(Protocol):
    """A passage that windows are cut from, in memory (`TrainingPassage`) or on disk."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def cut_window(self, start: int) -> TrainingPassage:
        """Cut `WINDOW_ROWS` rows from a row on."""
        ...


@dataclass(frozen=True)
class StoredPassage:
    """A passage of a filmed recording on disk; windows alone are read.

    Attributes:
        arrays: its ``features`` and ``rows``, see `EncodedPassage`.
        recording: recording that it was cut from.
        projection: reduces features that are wide; None leaves them as they are.
    """

    arrays: StoredArrays
    recording: StoredRecording
    projection: FeatureProjection | None

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.arrays.shape("rows")[0]

    def cut_window(self, start: int, num_rows: int = WINDOW_ROWS) -> TrainingPassage:
        """Read rows from a row on."""
        stride = self.arrays.shape("features")[0] // len(self)
        features = self.arrays.read("features", slice(start * stride, (start + num_rows) * stride))
        rows = self.arrays.read("rows", slice(start, start + num_rows))
        targets = self.recording.arrays
        displacement = np.zeros((len(rows), *targets.shape("displacement")[1:]), np.float32)
        activity = np.zeros(len(rows), np.float32)
        inside = rows >= 0
        if inside.any():
            first, last = int(rows[inside].min()), int(rows[inside].max())
            part, chosen = slice(first, last + 1), rows[inside] - first
            displacement[inside] = targets.read("displacement", part)[chosen]
            activity[inside] = targets.read("voice_activity", part)[chosen]
        return TrainingPassage(_project(features, self.projection), displacement, activity)


@dataclass
class PassageEncoder:
    """Makes training passages: draws them from recordings, augments and encodes them.

    A passage is encoded once and serves many windows, because an encoder costs as much as a
    training step or more. It is stored under the hash of its sound, so that a later training
    encodes only what is new. What is drawn for a recording depends on its sound and the seed, not
    on the other recordings.

    Attributes:
        encoder: computes the features.
        seed: seed of all randomness.
        cache: holds what was encoded.
        projection: reduces features that are wide; None leaves them as they are.
        accelerator: shares the encoding among processes, which encode the same passages together;
            None for one process.
    """

    encoder: AudioEncoder
    seed: int
    cache: ArrayCache
    projection: FeatureProjection | None = field(default=None)
    accelerator: Accelerator | None = field(default=None)

    def encode_synthetic(
        self, recordings: Sequence[LabeledRecording], count: int
    ) -> list[TrainingPassage]:
        """Encode passages of random synthetic sentences with pauses between.

        Args:
            recordings: sentences to draw from, with repetition.
            count: number of passages.
        """
        return self._share(partial(self._encode_sentences, recordings), range(count))

    def encode_filmed(
        self, recordings: Sequence[StoredRecording], versions: int
    ) -> list[StoredPassage]:
        """Encode every filmed recording in several versions.

        A recording that is longer than a passage gets so many more versions.

        Args:
            recordings: filmed recordings.
            versions: passages of each that is no longer than one passage.
        """
        places = [
            (recording, number)
            for recording in recordings
            for number in range(versions * -(-recording.num_rows // MAX_PASSAGE_ROWS))
        ]
        return self._share(self._encode_film, places)

    def encode_silent(self, count: int) -> list[TrainingPassage]:
        """Encode passages without speech."""
        return self._share(self._encode_silence, range(count))

    def _share(
        self, encode: Callable[[Place], EncodedSource], places: Sequence[Place]
    ) -> list[EncodedSource]:
        """Encode passages, each in one of the processes; then all read all of them."""
        if self.accelerator is not None and self.accelerator.num_processes > 1:
            for place in places[self.accelerator.process_index :: self.accelerator.num_processes]:
                encode(place)
            self.accelerator.wait_for_everyone()
        return [encode(place) for place in places]

    def _encode_sentences(
        self, recordings: Sequence[LabeledRecording], number: int
    ) -> TrainingPassage:
        """Encode one passage of synthetic sentences."""
        rng = RandomStream.SYNTHETIC_PASSAGE.start(self.seed, number)
        chosen = [recordings[rng.integers(len(recordings))] for _ in range(_SENTENCES_PER_PASSAGE)]
        key = {"sentences": [each.sound_hash for each in chosen], "number": number}
        return self._load(self._fetch(key, chosen, rng), chosen)

    def _encode_film(self, place: tuple[StoredRecording, int]) -> StoredPassage:
        """Encode one passage of a filmed recording: a version or a further one of its length."""
        recording, number = place
        # Words of 32 bits; more of the hash would make nothing more random.
        words = (int(recording.sound_hash[i : i + 8], 16) for i in (0, 8))
        rng = RandomStream.FILMED_PASSAGE.start(self.seed, number, *words)
        key = {"film": recording.sound_hash, "number": number}
        return StoredPassage(self._fetch(key, [recording], rng), recording, self.projection)

    def _encode_silence(self, number: int) -> TrainingPassage:
        """Encode one passage without speech."""
        rng = RandomStream.SILENT_PASSAGE.start(self.seed, number)
        recording = silent_recording(rng)
        key = {"silence": recording.sound_hash, "number": number}
        return self._load(self._fetch(key, [recording], rng), [recording])

    def _fetch(
        self, key: dict[str, Any], recordings: Sequence[Recording], rng: np.random.Generator
    ) -> StoredArrays:
        """Encode a passage, unless it is stored."""

        def compute() -> dict[str, Any]:
            passage = encode_passage(recordings, rng, self.encoder)
            return {"features": passage.features, "rows": passage.rows}

        return self.cache.fetch(
            {**key, "seed": self.seed, "encoder": self.encoder.metadata()}, compute
        )

    def _load(
        self, arrays: StoredArrays, recordings: Sequence[LabeledRecording]
    ) -> TrainingPassage:
        """Read a passage into memory."""
        features = _project(arrays.read("features"), self.projection)
        return label_passage(
            EncodedPassage(features, arrays.read("rows")), recordings, len(MOUTH_POINTS)
        )


def _project(features: FloatArray, projection: FeatureProjection | None) -> FloatArray:
    """Reduce features that are wide."""
    return features if projection is None else projection(torch.from_numpy(features)).numpy()


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
    filmed: Sequence[WindowSource] = ()

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
        windows: list[TrainingPassage] = []
        is_filmed = []
        for _ in range(config.batch_size):
            # One draw decides the source: film, silence, or synthetic speech.
            draw = rng.random()
            from_film = draw < filmed_fraction and len(self.filmed) > 0
            if from_film:
                passage: WindowSource = self.filmed[
                    rng.choice(len(self.filmed), p=lengths / lengths.sum())
                ]
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
