"""An audio encoder whose features of whole recordings are kept on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dubfew.data.array_cache import ArrayCache, StoredArrays, hash_arrays
from dubfew.media.mel import RecordingChannel
from dubfew.speech.encoders import ROW_SAMPLES, AudioEncoder, EncodedAudio
from dubfew.utils.arrays import FloatArray

# Rows before and behind a recording that are stored with it, 2.4 s: more than the networks and the
# detector of speech look at, together with the silence that predictions end in.
_MARGIN_ROWS = 120


class CachedEncoder:
    """Any audio encoder, with the members of `AudioEncoder`; what it computes is stored.

    Attributes:
        encoder: encoder that computes what is not stored.
        cache: holds the features.
        feature_dim: numbers per frame.
        stride: frames per row of the network.
        is_mel_spectrogram: whether features are log-mel bands.
    """

    def __init__(self, encoder: AudioEncoder, cache: ArrayCache) -> None:
        self.encoder = encoder
        self.cache = cache
        self.feature_dim = encoder.feature_dim
        self.stride = encoder.stride
        self.is_mel_spectrogram = encoder.is_mel_spectrogram

    def encode(self, samples: FloatArray, channel: RecordingChannel) -> EncodedAudio:
        """Prepare a recording, see `AudioEncoder.encode`.

        Args:
            samples: mono at 16 kHz. [n]
            channel: level and spectral tilt of the recording, which are taken out.
        """
        encoded = self.encoder.encode(samples, channel)
        margin = _MARGIN_ROWS * self.stride
        stop = -(-len(samples) // ROW_SAMPLES) * self.stride + margin
        key = {
            "recording": hash_arrays(
                samples, np.array([channel.level_db]), np.asarray(channel.spectral_tilt)
            ),
            "margin": margin,
            "encoder": self.metadata(),
        }
        arrays = self.cache.fetch(key, lambda: {"features": encoded.frames(-margin, stop)})
        return _StoredFeatures(encoded, arrays, -margin, stop)

    def metadata(self) -> dict[str, Any]:
        """Describe the encoder, see `AudioEncoder.metadata`."""
        return self.encoder.metadata()


@dataclass(frozen=True)
class _StoredFeatures:
    """Features of one recording: a stored range, and the encoder for all beyond it."""

    encoded: EncodedAudio
    arrays: StoredArrays
    first: int
    last: int

    def frames(self, start: int, stop: int) -> FloatArray:
        """Read a range of frames, see `EncodedAudio`."""
        if start < self.first or stop > self.last:
            return self.encoded.frames(start, stop)
        return self.arrays.read("features", slice(start - self.first, stop - self.first))
