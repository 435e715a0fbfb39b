"""The speech model: from audio to `MouthMotion` at any times."""

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
from dubfew.speech.imitator import ImitatorConfig, ImitatorNetwork
from dubfew.speech.model_info import (
    SPEECH_FORMAT_VERSION,
    read_speech_header,
    shipped_speech_model_path,
)
from dubfew.speech.network import SpeechEnsemble, SpeechNetworkConfig
from dubfew.speech.visemes import MOUTH_LEAD_SECONDS
from dubfew.utils.arrays import FloatArray
from dubfew.utils.files import write_atomic
from dubfew.utils.growable_array import map_row_blocks

# Rows per pass of the network: 20 s, few enough for constant memory, enough that the overlap costs
# little.
CHUNK_ROWS = 1000
# Rows of silence after the recording (1 s), in which the mouth comes to rest.
SILENCE_MARGIN_ROWS = 50
# Level relative to the loud frames below which a row counts as a pause whatever the network
# predicts, and width of the ramp below it, dB. Above PAUSE_LEVEL_DB the network alone decides.
PAUSE_LEVEL_DB, PAUSE_RAMP_DB = -42.0, 10.0
# Level below which a row counts as a pause in any recording, even in one without loud frames to
# compare with, dB full scale. The dither of 16-bit files lies at -92 dB.
DIGITAL_SILENCE_DB = -80.0
# Quiet moments shorter than this are closures of plosives and left to the network, s.
MIN_PAUSE_SECONDS = 0.12
# Loud moments shorter than this many rows (60 ms) are clicks: no vowel is so short.
_CLICK_FILTER_ROWS = 3
# Sounds that the detector takes for music count as such from this length on, s: a cry or a held
# vowel alone resembles an instrument, and music seldom ends so soon.
MIN_MUSIC_SECONDS = 2.5
# Time before speech at which the mouth may leave rest, s: people open their mouths and breathe in
# before they speak.
ANTICIPATION_SECONDS = 0.3
# Standard deviation of the filter that smooths the gate, s: about half of the time that the mouth
# takes from speech to rest.
_GATE_SIGMA_SECONDS = 0.03
# Level of rows after the end of the recording, dB full scale.
_SILENCE_LEVEL_DB = -100.0


class AudioLike(Protocol):
    """Mono audio, as `SpeechModel.predict` takes it; `dubfew.media.Audio` has these members."""

    @property
    def samples(self) -> NDArray[np.float32]:
        """Return mono samples, full scale 1. [n]"""
        ...

    @property
    def rate(self) -> int:
        """Return the sample rate, Hz."""
        ...


@dataclasses.dataclass(frozen=True)
class MotionSpace:
    """The low-dimensional space of predicted motion.

    Attributes:
        basis: displacement per unit of each coefficient, orthonormal rows. [K, P, 3]
        coefficient_rms: root mean square of each coefficient in speech as the model predicts it.
            [K]
        aperture_p95: 95th percentile of the lip gap in that speech, inter-ocular distances.
    """

    basis: FloatArray
    coefficient_rms: FloatArray
    aperture_p95: float

    def project(self, motion: MouthMotion) -> FloatArray:
        """Compute the coefficients of a motion, by least squares. [N, K]"""
        flat = self.basis.reshape(len(self.basis), -1)
        return motion.displacement.reshape(len(motion), -1) @ flat.T

    def reconstruct(self, coefficients: NDArray, times: NDArray[np.float64]) -> MouthMotion:
        """Compute the motion of coefficients.

        Args:
            coefficients: rows in this space. [N, K]
            times: time of each row, s. [N]
        """
        displacement = map_row_blocks(
            lambda rows: np.tensordot(rows, self.basis, axes=1).astype(np.float32), coefficients
        )
        return MouthMotion(displacement, np.asarray(times, np.float64))


