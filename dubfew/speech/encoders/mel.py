"""The default encoder: log-mel bands every 10 ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dubfew.errors import ArtefactError
from dubfew.media.mel import NUM_MEL_BANDS, RecordingChannel, log_mel
from dubfew.speech.encoders._base import (
    MEL_FRAMES_PER_ROW,
    WHOLE_ENCODER,
    EncodedAudio,
    EncoderState,
)
from dubfew.utils.arrays import FloatArray


@dataclass(frozen=True)
class MelEncoder:
    """Log-mel spectrogram, see `log_mel`. The members are those of `AudioEncoder`."""

    feature_dim: int = NUM_MEL_BANDS
    stride: int = MEL_FRAMES_PER_ROW
    is_mel_spectrogram: bool = True

    def encode(self, samples: FloatArray, channel: RecordingChannel) -> EncodedAudio:
        """Prepare a recording, see `AudioEncoder.encode`.

        Args:
            samples: mono at 16 kHz. [n]
            channel: level and spectral tilt of the recording, which are taken out.
        """
        return _EncodedMel(samples, channel)

    def metadata(self) -> dict[str, Any]:
        """Describe the encoder, see `AudioEncoder.metadata`."""
        return {"name": "mel"}


@dataclass(frozen=True)
class _EncodedMel:
    """Log-mel frames of one recording."""

    samples: FloatArray
    channel: RecordingChannel

    def frames(self, start: int, stop: int) -> FloatArray:
        return log_mel(self.samples, channel=self.channel, start=start, stop=stop)


def make_encoder(name: str, layer: int | None) -> MelEncoder:
    """Make the entry of `AUDIO_ENCODERS`; the name says nothing more.

    Args:
        name: name of the encoder.
        layer: None or `WHOLE_ENCODER`: there are no layers to choose from.

    Raises:
        ArtefactError: A layer is asked for.
    """
    if layer not in (None, WHOLE_ENCODER):
        raise ArtefactError(
            f"mel bands have no layers, but layer {layer} is asked for: leave it out"
        )
    return MelEncoder()


def check_encoder(metadata: dict[str, Any]) -> EncoderState:
    """Say that there is nothing to install, see `check_stored_encoder`."""
    return EncoderState(True, "mel bands, which need no weights")
