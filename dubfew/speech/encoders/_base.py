"""The interface of audio encoders, and the clock that they share with the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from dubfew.errors import ArtefactError
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ, RecordingChannel
from dubfew.utils.arrays import FloatArray

# Mel frames (10 ms) per row of the network. A row of 20 ms follows lips well enough (film has a
# frame every 17 to 42 ms) and costs half of what rows of 10 ms would.
MEL_FRAMES_PER_ROW = 2
# Samples at 16 kHz between two rows of the network, and the same in seconds.
ROW_SAMPLES = MEL_FRAMES_PER_ROW * MEL_HOP_SAMPLES
ROW_SECONDS = ROW_SAMPLES / SPEECH_SAMPLE_RATE_HZ


# Value for ``layer``: the output of a whole encoder, with the normalization behind its last block.
# Models that were stored before layers could be chosen have been trained with it.
WHOLE_ENCODER = -1


def choose_layer(layer: int | None, num_blocks: int, *, default: int) -> int:
    """Choose the layer whose output is the features: the number of blocks that are computed.

    Args:
        layer: the wish; None takes the default. 0 is the input of the first block.
        num_blocks: blocks of the whole encoder.
        default: layer where nobody has a wish.

    Raises:
        ArtefactError: The encoder has fewer blocks.

    Example:
        >>> choose_layer(None, 4, default=2)
        2
    """
    layer = default if layer is None else layer
    if not 0 <= layer <= num_blocks:
        raise ArtefactError(f"the encoder has no layer {layer}, expected 0 to {num_blocks}")
    return layer


@dataclass(frozen=True)
class EncoderState:
    """Whether an encoder that a stored model names is there.

    Attributes:
        ok: True if the encoder can be loaded, as far as can be told without loading it.
        found: where it is, or what is wrong, one line.
        install: remedy where ``ok`` is False, else "".
    """

    ok: bool
    found: str
    install: str = ""


class EncodedAudio(Protocol):
    """Features of one recording, computed piece by piece on demand."""

    def frames(self, start: int, stop: int) -> FloatArray:
        """Compute a range of frames; those outside the recording are features of silence.

        Args:
            start: first frame, may be negative.
            stop: frame after the last one, may lie beyond the recording.

        Returns:
            Features, the same whatever ranges were asked for before. [stop - start, feature_dim]
        """
        ...


class AudioEncoder(Protocol):
    """Turns sound into feature frames, ``stride`` of them for every row of the network.

    Frame k is centered on sample ``k * ROW_SAMPLES / stride``, whatever step the encoder has by
    itself.
    """

    @property
    def feature_dim(self) -> int:
        """Return the number of features per frame."""
        ...

    @property
    def stride(self) -> int:
        """Return the number of frames per row of the network (20 ms)."""
        ...

    @property
    def is_mel_spectrogram(self) -> bool:
        """Return True if features are log-mel bands in rising order, which training then warps."""
        ...

    def encode(self, samples: FloatArray, channel: RecordingChannel) -> EncodedAudio:
        """Prepare a recording; its features are computed when they are asked for.

        Args:
            samples: mono at 16 kHz, finite, in [-1, 1]. [n]
            channel: level and spectral tilt of the whole recording, to be taken out.
        """
        ...

    def metadata(self) -> dict[str, Any]:
        """Describe the encoder for a stored model, in JSON's types.

        ``name`` is the text that `load_encoder` takes. All other entries must be equal when the
        model is loaded.
        """
        ...
