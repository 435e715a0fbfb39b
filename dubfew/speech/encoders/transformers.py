"""wav2vec 2.0, HuBERT and Whisper's encoder as what the network hears, through transformers.

They are trained on far more speech than dubfew is, and cost far more than mel bands.
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
from dubfew.media.mel import LOUD_LEVEL_DB, SPEECH_SAMPLE_RATE_HZ, RecordingChannel
from dubfew.speech.encoders.encoder import ROW_SAMPLES, EncodedAudio
from dubfew.utils.arrays import FloatArray
from dubfew.utils.import_utils import import_optional

# Self-attention hears the whole of what it is given. It is given 20 s at a time, enough for any
# context that speech has, at places that depend on the recording alone; neighbours share 2 s in
# which one fades into the other. (Rows of 20 ms.)
ENCODER_WINDOW_ROWS, ENCODER_OVERLAP_ROWS = 1000, 100
# wav2vec 2.0 and HuBERT are fed sound of unit variance; speech whose loud frames lie at LOUD_DB
# has about a tenth of that.
_UNIT_VARIANCE_GAIN = 10.0


class TransformersEncoder:
    """A frozen encoder of transformers'. ``Encoder`` says what it does.

    Attributes:
        name: on the Hugging Face hub, or its folder.
        feature_dim: of its last layer.
        stride: 1, a frame for every row.
        window_rows: rows that it is given at a time.
    """

    stride = 1

    def __init__(self, name: str) -> None:
        """
        Raises:
            ArtefactError: there is no such encoder, or it is of another kind.
            MissingDependencyError: transformers is not installed.
        """
        transformers = import_optional("transformers")
        self.name = str(Path(name).resolve()) if Path(name).is_dir() else name
        with _mute_transformers(transformers):
            try:
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
        """See ``Encoder``."""
        return {"name": self.name, "width": self.feature_dim, "sha256": self._weights_sha256}

    def encode(self, samples: FloatArray, channel: RecordingChannel) -> EncodedAudio:
        """See ``Encoder``."""
        return _WindowedAudio(self, samples, 10 ** ((LOUD_LEVEL_DB - channel.level_db) / 20))

    def encode_rows(self, samples: FloatArray, gain: float, start: int, stop: int) -> FloatArray:
        """Features of rows [start, stop), heard together and nothing else. [T, width]"""
        with torch.inference_mode():
            found = self._backbone.compute_features(samples, gain, start, stop)
        return found[0, : stop - start].numpy()


class _WindowedAudio:
    """One recording in windows: the last two are kept, since a row looks at most at two."""

    def __init__(self, encoder: TransformersEncoder, samples: FloatArray, gain: float) -> None:
        self._encoder = encoder
        self._samples = samples
        self._gain = gain
        self._num_rows = -(-len(samples) // ROW_SAMPLES)
        self._window_rows = min(encoder.window_rows, self._num_rows)
        self._overlap_rows = min(ENCODER_OVERLAP_ROWS, self._window_rows // 4)
        # All windows are equally long and evenly spread, the last one ends with the recording.
        last = self._num_rows - self._window_rows
        count = -(-last // max(1, self._window_rows - self._overlap_rows)) + 1
        self._window_starts = [last * number // max(1, count - 1) for number in range(count)]
        self._window_cache: OrderedDict[int, FloatArray] = OrderedDict()

    def frames(self, start: int, stop: int) -> FloatArray:
        """See ``EncodedAudio``. Zero outside the recording, as the network's own padding."""
        found = np.zeros((max(0, stop - start), self._encoder.feature_dim), np.float32)
        for number, first in enumerate(self._window_starts):
            final = number + 1 == len(self._window_starts)
            until = (
                self._num_rows if final else self._window_starts[number + 1] + self._overlap_rows
            )
            low, high = max(start, first), min(stop, until)
            if low >= high:
                continue
            weight = np.ones(high - low, np.float32)
            row = np.arange(low, high) + 0.5
            if number:
                weight = np.minimum(weight, (row - first) / self._overlap_rows)
            if not final:
                weight = np.minimum(weight, (until - row) / self._overlap_rows)
            heard = self._encode_window(first)[low - first : high - first]
            found[low - start : high - start] += weight[:, None] * heard
        return found

    def _encode_window(self, start: int) -> FloatArray:
        if start not in self._window_cache:
            rows = self._encoder.encode_rows(
                self._samples, self._gain, start, start + self._window_rows
            )
            self._window_cache[start] = rows
            if len(self._window_cache) > 2:
                self._window_cache.popitem(last=False)
        return self._window_cache[start]


