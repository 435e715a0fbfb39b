"""Pre-trained encoders: wav2vec 2.0, HuBERT and Whisper's encoder, through transformers.

They were trained on far more speech than dubfew's own model, and cost far more than mel bands.
Their last layer, frozen, takes the place of the mel bands.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dubfew.errors import ArtefactError
from dubfew.media.mel import LOUD_LEVEL_DB, SPEECH_SAMPLE_RATE_HZ, RecordingChannel, slice_padded
from dubfew.speech.encoders._base import ROW_SAMPLES, EncodedAudio
from dubfew.utils.arrays import FloatArray
from dubfew.utils.import_utils import import_optional

# Rows of 20 ms per pass of the encoder: 20 s. Self-attention sees everything that it is given and
# its cost grows with the square of it, so long recordings are encoded in windows. 20 s hold any
# context that speech has.
ENCODER_WINDOW_ROWS = 1000
# Rows that neighboring windows share, 2 s, in which one fades into the other. Fewer would make the
# seam steeper, more would encode more sound twice.
ENCODER_OVERLAP_ROWS = 100
# Windows whose features are kept: a row lies in at most two.
_CACHED_WINDOWS = 2
# wav2vec 2.0 and HuBERT expect sound of unit variance. Speech whose loud frames lie at
# LOUD_LEVEL_DB (-20 dB) has a standard deviation of about a tenth.
_UNIT_VARIANCE_GAIN = 10.0


class TransformersEncoder:
    """A frozen encoder from the transformers library, with the members of `AudioEncoder`.

    Attributes:
        name: Hugging Face name, or the absolute path of the encoder's folder.
        feature_dim: numbers per frame, the width of its last layer.
        stride: 1; all of these encoders have a frame every 20 ms.
        is_mel_spectrogram: False.
        window_rows: rows that are encoded at a time.
    """

    stride = 1
    is_mel_spectrogram = False

    def __init__(self, name: str) -> None:
        """Load the encoder's configuration and weights.

        Args:
            name: a folder that ``save_pretrained`` wrote, or a name on the Hugging Face hub.

        Raises:
            ArtefactError: There is no such encoder, or it is of an unsupported kind.
            MissingDependencyError: transformers is not installed.
        """
        transformers = import_optional("transformers")
        self.name = str(Path(name).resolve()) if Path(name).is_dir() else name
        with _mute_transformers(transformers):
            try:
                # The kind is checked before the weights are loaded.
                kind = transformers.AutoConfig.from_pretrained(self.name).model_type
                if kind not in BACKBONE_CLASSES:
                    raise ArtefactError(
                        f"the encoder {name} is a {kind}, expected {', '.join(BACKBONE_CLASSES)}: "
                        "name another"
                    )
                self._backbone = BACKBONE_CLASSES[kind](transformers, self.name)
            except (OSError, ValueError) as error:
                reason = str(error).strip().splitlines()[0]
                raise ArtefactError(
                    f"no encoder {name}: give a folder that transformers' save_pretrained wrote, "
                    f"or a name on the Hugging Face hub ({reason})"
                ) from error
        self.feature_dim = self._backbone.feature_dim
        self.window_rows = self._backbone.window_rows
        self._weights_sha256 = _hash_weights(self._backbone.model)

    def metadata(self) -> dict[str, Any]:
        """Describe the encoder, see `AudioEncoder.metadata`; weights are named by their hash."""
        return {"name": self.name, "width": self.feature_dim, "sha256": self._weights_sha256}

    def encode(self, samples: FloatArray, channel: RecordingChannel) -> EncodedAudio:
        """Prepare a recording, see `AudioEncoder.encode`.

        Args:
            samples: mono at 16 kHz. [n]
            channel: channel of the recording; its level is taken out, its spectral tilt is not.
        """
        return _WindowedAudio(self, samples, 10 ** ((LOUD_LEVEL_DB - channel.level_db) / 20))

    def encode_rows(self, samples: FloatArray, gain: float, start: int, stop: int) -> FloatArray:
        """Encode rows in one pass that sees no other sound.

        Args:
            samples: the whole recording, mono at 16 kHz. [n]
            gain: factor that brings the recording to the usual level.
            start: first row.
            stop: row after the last one.

        Returns:
            Features. [stop - start, feature_dim]
        """
        with torch.inference_mode():
            found = self._backbone.compute_features(samples, gain, start, stop)
        return found[0, : stop - start].numpy()


def make_encoder(name: str) -> TransformersEncoder:
    """Make the entry of `AUDIO_ENCODERS` from a folder or a Hugging Face name."""
    return TransformersEncoder(name)


class _WindowedAudio:
    """Features of one recording, encoded in overlapping windows that fade into each other.

    Window positions depend on the recording's length alone, so that features are the same whatever
    ranges are asked for.
    """

    def __init__(self, encoder: TransformersEncoder, samples: FloatArray, gain: float) -> None:
        self._encoder = encoder
        self._samples = samples
        self._gain = gain
        self._num_rows = -(-len(samples) // ROW_SAMPLES)
        self._window_rows = min(encoder.window_rows, self._num_rows)
        self._overlap_rows = min(ENCODER_OVERLAP_ROWS, self._window_rows // 4)
        # All windows are equally long and evenly spaced; the last one ends with the recording.
        last = self._num_rows - self._window_rows
        count = -(-last // max(1, self._window_rows - self._overlap_rows)) + 1
        self._window_starts = [last * number // max(1, count - 1) for number in range(count)]
        self._window_cache: OrderedDict[int, FloatArray] = OrderedDict()

    def frames(self, start: int, stop: int) -> FloatArray:
        """Compute a range of rows, see `EncodedAudio`; zero outside the recording, like padding."""
        found = np.zeros((max(0, stop - start), self._encoder.feature_dim), np.float32)
        for number, first in enumerate(self._window_starts):
            final = number + 1 == len(self._window_starts)
            # A window counts until its fade into the next one is complete.
            until = (
                self._num_rows if final else self._window_starts[number + 1] + self._overlap_rows
            )
            low, high = max(start, first), min(stop, until)
            if low >= high:
                continue  # the window has none of these rows
            # Weights rise at the window's beginning and fall at its end; those of two neighbors
            # add up to 1.
            weight = np.ones(high - low, np.float32)
            row = np.arange(low, high) + 0.5
            if number:
                weight = np.minimum(weight, (row - first) / self._overlap_rows)
            if not final:
                weight = np.minimum(weight, (until - row) / self._overlap_rows)
            features = self._encode_window(first)[low - first : high - first]
            found[low - start : high - start] += weight[:, None] * features
        return found

    def _encode_window(self, start: int) -> FloatArray:
        """Return the features of the window that begins at a row, from the cache if possible."""
        if start not in self._window_cache:
            rows = self._encoder.encode_rows(
                self._samples, self._gain, start, start + self._window_rows
            )
            self._window_cache[start] = rows
            if len(self._window_cache) > _CACHED_WINDOWS:
                self._window_cache.popitem(last=False)
        return self._window_cache[start]


class _Backbone(Protocol):
    """One family of encoders."""

    model: torch.nn.Module
    feature_dim: int
    window_rows: int

    def compute_features(self, samples: FloatArray, gain: float, start: int, stop: int) -> Tensor:
        """Compute rows [start, stop), perhaps with more after them. [1, T, feature_dim]"""
        ...


class _WaveBackbone:
    """wav2vec 2.0 and HuBERT: convolutions on the waveform, then a transformer."""

    window_rows = ENCODER_WINDOW_ROWS

    def __init__(self, transformers: Any, name: str) -> None:
        self.model = transformers.AutoModel.from_pretrained(name).float().eval()
        config = self.model.config
        self.feature_dim = config.hidden_size
        # Receptive field and step of the whole stack of convolutions, in samples.
        self._receptive_field, hop = 1, 1
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            self._receptive_field += (kernel - 1) * hop
            hop *= stride
        if hop != ROW_SAMPLES:
            raise ArtefactError(
                f"the encoder {name} has a frame every {hop / SPEECH_SAMPLE_RATE_HZ * 1000:g} ms, "
                f"expected {ROW_SAMPLES / SPEECH_SAMPLE_RATE_HZ * 1000:g} ms: name another"
            )

    def compute_features(self, samples: FloatArray, gain: float, start: int, stop: int) -> Tensor:
        # Frame k of the convolutions covers a receptive field from k * hop on. Beginning half of
        # it earlier puts the middle of the field on the row, to half a sample.
        low = start * ROW_SAMPLES - self._receptive_field // 2
        piece = slice_padded(
            samples, low, low + (stop - start - 1) * ROW_SAMPLES + self._receptive_field
        )
        return self.model(torch.from_numpy(piece * np.float32(gain * _UNIT_VARIANCE_GAIN))[None])[0]


class _WhisperBackbone:
    """Whisper's encoder: mel bands of its own, and positions for windows of one length."""

    def __init__(self, transformers: Any, name: str) -> None:
        self.model = transformers.WhisperModel.from_pretrained(name).get_encoder().float().eval()
        config = self.model.config
        self.feature_dim = config.d_model
        self.window_rows = config.max_source_positions
        self._feature_extractor = transformers.WhisperFeatureExtractor(
            feature_size=config.num_mel_bins
        )

    def compute_features(self, samples: FloatArray, gain: float, start: int, stop: int) -> Tensor:
        # Its mel frames are centered on multiples of 10 ms, and every second output of its
        # convolutions on a mel frame, so rows are in place already. Sound that is shorter than
        # the window is followed by silence.
        piece = slice_padded(samples, start * ROW_SAMPLES, stop * ROW_SAMPLES) * np.float32(gain)
        mel = self._feature_extractor(
            piece,
            sampling_rate=SPEECH_SAMPLE_RATE_HZ,
            padding="max_length",
            max_length=self.window_rows * ROW_SAMPLES,
            return_tensors="pt",
        ).input_features
        return self.model(mel)[0]


# Families by ``model_type`` in the encoder's configuration.
BACKBONE_CLASSES: dict[str, Callable[[Any, str], _Backbone]] = {
    "wav2vec2": _WaveBackbone,
    "hubert": _WaveBackbone,
    "whisper": _WhisperBackbone,
}


def _hash_weights(model: torch.nn.Module) -> str:
    """Compute SHA-256 over all weights in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def _mute_transformers(transformers: Any) -> Iterator[None]:
    """Keep progress bars and remarks of transformers off stderr while it loads."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
