"""Search of the sound track that somebody speaks on, among tone, music, effects and silence."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import MediaError
from dubfew.media.audio import stream_audio
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ, frame_levels_db
from dubfew.media.opening import audio_stream, audio_streams, open_media
from dubfew.utils.arrays import FloatArray

# Sound that is looked at in each track, s, and the length of one look, s: a few syllables. Speech
# that begins later than this is for `--audio-track`.
_SEARCH_SECONDS = 300
_LOOK_SECONDS = 1
# Seconds of speech after which a track needs no further look.
_ENOUGH_SPEECH_SECONDS = 20
# Level below which a second is silent, dB full scale.
_SILENT_LEVEL_DB = -60.0
# Spread of the levels within a second of speech, dB, from the 10th to the 90th percentile: vowels
# and stops lie 20 dB apart. A tone, a chord, noise and crowds stay below 8.
_SYLLABLE_SPREAD_DB = 10.0
# Range of voices, Hz, the length of a piece that is searched for one, s, its correlation with
# itself one period later, from which it has a pitch, and the share of the highest one that is as
# good.
_PITCH_RANGE_HZ = (75.0, 400.0)
_PITCH_PIECE_SECONDS = 0.04
_PITCHED_FROM = 0.55
_AS_GOOD = 0.95
# Share of pieces with a pitch in a second of speech: blows and steps have fewer.
_VOICED_FROM = 0.15
# Relative spread of the periods within a second of speech: a beep and a chord have none.
_LEAST_PITCH_SPREAD = 0.02
# Another track must speak this many times as long as the main one to be taken instead of it.
_CLEARLY_MORE = 4.0


@dataclass(frozen=True)
class SpeechTrack:
    """The sound track that drives a mouth.

    Attributes:
        number: number of the track, from 1; None is the main one, which nothing speaks against.
        note: one line about the choice for the user, or "".
    """

    number: int | None
    note: str = ""


def find_speech_track(path: Path, wanted: int | None = None) -> SpeechTrack:
    """Choose the sound track of a file that somebody speaks on.

    The file's main track is taken unless another one clearly speaks more: the main one may hold a
    tone, silence, or music and effects.

    Args:
        path: a video or audio file.
        wanted: number of the track that the user names, from 1, or None.

    Raises:
        MediaError: The file is unreadable or has no such track.
    """
    with open_media(path) as container:
        streams = audio_streams(container)
        main = audio_stream(container)
        if wanted is not None:
            if not 1 <= wanted <= len(streams):
                raise MediaError(
                    f"{path} has no sound track {wanted}: it has {len(streams)}, counted from 1"
                )
            return SpeechTrack(wanted)
        if main is None or len(streams) < 2:
            return SpeechTrack(None)
        first = next(n for n, each in enumerate(streams, 1) if each.index == main.index)
    spoken = {}
    for number in [first, *(n for n in range(1, len(streams) + 1) if n != first)]:
        spoken[number] = count_speech_seconds(path, number)
        # The main track speaks throughout: no other can do so clearly more.
        if number == first and spoken[first] >= _ENOUGH_SPEECH_SECONDS:
            return SpeechTrack(None)
    best = max(spoken, key=lambda number: (spoken[number], -number))
    if spoken[best] <= _CLEARLY_MORE * spoken[first]:
        return SpeechTrack(None)
    return SpeechTrack(
        best,
        f"sound track {best} of {path.name} speaks, not track {first}: it moves the mouth "
        "(--audio-track names another)",
    )


def count_speech_seconds(path: Path, track: int) -> float:
    """Count the seconds of a sound track in which somebody seems to speak.

    Args:
        path: a video or audio file.
        track: number of the sound track, from 1.

    Returns:
        Seconds, no more than enough to be sure.
    """
    found = 0
    samples = _LOOK_SECONDS * SPEECH_SAMPLE_RATE_HZ
    blocks = stream_audio(path, SPEECH_SAMPLE_RATE_HZ, samples, track=track)
    # A track that cannot be decoded does not speak.
    with suppress(MediaError):
        for block in islice(blocks, _SEARCH_SECONDS // _LOOK_SECONDS):
            found += sounds_like_speech(block)
            if found * _LOOK_SECONDS >= _ENOUGH_SPEECH_SECONDS:
                break
    return float(found * _LOOK_SECONDS)


def sounds_like_speech(samples: FloatArray) -> bool:
    """Decide whether about a second of sound is like speech: syllables, some with a pitch.

    Args:
        samples: mono at 16 kHz. [n]
    """
    if len(samples) < SPEECH_SAMPLE_RATE_HZ // 4:
        return False
    levels = frame_levels_db(samples)[1 : len(samples) // MEL_HOP_SAMPLES - 1]
    low, high = np.quantile(levels, [0.1, 0.9])
    if high < _SILENT_LEVEL_DB or high - low < _SYLLABLE_SPREAD_DB:
        return False
    periods = _find_periods(samples)
    voiced = periods[periods > 0]
    if len(voiced) < _VOICED_FROM * len(periods):
        return False
    # Quantiles, because the edges of a beep have periods of their own.
    low, middle, high = np.quantile(voiced, [0.2, 0.5, 0.8])
    return bool(high - low >= _LEAST_PITCH_SPREAD * middle)


def _find_periods(samples: FloatArray) -> NDArray[np.float64]:
    """Find the period of each piece, samples; 0 where it has no pitch of a voice."""
    size = round(_PITCH_PIECE_SECONDS * SPEECH_SAMPLE_RATE_HZ)
    pieces = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    pieces = pieces - pieces.mean(1, keepdims=True)
    # Autocorrelation by the Fourier transform, padded so that pieces do not wrap around.
    spectra = np.fft.rfft(pieces, 2 * size)
    correlation = np.fft.irfft(np.abs(spectra) ** 2)[:, :size]
    # Lags overlap in fewer samples the longer they are.
    correlation = correlation / (1 - np.arange(size) / size)
    energy = correlation[:, 0]
    short, long = (round(SPEECH_SAMPLE_RATE_HZ / hertz) for hertz in reversed(_PITCH_RANGE_HZ))
    peak = correlation[:, short:long].max(1)
    # A tone repeats itself at every multiple of its period: the first that is as good counts.
    at = (correlation[:, short:long] >= _AS_GOOD * peak[:, None]).argmax(1)
    heard = energy > energy.max() * 1e-4  # 40 dB below the loudest piece nothing is heard
    return np.where(heard & (peak > _PITCHED_FROM * energy), at + short, 0).astype(np.float64)
