"""Mixing of many channels to one, so that what is heard from loudspeakers is never cancelled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Weights of channels in the mono mix, by FFmpeg's names. Dialogue is in the center (FC), so it
# counts most; surround channels, which are not listed, count 0.707 and the bass channels nothing.
_MONO_WEIGHTS = {"FC": 1.414, "FL": 1.0, "FR": 1.0, "LFE": 0.0, "LFE2": 0.0}
_OTHER_WEIGHT = 0.707
# Time over which channels are compared, s. A syllable is shorter, a sentence longer.
_MEMORY_SECONDS = 0.4
# Correlation with the leading channel below which a channel is turned over, and above which it is
# turned back. At -0.5 a sum of two has lost 6 dB against one; ordinary stereo stays above 0.
_TURN_OVER_BELOW, _TURN_BACK_ABOVE = -0.5, 0.0
# Factor by which the energy of another channel must exceed that of the leading one to take its
# place: 6 dB, so that two equal channels do not take turns.
_LEAD_CHANGE_FACTOR = 4.0
# Energy of a channel without a place, relative to the loudest one, below which it is left out of
# the mean: -40 dB. Empty tracks of an editor's export must not make the speech of one track quiet.
_HEARD_SHARE = 1e-4
# Energy of the mix relative to the loudest channel below which the weights have lost what is heard:
# -30 dB, as when dialogue lies on the channel of the bass, and the mean frequency from which the
# loudest channel is no bass, Hz. A weighted mean of eight keeps a single channel at -20 dB.
_LOST_SHARE = 1e-3
_BASS_END_HZ = 500.0


class MonoDownmixer:
    """Mixes blocks of one recording to mono, channel polarities and silent channels considered.

    Channels that carry the same sound with opposite polarity are turned over before they are added.
    Channels of a layout with known places are weighted by their places. Of more than two channels
    without places, those that are silent do not count. Comparisons are made on differences of
    neighboring samples, in which speech outweighs hum and bass.

    Args:
        names: names of the channels, such as FL, FR, FC; empty where they have no places.
        count: number of channels.
        rate: sample rate, Hz.
    """

    def __init__(self, names: Sequence[str], count: int, rate: int) -> None:
        weights = np.array([_MONO_WEIGHTS.get(name, _OTHER_WEIGHT) for name in names], np.float64)
        known = set(names) & set(_MONO_WEIGHTS)
        # Stereo is a plain mean, and so is a layout whose channels are unknown.
        self._has_places = len(names) == count > 2 and bool(known) and bool(weights.any())
        self._weights = weights if self._has_places else np.ones(count)
        self._rate = rate
        self._signs = np.ones(count)
        self._leader = 0
        self._products = np.zeros((count, count))  # of differences, decayed
        self._levels = np.zeros(count)  # energies of the samples themselves, decayed
        self._gains: NDArray[np.float64] | None = None  # at the end of the last block

    def mix(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mix the next samples [channels, n] to one channel [1, n]."""
        if len(samples) == 1 or not samples.shape[1]:
            return samples[:1]
        self._compare(samples)
        gains = self._choose_gains()
        before = gains if self._gains is None else self._gains
        self._gains = gains
        if np.allclose(before, gains):
            return (gains.astype(np.float32) @ samples)[None]
        # A change of gains spreads over the block, or it would click.
        share = np.linspace(0, 1, samples.shape[1], dtype=np.float32)
        start = before.astype(np.float32) @ samples
        return (start + share * (gains.astype(np.float32) @ samples - start))[None]

    def _compare(self, samples: NDArray[np.float32]) -> None:
        """Update energies, the leading channel and polarities."""
        steps = np.diff(samples.astype(np.float64), axis=1)
        decay = np.exp(-samples.shape[1] / (self._rate * _MEMORY_SECONDS))
        self._products = decay * self._products + steps @ steps.T
        self._levels = decay * self._levels + np.square(samples, dtype=np.float64).sum(1)
        energy = np.diag(self._products)
        # A weight of nothing leads nothing.
        counted = energy * (self._weights > 0)
        loudest = int(counted.argmax())
        if counted[loudest] > _LEAD_CHANGE_FACTOR * counted[self._leader]:
            self._leader = loudest
        norm = np.sqrt(energy * energy[self._leader]) + 1e-12
        correlation = self._products[self._leader] / norm * self._signs[self._leader]
        self._signs[correlation < _TURN_OVER_BELOW] = -1
        self._signs[correlation > _TURN_BACK_ABOVE] = 1

    def _choose_gains(self) -> NDArray[np.float64]:
        """Choose the gain of every channel; they add up to 1 in magnitude."""
        energy = np.diag(self._products)
        weights = self._weights
        if not self._has_places and len(weights) > 2 and energy.any():
            weights = weights * (energy >= _HEARD_SHARE * energy.max())
        gains = self._signs * weights / weights.sum()
        loudest = int(energy.argmax())
        if self._has_places and gains @ self._products @ gains < _LOST_SHARE * energy[loudest]:
            # Differences of a tone are smaller than the tone by this factor.
            bass = (2 * np.pi * _BASS_END_HZ / self._rate) ** 2
            if energy[loudest] > bass * self._levels[loudest]:
                gains = self._signs / len(weights)
        return gains