class _Backbone(Protocol):
    """One kind of encoder."""

    model: torch.nn.Module
    feature_dim: int
    window_rows: int

    def compute_features(self, samples: FloatArray, gain: float, start: int, stop: int) -> Tensor:
        """Rows [start, stop) of a recording, and perhaps more after them. [1, T, width]"""
        ...


class _WaveBackbone:
    """wav2vec 2.0 and HuBERT: convolutions on the wave, then a transformer."""

    window_rows = ENCODER_WINDOW_ROWS

    def __init__(self, transformers: Any, name: str) -> None:
        self.model = transformers.AutoModel.from_pretrained(name).float().eval()
        config = self.model.config
        self.feature_dim = config.hidden_size
        self._receptive_field, hop = 1, 1
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            self._receptive_field += (kernel - 1) * hop
            hop *= stride
        if hop != ROW_SAMPLES:
            raise ArtefactError(
                f"the encoder {name} has a frame every {hop / SPEECH_SAMPLE_RATE_HZ * 1000:g} ms, "
                "expected "
                f"{ROW_SAMPLES / SPEECH_SAMPLE_RATE_HZ * 1000:g} ms: name another"
            )

    def compute_features(self, samples: FloatArray, gain: float, start: int, stop: int) -> Tensor:
        # Frame k of the convolutions covers `reach` samples from k * hop on. Beginning half of
        # that early puts its centre on the row, to half a sample.
        low = start * ROW_SAMPLES - self._receptive_field // 2
        piece = _slice_padded(
            samples, low, low + (stop - start - 1) * ROW_SAMPLES + self._receptive_field
        )
        return self.model(torch.from_numpy(piece * np.float32(gain * _UNIT_VARIANCE_GAIN))[None])[0]


class _WhisperBackbone:
    """Whisper's encoder: its own mel bands, and positions for exactly one window."""

    def __init__(self, transformers: Any, name: str) -> None:
        self.model = transformers.WhisperModel.from_pretrained(name).get_encoder().float().eval()
        config = self.model.config
        self.feature_dim = config.d_model
        self.window_rows = config.max_source_positions
        self._feature_extractor = transformers.WhisperFeatureExtractor(
            feature_size=config.num_mel_bins
        )

    def compute_features(self, samples: FloatArray, gain: float, start: int, stop: int) -> Tensor:
        # Mel frames are centred on multiples of 10 ms and every second convolution output on a
        # mel frame, so rows lie right; a shorter sound is followed by silence.
        piece = _slice_padded(samples, start * ROW_SAMPLES, stop * ROW_SAMPLES) * np.float32(gain)
        mel = self._feature_extractor(
            piece,
            sampling_rate=SPEECH_SAMPLE_RATE_HZ,
            padding="max_length",
            max_length=self.window_rows * ROW_SAMPLES,
            return_tensors="pt",
        ).input_features
        return self.model(mel)[0]


BACKBONE_CLASSES: dict[str, Callable[[Any, str], _Backbone]] = {
    "wav2vec2": _WaveBackbone,
    "hubert": _WaveBackbone,
    "whisper": _WhisperBackbone,
}


def _slice_padded(samples: FloatArray, low: int, high: int) -> FloatArray:
    """Samples [low, high), silence where there are none."""
    piece = samples[max(0, low) : max(0, high)]
    before = min(max(0, -low), high - low)
    return np.pad(piece, (before, high - low - before - len(piece)))


def _hash_weights(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def _mute_transformers(transformers: Any) -> Iterator[None]:
    """Keep transformers' bars and remarks off stderr while it loads."""
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
