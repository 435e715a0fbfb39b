"""SpeechModel: audio to MouthMotion at any moments."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d

from dubfew.errors import ArtefactError
from dubfew.media.mel import estimate_channel, frame_levels_db, num_mel_frames, resample_audio
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import (
    MEL_FRAMES_PER_ROW,
    ROW_SECONDS,
    AudioEncoder,
    EncodedAudio,
    load_encoder,
    load_stored_encoder,
)
from dubfew.speech.model_info import (
    SPEECH_FORMAT_VERSION,
    read_speech_header,
    shipped_speech_model_path,
)
from dubfew.speech.network import SpeechEnsemble, SpeechNetworkConfig
from dubfew.utils.arrays import FloatArray
from dubfew.utils.files import write_atomic

# Filmed mouths are ahead of the sound that they make: lips part before a vowel begins. The median
# best lag of the training clips; training itself works with moments as annotated.
MOUTH_LEAD_SECONDS = 0.04
# Rows per pass: 20 s, small enough for constant memory, large enough that overlap costs little.
CHUNK_ROWS = 1000
# Silence around the recording, so that the network never sees an edge it was not trained on.
SILENCE_MARGIN_ROWS = 50
# Quieter than this under the loud frames counts as a pause whatever the network thinks, and
# above QUIET_DB + RAMP_DB the network alone decides.
PAUSE_LEVEL_DB, PAUSE_RAMP_DB = -42.0, 10.0
# In a recording without loud frames to compare with, digital silence and the dither of 16 bits
# (-92 dB) are a pause all the same.
DIGITAL_SILENCE_DB = -80.0
# A pause shorter than this is a plosive's closure: the network's business, s.
MIN_PAUSE_SECONDS = 0.12
_CLICK_FILTER_ROWS = 3
# People open their mouths and breathe in before they speak: so early rest may be left, s.
ANTICIPATION_SECONDS = 0.3
# Half of the time that the mouth takes from speech to rest, s.
_GATE_SIGMA_SECONDS = 0.03


class AudioLike(Protocol):
    """What ``predict`` needs of an audio track (``dubfew.media.Audio`` is one)."""

    @property
    def samples(self) -> NDArray[np.float32]: ...

    @property
    def rate(self) -> int: ...


@dataclasses.dataclass(frozen=True)
class MotionSpace:
    """The low-dimensional space that predicted motion lives in.

    Attributes:
        basis: displacement per unit coefficient, orthonormal rows. [K, P, 3]
        coefficient_rms: root mean square of each coefficient in speech as the model predicts it.
            [K]
        aperture_p95: 95th percentile of the lips' gap in that speech.
    """

    basis: FloatArray
    coefficient_rms: FloatArray
    aperture_p95: float

    def project(self, motion: MouthMotion) -> FloatArray:
        """Coefficients of a motion, by least squares. [N, K]"""
        flat = self.basis.reshape(len(self.basis), -1)
        return motion.displacement.reshape(len(motion), -1) @ flat.T

    def reconstruct(self, coefficients: NDArray, times: NDArray[np.float64]) -> MouthMotion:
        """The motion of coefficients [N, K]."""
        displacement = np.tensordot(coefficients, self.basis, axes=1).astype(np.float32)
        return MouthMotion(displacement, np.asarray(times, np.float64))


class SpeechModel:
    """Predicts what a mouth does from what is heard."""

    def __init__(
        self,
        network: SpeechEnsemble,
        space: MotionSpace,
        encoder: AudioEncoder | None = None,
        training_info: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            network: trained.
            space: that its coefficients live in.
            encoder: that the network was trained with; None is mel bands.
            training_info: how it was trained, in JSON's types; kept with the weights.
        """
        self.network = network.eval()
        self.space = space
        self.encoder = encoder or load_encoder()
        self.training_info = dict(training_info or {})

    def predict(
        self, audio: AudioLike, times: NDArray[np.float64], *, lead: float = MOUTH_LEAD_SECONDS
    ) -> MouthMotion:
        """Mouth motion at the given moments of a recording.

        Works at 50 Hz inside and interpolates, so any frame rate, also a variable one, is
        served alike. The network sees 20 s at a time, whatever the recording's length.

        Args:
            audio: mono samples of any rate; NaN counts as silence, no samples as well.
            times: moments on the recording's clock, s; outside it the mouth rests. [N]
            lead: how far the mouth is ahead of the sound, s.

        Returns:
            Displacements from the closed rest pose, one row per moment.

        Raises:
            MediaError: the samples are not mono.
        """
        times = np.asarray(times, np.float64)
        coefficients = self.predict_coefficients(audio)
        moments = np.arange(len(coefficients)) * ROW_SECONDS
        at_times = np.stack(
            [
                np.interp(times + lead, moments, column, left=0.0, right=0.0)
                for column in coefficients.T
            ],
            axis=1,
        )
        return self.space.reconstruct(at_times, times)

    def predict_coefficients(self, audio: AudioLike, *, chunk_rows: int = CHUNK_ROWS) -> FloatArray:
        """Gated coefficients at 50 Hz, from 0 s on. [R, K]"""
        samples = resample_audio(audio.samples, audio.rate)
        rows = (
            num_mel_frames(len(samples)) + MEL_FRAMES_PER_ROW - 1
        ) // MEL_FRAMES_PER_ROW + SILENCE_MARGIN_ROWS
        channel = estimate_channel(samples)
        hearing = self.encoder.encode(samples, channel)
        raw = np.empty((rows, self.network.config.components), np.float32)
        voice = np.empty(rows, np.float32)
        for start in range(0, rows, chunk_rows):
            stop = min(rows, start + chunk_rows)
            raw[start:stop], voice[start:stop] = self._predict_rows(hearing, start, stop)
        return raw * self._compute_speech_gate(samples, channel.level_db, voice)[:, None]

    def _predict_rows(
        self, encoded: EncodedAudio, start: int, stop: int
    ) -> tuple[FloatArray, FloatArray]:
        """Coefficients and voice logit of rows [start, stop), exact whatever the chunk."""
        reach, stride = self.network.config.context_rows, self.encoder.stride
        frames = encoded.frames((start - reach) * stride, (stop + reach) * stride)
        with torch.inference_mode():
            raw, voice = self.network(torch.from_numpy(frames)[None])
        return raw[0, reach:-reach].numpy(), voice[0, reach:-reach].numpy()

    def _compute_speech_gate(
        self, samples: FloatArray, loud_level_db: float, voice_logits: FloatArray
    ) -> FloatArray:
        """How far the mouth may leave rest, 0 to 1, at 50 Hz. [R]

        The network's own judgement, times an energy gate that does not depend on training.
        """
        rows = len(voice_logits)
        heard = 1 / (1 + np.exp(-voice_logits))
        loudness = np.full(rows, -100.0, np.float32)
        levels = frame_levels_db(samples)[::MEL_FRAMES_PER_ROW][:rows]
        loudness[: len(levels)] = levels
        quiet = max(loud_level_db + PAUSE_LEVEL_DB, DIGITAL_SILENCE_DB)
        loud = np.clip((loudness - quiet) / PAUSE_RAMP_DB + 1, 0.0, 1.0)
        # Gaps shorter than a pause are filled (dilate, erode); clicks, shorter than any vowel,
        # are dropped (erode, dilate).
        size = int(MIN_PAUSE_SECONDS / ROW_SECONDS) // 2 * 2 + 1
        loud = minimum_filter1d(maximum_filter1d(loud, size), size, mode="constant")
        loud = maximum_filter1d(
            minimum_filter1d(loud, _CLICK_FILTER_ROWS, mode="constant"), _CLICK_FILTER_ROWS
        )
        allowed = np.minimum(heard, loud)
        size = int(ANTICIPATION_SECONDS / ROW_SECONDS) // 2 * 2 + 1
        allowed = maximum_filter1d(allowed, size, origin=-(size // 2), mode="constant")
        return gaussian_filter1d(allowed, _GATE_SIGMA_SECONDS / ROW_SECONDS).astype(np.float32)

    def to_bytes(self) -> bytes:
        """Serialise as safetensors with a JSON header."""
        tensors = {
            f"network.{name}": tensor.numpy()
            for name, tensor in self.network.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
        tensors["space.basis"] = self.space.basis
        tensors["space.typical"] = self.space.coefficient_rms
        header = {
            "format_version": SPEECH_FORMAT_VERSION,
            "network": dataclasses.asdict(self.network.config),
            "aperture": self.space.aperture_p95,
            "points": MOUTH_POINTS,
            "encoder": self.encoder.metadata(),
            "training": self.training_info,
        }
        return save(
            {name: np.ascontiguousarray(array) for name, array in tensors.items()},
            metadata={"dubfew.speech": json.dumps(header)},
        )

    def save(self, path: Path | str) -> None:
        """Write to ``path``, atomically."""
        write_atomic(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: Path | str, *, encoder_name: str | None = None) -> SpeechModel:
        """Read what ``save`` wrote.

        Args:
            path: of the model.
            encoder_name: where its encoder is now, if it is not where it was in training.

        Raises:
            ArtefactError: not a speech model, damaged, written by a newer dubfew, or its encoder
                is gone.
            MissingDependencyError: its encoder needs transformers, which is not installed.
        """
        header = read_speech_header(Path(path))
        try:
            tensors = load_file(str(path))
        except (OSError, SafetensorError) as error:
            raise ArtefactError(f"{path} is damaged: copy it again") from error
        try:
            if tuple(header["points"]) != MOUTH_POINTS:
                raise ArtefactError(f"{path} was trained for other mouth points: train it anew")
            sizes = header["network"] | {"dilations": tuple(header["network"]["dilations"])}
            config = SpeechNetworkConfig(**sizes)
            network = SpeechEnsemble(config, torch.zeros(config.components))
            state = network.state_dict()
            stored = {
                name.removeprefix("network."): torch.from_numpy(array)
                for name, array in tensors.items()
                if name.startswith("network.")
            }
            counters = {n: state[n] for n in state if n.endswith("num_batches_tracked")}
            network.load_state_dict(stored | counters)
            space = MotionSpace(
                tensors["space.basis"], tensors["space.typical"], float(header["aperture"])
            )
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtefactError(f"{path} lacks weights that its header promises") from error
        hears = load_stored_encoder(header["encoder"], encoder_name)
        return cls(network, space, hears, header.get("training"))

    @staticmethod
    def load_default() -> SpeechModel:
        """The model that ships with dubfew (read once per process)."""
        return _load_shipped_model()


@lru_cache(maxsize=1)
def _load_shipped_model() -> SpeechModel:
    return SpeechModel.load(shipped_speech_model_path())
