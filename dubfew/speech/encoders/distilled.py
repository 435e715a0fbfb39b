"""The encoder that dubfew brings along: a small network with the features of a large one.

Its teacher is Whisper's encoder after its second block, which knows speech well enough for a
straight line to lead from it to the lips. The network sees dubfew's own mel bands, a second to
either side, so it costs little, needs no windows and runs as installed. ``tools/distill_encoder``
trains it; ``speech/weights/ENCODER_CARD.md`` says from what.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dubfew.errors import ArtefactError
from dubfew.media.mel import RecordingChannel, log_mel
from dubfew.speech.encoders._base import (
    MEL_FRAMES_PER_ROW,
    WHOLE_ENCODER,
    EncodedAudio,
    EncoderState,
)
from dubfew.utils.arrays import FloatArray
from dubfew.utils.files import sha256_file

if TYPE_CHECKING:
    from dubfew.speech.encoders._distilled_network import DistilledNetwork

# Rows that are computed at a time, 20 s: they bound the memory (30 MB), and the context that they
# are computed with (a second on either side) adds a tenth.
_ROWS_PER_PASS = 1000


class DistilledEncoder:
    """A frozen `DistilledNetwork`, with the members of `AudioEncoder`.

    Attributes:
        name: ``distilled``, or ``distilled:`` and the absolute path of the file of weights.
        feature_dim: numbers per row.
        stride: 1; it has a row every 20 ms.
        is_mel_spectrogram: False.
    """

    stride = 1
    is_mel_spectrogram = False

    def __init__(self, name: str = "distilled") -> None:
        """Load weights.

        Args:
            name: ``distilled`` for the weights that ship; ``distilled:PATH`` for a file of others.

        Raises:
            ArtefactError: There is no such file, or it is not a distilled encoder.
        """
        from dubfew.speech.encoders._distilled_network import load_distilled_network

        path = _find_weights(name)
        self.name = f"distilled:{path}" if ":" in name else "distilled"
        self._network = load_distilled_network(path)
        self._sha256 = sha256_file(path)
        self.feature_dim = self._network.config.features

    def encode(self, samples: FloatArray, channel: RecordingChannel) -> EncodedAudio:
        """Prepare a recording, see `AudioEncoder.encode`.

        Args:
            samples: mono at 16 kHz. [n]
            channel: level and spectral tilt of the recording, which are taken out.
        """
        return EncodedRows(self._network, samples, channel)

    def metadata(self) -> dict[str, Any]:
        """Describe the encoder, see `AudioEncoder.metadata`; weights are named by their file."""
        return {"name": self.name, "width": self.feature_dim, "sha256": self._sha256}


@dataclass(frozen=True)
class EncodedRows:
    """Rows of one recording.

    Attributes:
        network: the network.
        samples: mono at 16 kHz. [n]
        channel: level and spectral tilt of the recording.
    """

    network: DistilledNetwork
    samples: FloatArray
    channel: RecordingChannel

    def frames(self, start: int, stop: int) -> FloatArray:
        """Compute a range of rows, see `EncodedAudio`; outside the recording they hear silence.

        Args:
            start: first row; may lie before the recording.
            stop: row behind the last one.
        """
        import torch

        config = self.network.config
        found = np.empty((max(0, stop - start), config.features), np.float32)
        for first in range(start, stop, _ROWS_PER_PASS):
            last = min(stop, first + _ROWS_PER_PASS)
            mel = log_mel(
                self.samples,
                channel=self.channel,
                start=MEL_FRAMES_PER_ROW * first - config.context_frames,
                stop=MEL_FRAMES_PER_ROW * (last - 1) + config.context_frames + 1,
            )
            with torch.inference_mode():
                found[first - start : last - start] = self.network(torch.from_numpy(mel)[None])[0]
        return found


def shipped_encoder_path() -> Path:
    """Return the path of the weights that ship with dubfew."""
    return Path(str(files("dubfew.speech") / "weights" / "encoder.safetensors"))


def make_encoder(name: str, layer: int | None) -> DistilledEncoder:
    """Make the entry of `AUDIO_ENCODERS`, see `DistilledEncoder`.

    Args:
        name: name of the encoder, as stored with a speech model.
        layer: None or `WHOLE_ENCODER`: there are no layers to choose from.

    Raises:
        ArtefactError: A layer is asked for.
    """
    if layer not in (None, WHOLE_ENCODER):
        raise ArtefactError(
            f"the distilled encoder has no layers, but layer {layer} is asked for: leave it out"
        )
    return DistilledEncoder(name)


def check_encoder(metadata: dict[str, Any]) -> EncoderState:
    """Compare the file of weights with the stored hash, see `check_stored_encoder`."""
    path = _find_weights(str(metadata["name"]))
    if not path.is_file():
        return EncoderState(False, f"there is no {path}", "copy that file there again")
    if sha256_file(path) != metadata["sha256"]:
        return EncoderState(
            False, f"{path} is not the file that was trained with", "copy that file there again"
        )
    return EncoderState(True, f"distilled: {path}")


def _find_weights(name: str) -> Path:
    """Find the file of weights that a name of an encoder means."""
    location = name.partition(":")[2]
    return Path(location).expanduser().resolve() if location else shipped_encoder_path()
