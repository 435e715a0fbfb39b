"""The interface of audio encoders, and the clock that they share with the network."""

from __future__ import annotations

from typing import Any, Protocol

from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ, RecordingChannel
from dubfew.utils.arrays import FloatArray

# Mel frames (10 ms) per row of the network. A row of 20 ms follows lips well enough (film has a
# frame every 17 to 42 ms) and costs half of what rows of 10 ms would.
MEL_FRAMES_PER_ROW = 2
# Samples at 16 kHz between two rows of the network, and the same in seconds.
ROW_SAMPLES = MEL_FRAMES_PER_ROW * MEL_HOP_SAMPLES
ROW_SECONDS = ROW_SAMPLES / SPEECH_SAMPLE_RATE_HZ


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
