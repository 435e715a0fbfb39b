"""Lines that are too long for their place: shorter pauses, then faster speech, within limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.media.audio import Audio
from dubfew.media.mel import (
    MEL_HOP_SAMPLES,
    SPEECH_SAMPLE_RATE_HZ,
    frame_levels_db,
    resample_audio,
)
from dubfew.media.speech_span import find_sound
from dubfew.media.tempo import change_tempo

# Largest factor of the speed by default: 10 % is hardly heard.
DEFAULT_STRETCH = 1.1
# Shortest pause that is left of a longer one, s. Below it words run into each other, and plosives
# have a closure as long.
DEFAULT_PAUSE_SECONDS = 0.15
# Lines may be this much too long, s: a frame at 50 frames/s.
TOLERANCE_SECONDS = 0.02
# Length of the fade where a pause was cut, s.
_FADE_SECONDS = 0.01


@dataclass(frozen=True)
class LineFit:
    """How a line can be made to fit its place.

    Attributes:
        speech_seconds: time of the last sound in the line, s.
        room: length of its place, s.
        pauses: time that is taken from pauses, s.
        tempo: factor by which the rest is spoken faster.
        needed: factor that it would need, whatever the limit.
    """

    speech_seconds: float
    room: float
    pauses: float
    tempo: float
    needed: float

    @property
    def fits(self) -> bool:
        """Return whether the line fits within the limits."""
        return self.needed <= self.tempo

    def describe(self) -> str:
        """Describe what is done, or advise what would help, in one line."""
        over = self.speech_seconds - self.room
        if over <= TOLERANCE_SECONDS:
            return f"it fits: {-over:.2f} s are left" if over < 0 else "it fits"
        left = (self.speech_seconds - self.pauses) - self.room
        if not self.fits:
            words = 100 * left / max(self.speech_seconds - self.pauses, 1e-9)
            return (
                f"it cannot fit: it is {over:.2f} s too long, pauses give {self.pauses:.2f} s, and "
                f"the rest would have to be {self.needed:.2f} times as fast: leave out about "
                f"{words:.0f} % of the words"
            )
        parts = [f"{self.pauses:.2f} s less of pauses"] if self.pauses > 0 else []
        parts += [f"{self.tempo:.3f} times as fast"] if self.tempo > 1 else []
        return f"it is {over:.2f} s too long, and fits with {' and '.join(parts)}"


def plan_line_fit(
    audio: Audio,
    seconds: float,
    *,
    stretch: float = DEFAULT_STRETCH,
    pause: float = DEFAULT_PAUSE_SECONDS,
) -> LineFit:
    """Find out how a line fits into its place. Silence behind its last sound does not count.

    Args:
        audio: the line, mono.
        seconds: length of its place, s.
        stretch: largest factor of the speed.
        pause: what is left of a pause at least, s.
    """
    silences, end = _find_pauses(audio, pause)
    room = sum(last - first for first, last in silences)
    over = end - seconds
    if over <= TOLERANCE_SECONDS:
        return LineFit(end, seconds, 0.0, 1.0, 1.0)
    taken = min(over, room)
    needed = max(1.0, (end - taken) / max(seconds, 1e-9))
    # A factor that only makes up for rounding is none.
    needed = 1.0 if (end - taken) - seconds <= TOLERANCE_SECONDS else needed
    return LineFit(end, seconds, taken, needed if needed <= stretch else 1.0, needed)


def fit_line(audio: Audio, plan: LineFit, *, pause: float = DEFAULT_PAUSE_SECONDS) -> Audio:
    """Shorten a line as planned; its pitch stays.

    Args:
        audio: the line, mono.
        plan: result of `plan_line_fit` for it, with the same ``pause``.
        pause: what is left of a pause at least, s.

    Returns:
        The line up to its last sound, or as it was where it fits without a change.
    """
    if not plan.pauses and plan.tempo == 1:
        return audio
    silences, end = _find_pauses(audio, pause)
    room = sum(last - first for first, last in silences)
    share = plan.pauses / room if room else 0.0
    pieces, place = [], 0
    for first, last in silences:
        # From the middle: what is beside speech is its own, such as breath.
        cut = (last - first) * share
        begin = (first + last - cut) / 2
        low, high = (round(at * audio.rate) for at in (begin, begin + cut))
        pieces.append(audio.samples[place:low])
        place = high
    pieces.append(audio.samples[place : round(end * audio.rate)])
    joined = Audio(_join(pieces, round(_FADE_SECONDS * audio.rate)), audio.rate)
    return change_tempo(joined, plan.tempo) if plan.tempo > 1 else joined


def _find_pauses(audio: Audio, pause: float) -> tuple[list[tuple[float, float]], float]:
    """Find what may be cut from pauses, s, and the end of the last sound, s."""
    samples = resample_audio(audio.samples, audio.rate)
    heard = find_sound(frame_levels_db(samples))
    hop = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
    (rows,) = np.nonzero(heard)
    if not len(rows):
        return [], 0.0
    found = []
    gaps = np.flatnonzero(np.diff(rows) > 1)
    for gap in gaps:
        first, last = (rows[gap] + 1) * hop, rows[gap + 1] * hop
        # Half of what stays lies on each side.
        if last - first > pause:
            found.append((float(first + pause / 2), float(last - pause / 2)))
    return found, min(float((rows[-1] + 1) * hop), audio.duration)


def _join(pieces: list[NDArray[np.float32]], fade: int) -> NDArray[np.float32]:
    """Join pieces; each ends and begins softly, so that nothing clicks."""
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    made = []
    for number, piece in enumerate(pieces):
        piece = piece.copy()
        size = min(fade, len(piece))
        if number > 0:
            piece[:size] *= ramp[:size]
        if number < len(pieces) - 1 and size:
            piece[-size:] *= ramp[:size][::-1]
        made.append(piece)
    return np.concatenate(made) if made else np.zeros(0, np.float32)