class SpeechModel:
    """Predicts mouth motion from audio."""

    def __init__(
        self,
        network: SpeechEnsemble | ImitatorNetwork,
        space: MotionSpace,
        encoder: AudioEncoder | None = None,
        training_info: Mapping[str, Any] | None = None,
        lead: float = 0.0,
    ) -> None:
        """Combine a trained network with its space and encoder.

        Args:
            network: trained networks.
            space: the space of the network's coefficients.
            encoder: audio encoder that the network was trained with; None is the default.
            training_info: facts about the training in JSON's types, stored with the weights.
            lead: time by which the mouth is ahead of the network's rows, s. Networks whose targets
                were timed by the sound need one; those of today learn it.
        """
        self.network = network.eval()
        self.space = space
        self.encoder = encoder or load_encoder()
        self.training_info = dict(training_info or {})
        self.lead = lead

    def predict(
        self, audio: AudioLike, times: NDArray[np.float64], *, lead: float | None = None
    ) -> MouthMotion:
        """Predict mouth motion at the given times of a recording.

        The network works at 50 Hz and its output is interpolated, so any frame rate, even a
        variable one, is served alike. The network sees 20 s at a time, whatever the recording's
        length.

        Args:
            audio: mono samples of any rate; NaN counts as silence, and so does an empty recording.
            times: times on the recording's clock, s; outside of it the mouth rests. [N]
            lead: time by which the mouth is ahead of the network's rows, s; default: the model's.

        Returns:
            Displacements from the closed rest pose, one row per time.

        Raises:
            MediaError: The samples are not mono.
        """
        times = np.asarray(times, np.float64)
        lead = self.lead if lead is None else lead
        # Zero outside of the recording: the mouth rests there.
        coefficients = self.predict_coefficients(audio)
        row_times = np.arange(len(coefficients)) * ROW_SECONDS
        at_times = np.stack(
            [
                np.interp(times + lead, row_times, column, left=0.0, right=0.0)
                for column in coefficients.T
            ],
            axis=1,
        )
        return self.space.reconstruct(at_times, times)

    def predict_coefficients(self, audio: AudioLike, *, chunk_rows: int = CHUNK_ROWS) -> FloatArray:
        """Predict gated coefficients at 50 Hz, from 0 s on.

        Args:
            audio: mono samples of any rate.
            chunk_rows: rows per pass of the network; the result does not depend on it.

        Returns:
            Coefficients in ``space``, 0 where the mouth rests. [R, K]

        Raises:
            MediaError: The samples are not mono.
        """
        samples = resample_audio(audio.samples, audio.rate)
        # Rows that cover the recording, rounded up, and some silence.
        rows = (
            num_mel_frames(len(samples)) + MEL_FRAMES_PER_ROW - 1
        ) // MEL_FRAMES_PER_ROW + SILENCE_MARGIN_ROWS
        channel = estimate_channel(samples)
        encoded = self.encoder.encode(samples, channel)
        raw = np.empty((rows, self.network.config.components), np.float32)
        voice_logits, detected_logits = np.empty(rows, np.float32), np.empty(rows, np.float32)
        for start in range(0, rows, chunk_rows):
            stop = min(rows, start + chunk_rows)
            chunk = slice(start, stop)
            raw[chunk], voice_logits[chunk], detected_logits[chunk] = self._predict_rows(
                encoded, start, stop
            )
        gate = self._compute_speech_gate(samples, channel.level_db, voice_logits, detected_logits)
        return raw * gate[:, None]

    def _predict_rows(
        self, encoded: EncodedAudio, start: int, stop: int
    ) -> tuple[FloatArray, FloatArray, FloatArray | float]:
        """Predict coefficients [R, K], voice and detected logits [R] of rows [start, stop)."""
        # With the network's context around them, rows do not depend on where chunks begin.
        context, stride = self.network.config.context_rows, self.encoder.stride
        frames = encoded.frames((start - context) * stride, (stop + context) * stride)
        with torch.inference_mode():
            found = self.network(torch.from_numpy(frames)[None])
        rows = slice(context, -context)
        return (
            found.coefficients[0, rows].numpy(),
            found.voice_logits[0, rows].numpy(),
            np.inf if found.detected_logits is None else found.detected_logits[0, rows].numpy(),
        )

    def _compute_speech_gate(
        self,
        samples: FloatArray,
        loud_level_db: float,
        voice_logits: FloatArray,
        detected_logits: FloatArray,
    ) -> FloatArray:
        """Compute how far the mouth may leave rest at each row, 0 to 1. [R]

        This is the smallest of the networks' own voice activity, the detector's where it hears no
        speech for long, and an energy gate that does not depend on training, opened early and
        smoothed.
        """
        rows = len(voice_logits)
        voice_probability = 1 / (1 + np.exp(-voice_logits))
        detected_probability = 1 / (1 + np.exp(-np.clip(detected_logits, -50, 50)))
        row_levels = np.full(rows, _SILENCE_LEVEL_DB, np.float32)
        levels = frame_levels_db(samples)[::MEL_FRAMES_PER_ROW][:rows]
        row_levels[: len(levels)] = levels
        pause_level = max(loud_level_db + PAUSE_LEVEL_DB, DIGITAL_SILENCE_DB)
        loud = np.clip((row_levels - pause_level) / PAUSE_RAMP_DB + 1, 0.0, 1.0)
        # Fill gaps shorter than a pause (dilate, erode), then drop clicks (erode, dilate).
        size = int(MIN_PAUSE_SECONDS / ROW_SECONDS) // 2 * 2 + 1
        loud = minimum_filter1d(maximum_filter1d(loud, size), size, mode="constant")
        loud = maximum_filter1d(
            minimum_filter1d(loud, _CLICK_FILTER_ROWS, mode="constant"), _CLICK_FILTER_ROWS
        )
        # Quiet rows end a sound: only loud rows in a row make music.
        size = int(MIN_MUSIC_SECONDS / ROW_SECONDS) // 2 * 2 + 1
        detected = np.where(loud > 0, detected_probability, 1.0)
        detected = minimum_filter1d(maximum_filter1d(detected, size), size)
        allowed = np.minimum(np.minimum(voice_probability, detected), loud)
        # Open early: the origin makes the maximum look ahead only.
        size = int(ANTICIPATION_SECONDS / ROW_SECONDS) // 2 * 2 + 1
        allowed = maximum_filter1d(allowed, size, origin=-(size // 2), mode="constant")
        return gaussian_filter1d(allowed, _GATE_SIGMA_SECONDS / ROW_SECONDS).astype(np.float32)

    def to_bytes(self) -> bytes:
        """Serialize as safetensors with a JSON header."""
        tensors = {
            f"network.{name}": tensor.numpy()
            for name, tensor in self.network.state_dict().items()
            if not name.endswith("num_batches_tracked")  # counters of training, of no effect
        }
        tensors["space.basis"] = self.space.basis
        tensors["space.typical"] = self.space.coefficient_rms
        header = {
            "format_version": SPEECH_FORMAT_VERSION,
            "network": _describe_network(self.network),
            "aperture": self.space.aperture_p95,
            "points": MOUTH_POINTS,
            "encoder": self.encoder.metadata(),
            "lead": self.lead,
            "training": self.training_info,
        }
        return save(
            {name: np.ascontiguousarray(array) for name, array in tensors.items()},
            metadata={"dubfew.speech": json.dumps(header)},
        )

    def save(self, path: Path | str) -> None:
        """Write the model to a file, atomically."""
        write_atomic(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: Path | str, *, encoder_name: str | None = None) -> SpeechModel:
        """Read a file that `save` wrote.

        Args:
            path: file of the model.
            encoder_name: present folder or name of its encoder if that has moved since the
                training.

        Raises:
            ArtefactError: The file is not a speech model, is damaged or was written by a newer
                dubfew, or the model's encoder is gone.
            MissingDependencyError: The encoder needs a package that is not installed.
        """
        # The header is checked before the weights are read.
        header = read_speech_header(Path(path))
        try:
            tensors = load_file(str(path))
        except (OSError, SafetensorError) as error:
            raise ArtefactError(f"{path} is damaged: copy it again") from error
        try:
            if tuple(header["points"]) != MOUTH_POINTS:
                raise ArtefactError(f"{path} was trained for other mouth points: train it anew")
            network = _make_stored_network(header["network"])
            # Counters of training are not stored; the new network's own are used.
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
        encoder = load_stored_encoder(header["encoder"], encoder_name)
        # Headers without a lead are older than networks that learn it.
        lead = float(header.get("lead", MOUTH_LEAD_SECONDS))
        return cls(network, space, encoder, header.get("training"), lead)

    @staticmethod
    def load_default() -> SpeechModel:
        """Load the model that ships with dubfew; it is read once per process."""
        return _load_shipped_model()


def _describe_network(network: SpeechEnsemble | ImitatorNetwork) -> dict[str, Any]:
    """Describe a network in JSON's types, so that `_make_stored_network` makes it again."""
    sizes = dataclasses.asdict(network.config)
    return {"kind": "imitator", **sizes} if isinstance(network, ImitatorNetwork) else sizes


def _make_stored_network(sizes: Mapping[str, Any]) -> SpeechEnsemble | ImitatorNetwork:
    """Make the network that a model's header describes, without its weights."""
    # Ensembles name no kind.
    if sizes.get("kind") == "imitator":
        kept = {name: value for name, value in sizes.items() if name != "kind"}
        return ImitatorNetwork(ImitatorConfig(**kept))
    config = SpeechNetworkConfig(**{**sizes, "dilations": tuple(sizes["dilations"])})
    # The stored weights include the gap per coefficient, so any value does here.
    return SpeechEnsemble(config, torch.zeros(config.components))


@lru_cache(maxsize=1)
def _load_shipped_model() -> SpeechModel:
    return SpeechModel.load(shipped_speech_model_path())
