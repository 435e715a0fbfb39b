"""Features of long recordings, encoded in windows that fade into each other."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import numpy as np

from dubfew.speech.encoders._base import ROW_SAMPLES
from dubfew.utils.arrays import FloatArray

# Rows that neighboring windows share, 2 s, in which one fades into the other. Fewer would make the
# seam steeper, more would encode more sound twice.
ENCODER_OVERLAP_ROWS = 100
# Windows whose features are kept: a row lies in at most two.
_CACHED_WINDOWS = 2


class WindowEncoder(Protocol):
    """An encoder whose rows depend on all sound that it is given, and so on the window."""

    @property
    def feature_dim(self) -> int:
        """Return the number of features per row."""
        ...

    @property
    def window_rows(self) -> int:
        """Return the number of rows that are encoded at a time."""
        ...

    @property
    def silent_row(self) -> FloatArray:
        """Return the features of rows outside of the recording. [feature_dim]"""
        ...

    def encode_rows(self, samples: FloatArray, gain: float, start: int, stop: int) -> FloatArray:
        """Encode rows in one pass.

        Args:
            samples: the whole recording, mono at 16 kHz. [n]
            gain: factor that brings the recording to the usual level.
            start: first row.
            stop: row after the last one.

        Returns:
            Features. [stop - start, feature_dim]
        """
        ...


class WindowedAudio:
    """Features of one recording, encoded in overlapping windows that fade into each other.

    Windows begin at fixed times, whatever range is asked for. So features are the same for all
    ranges, and sound that is appended changes them in the last window only.
    """

    def __init__(self, encoder: WindowEncoder, samples: FloatArray, gain: float) -> None:
        self._encoder = encoder
        self._samples = samples
        self._gain = gain
        self._num_rows = -(-len(samples) // ROW_SAMPLES)
        self._window_rows = min(encoder.window_rows, self._num_rows)
        self._overlap_rows = min(ENCODER_OVERLAP_ROWS, self._window_rows // 4)
        # A window is as long as the others or ends with the recording.
        step = max(1, self._window_rows - self._overlap_rows)
        count = -(-(self._num_rows - self._window_rows) // step) + 1
        self._window_starts = [number * step for number in range(count)]
        self._window_cache: OrderedDict[int, FloatArray] = OrderedDict()

    def frames(self, start: int, stop: int) -> FloatArray:
        """Compute a range of rows, see `EncodedAudio`.

        Args:
            start: first row; may lie before the recording.
            stop: row behind the last one.
        """
        found = np.tile(self._encoder.silent_row, (max(0, stop - start), 1))
        found[max(0, -start) : max(0, self._num_rows - start)] = 0
        for number, first in enumerate(self._window_starts):
            until = min(first + self._window_rows, self._num_rows)
            low, high = max(start, first), min(stop, until)
            if low >= high:
                continue  # the window has none of these rows
            # Weights rise at the window's beginning and fall at its end; those of two neighbors
            # add up to 1.
            weight = np.ones(high - low, np.float32)
            row = np.arange(low, high) + 0.5
            if number:
                weight = np.minimum(weight, (row - first) / self._overlap_rows)
            if number + 1 < len(self._window_starts):
                weight = np.minimum(weight, (until - row) / self._overlap_rows)
            features = self._encode_window(first)[low - first : high - first]
            found[low - start : high - start] += weight[:, None] * features
        return found

    def _encode_window(self, start: int) -> FloatArray:
        """Return the features of the window that begins at a row, from the cache if possible."""
        if start not in self._window_cache:
            stop = min(start + self._window_rows, self._num_rows)
            rows = self._encoder.encode_rows(self._samples, self._gain, start, stop)
            self._window_cache[start] = rows
            if len(self._window_cache) > _CACHED_WINDOWS:
                self._window_cache.popitem(last=False)
        return self._window_cache[start]
