"""What the network is shown of a recording: log-mel bands, or another encoder's features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from dubfew.errors import ArtefactError
from dubfew.media.mel import (
    MEL_HOP_SAMPLES,
    NUM_MEL_BANDS,
    SPEECH_SAMPLE_RATE_HZ,
    RecordingChannel,
    log_mel,
)
from dubfew.utils.arrays import FloatArray

MEL_ENCODER_NAME = "mel"
# Samples between two rows of the network.
ROW_SAMPLES = 2 * MEL_HOP_SAMPLES
ROW_SECONDS = ROW_SAMPLES / SPEECH_SAMPLE_RATE_HZ


class EncodedAudio(Protocol):
    """One recording, as an encoder hears it."""

    def frames(self, start: int, stop: int) -> FloatArray:
        """Frames [start, stop), some of which may lie outside the recording. [T, width]"""
        ...


class AudioEncoder(Protocol):
    """Turns sound into frames, ``stride`` of them for every row of the network.

    Frame k is centred on sample ``k * ROW_SAMPLES / stride``, whatever the encoder's own clock.
    """

    @property
    def feature_dim(self) -> int:
        """Numbers per frame."""
        ...

    @property
    def stride(self) -> int:
        """Frames per row of the network (20 ms)."""
        ...

    def encode(self, samples: FloatArray, channel: RecordingChannel) -> EncodedAudio:
        """Hear a recording (16 kHz, mono) whose channel is known; computed when asked for."""
        ...

    def metadata(self) -> dict[str, Any]:
        """What a stored model has to say of its encoder."""
        ...


@dataclass(frozen=True)
class MelEncoder:
    """The default: `log_mel`, every 10 ms."""

    feature_dim: int = NUM_MEL_BANDS
    stride: int = ROW_SAMPLES // MEL_HOP_SAMPLES

    def encode(self, samples: FloatArray, channel: RecordingChannel) -> EncodedAudio:
        """See ``AudioEncoder``."""
        return _EncodedMel(samples, channel)

    def metadata(self) -> dict[str, Any]:
        """See ``AudioEncoder``."""
        return {"name": MEL_ENCODER_NAME}


@dataclass(frozen=True)
class _EncodedMel:
    samples: FloatArray
    channel: RecordingChannel

    def frames(self, start: int, stop: int) -> FloatArray:
        return log_mel(self.samples, channel=self.channel, start=start, stop=stop)


def load_encoder(name: str = MEL_ENCODER_NAME) -> AudioEncoder:
    """The encoder of this name.

    Args:
        name: ``mel``, or what `encoders.TransformersEncoder` takes.

    Raises:
        ArtefactError: there is none.
        MissingDependencyError: it needs transformers, which is not installed.
    """
    if name == MEL_ENCODER_NAME:
        return MelEncoder()
    from dubfew.speech.encoders.transformers import TransformersEncoder

    return TransformersEncoder(name)


def load_stored_encoder(
    stored_metadata: dict[str, Any], new_name: str | None = None
) -> AudioEncoder:
    """The encoder that a stored model was trained with.

    Args:
        stored_metadata: what ``AudioEncoder.metadata`` gave.
        new_name: where it is now, if not where it was.

    Raises:
        ArtefactError: it is gone, or another one is in its place.
        MissingDependencyError: it needs transformers, which is not installed.
    """
    name = new_name or str(stored_metadata["name"])
    encoder = load_encoder(name)
    found = encoder.metadata()
    if {**stored_metadata, "name": ""} != {**found, "name": ""}:
        raise ArtefactError(
            f"the encoder {name} is not the one that the model was trained with "
            f"({stored_metadata['name']}): name the folder where that is"
        )
    return encoder
