"""Pre-trained encoders: wav2vec 2.0, HuBERT, WavLM and Whisper's encoder, through transformers.

They were trained on far more speech than dubfew's own model, and cost far more than mel bands.
One of their layers, frozen, takes the place of the mel bands.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dubfew.errors import ArtefactError
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ, RecordingChannel, level_gain, slice_padded
from dubfew.speech.encoders._base import (
    ROW_SAMPLES,
    WHOLE_ENCODER,
    EncodedAudio,
    EncoderState,
    choose_layer,
)
from dubfew.speech.encoders._windows import WindowedAudio
from dubfew.utils.arrays import FloatArray
from dubfew.utils.import_utils import OPTIONAL_PACKAGES, import_optional, installed_version

# Rows of 20 ms per pass of the encoder: 20 s, which hold any context that speech has.
ENCODER_WINDOW_ROWS = 1000
# Default layer as a part of all blocks. Whisper's half is measured (docs/speech.md): later blocks
# turn to words. In HuBERT and WavLM phonemes stand out most at about two thirds (Pasad et al. 2023,
# Comparative layer-wise analysis of self-supervised speech models); this is not measured on lips.
_WHISPER_DEPTH, _WAVE_DEPTH = Fraction(1, 2), Fraction(2, 3)
# wav2vec 2.0, HuBERT and WavLM expect sound of unit variance. Speech whose loud frames lie at
# LOUD_LEVEL_DB (-20 dB) has a standard deviation of about a tenth.
_UNIT_VARIANCE_GAIN = 10.0


class TransformersEncoder:
    """A frozen encoder from the transformers library, with the members of `AudioEncoder`.

    Attributes:
        name: Hugging Face name, or the absolute path of the encoder's folder.
        layer: number of blocks that are computed; `WHOLE_ENCODER` is all of them and the
            normalization behind them.
        feature_dim: numbers per frame.
        stride: 1; all of these encoders have a frame every 20 ms.
        is_mel_spectrogram: False.
        window_rows: rows that are encoded at a time.
    """

    stride = 1
    is_mel_spectrogram = False

    def __init__(self, name: str, layer: int | None = None) -> None:
        """Load the encoder's configuration and weights.

        Args:
            name: a folder that ``save_pretrained`` wrote, or a name on the Hugging Face hub.
            layer: number of blocks to compute; None is the family's default.

        Raises:
            ArtefactError: There is no such encoder, it is of an unsupported kind, or has fewer
                blocks.
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
                    "a name on the Hugging Face hub, or whisper:FOLDER for CTranslate2's files "
                    f"({reason})"
                ) from error
        self.layer = self._backbone.truncate(layer)
        self.feature_dim = self._backbone.feature_dim
        self.window_rows = self._backbone.window_rows
        self._weights_sha256 = _hash_weights(self._backbone.model)

    def metadata(self) -> dict[str, Any]:
        """Describe the encoder, see `AudioEncoder.metadata`; weights are named by their hash."""
        found = {"name": self.name, "width": self.feature_dim, "sha256": self._weights_sha256}
        # Models that were stored before layers could be chosen name none.
        return found if self.layer == WHOLE_ENCODER else found | {"layer": self.layer}

    def encode(self, samples: FloatArray, channel: RecordingChannel) -> EncodedAudio:
        """Prepare a recording, see `AudioEncoder.encode`.

        Args:
            samples: mono at 16 kHz. [n]
            channel: channel of the recording; its level is taken out, its spectral tilt is not.
        """
        return WindowedAudio(self, samples, level_gain(channel))

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

    @property
    def silent_row(self) -> FloatArray:
        """Return zeros, which is how these encoders pad. [feature_dim]"""
        return np.zeros(self.feature_dim, np.float32)


def make_encoder(name: str, layer: int | None) -> TransformersEncoder:
    """Make the entry of `AUDIO_ENCODERS` from a folder or a Hugging Face name.

    Args:
        name: a folder, or a name on the Hugging Face Hub.
        layer: layer whose output is used; None for the encoder's choice.
    """
    return TransformersEncoder(name, layer)


def check_encoder(metadata: dict[str, Any]) -> EncoderState:
    """Look for transformers and the encoder's folder, see `check_stored_encoder`."""
    package = OPTIONAL_PACKAGES["transformers"]
    if installed_version("transformers") is None:
        return EncoderState(False, f"{package.distribution} is not installed", package.install)
    name = str(metadata["name"])
    if Path(name).is_absolute() and not Path(name).is_dir():
        return EncoderState(False, f"no folder {name}", "copy that folder there again")
    layer = f", layer {metadata['layer']}" if "layer" in metadata else ""
    place = "" if Path(name).is_dir() else " (the Hugging Face hub's, not looked for)"
    return EncoderState(True, f"{name}{layer}{place}")


class _Backbone(Protocol):
    """One family of encoders."""

    model: torch.nn.Module
    feature_dim: int
    window_rows: int

    def truncate(self, layer: int | None) -> int:
        """Remove all behind a layer, None for the family's default; return the layer."""
        ...

    def compute_features(self, samples: FloatArray, gain: float, start: int, stop: int) -> Tensor:
        """Compute rows [start, stop), perhaps with more after them. [1, T, feature_dim]"""
        ...


class _WaveBackbone:
    """wav2vec 2.0, HuBERT and WavLM: convolutions on the waveform, then a transformer."""

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

    def truncate(self, layer: int | None) -> int:
        # Only the larger models, whose blocks normalize first, have a normalization behind them.
        has_norm = bool(self.model.config.do_stable_layer_norm)
        return _truncate_blocks(self.model.encoder, layer, _WAVE_DEPTH, has_norm=has_norm)

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

    def truncate(self, layer: int | None) -> int:
        return _truncate_blocks(self.model, layer, _WHISPER_DEPTH, has_norm=True)

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
    "wavlm": _WaveBackbone,
    "whisper": _WhisperBackbone,
}


def _truncate_blocks(encoder: Any, layer: int | None, depth: Fraction, *, has_norm: bool) -> int:
    """Remove the blocks behind a layer, and the normalization behind all of them.

    Args:
        encoder: the transformer, changed in place.
        layer: number of blocks that stay; None is the default, `WHOLE_ENCODER` removes nothing.
        depth: default as a part of all blocks, rounded up.
        has_norm: True if ``encoder.layer_norm`` follows the last block.

    Returns:
        The layer.
    """
    if layer == WHOLE_ENCODER:
        return layer
    num_blocks = len(encoder.layers)
    layer = choose_layer(layer, num_blocks, default=math.ceil(depth * num_blocks))
    encoder.layers = encoder.layers[:layer]
    if has_norm:
        encoder.layer_norm = torch.nn.Identity()
    return layer


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
