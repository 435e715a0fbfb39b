"""Forced alignment: when every sound of a transcript is heard in a recording.

espeak-ng says the text, which gives sounds with times; its sound is warped onto the recording and
the times go along. Recording and reference are compared by cepstra whose mean and spread over the
speech are taken out, which is most of what sets one voice and microphone apart from another;
several reference voices are tried in every passage and the nearest is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.media.mel import RATE, prepare_samples
from dubfew.speech.espeak import espeak
from dubfew.speech.model import Sound
from dubfew.speech.transcript.dtw import warp
from dubfew.speech.transcript.segments import passages
from dubfew.speech.transcript.transcript import Cue
from dubfew.speech.transcript.tts_reference import FRAME, VOICES, Reference, cepstra, loudness, say
from dubfew.speech.visemes import SILENCE, Phone

FloatArray = NDArray[np.float32]

# Nobody speaks faster; letters per second.
_FASTEST = 40
# How much faster and slower than espeak somebody may speak.
_RATES = (0.4, 2.5)
# The most that ``Alignment.likeness`` may be. With a word or two it says nothing.
_LIKENESS, _FEW_LIKENESS, _FEW_SOUNDS = 0.93, 1.0, 12


@dataclass(frozen=True)
class Alignment:
    """Where a text is in a recording.

    Attributes:
        phones: sounds in order with their times in the recording, silence where it pauses.
        likeness: cost of the alignment against that of the same sounds in wrong orders: 0.75 to
            0.9 where the text is what is said, about 1 where it is not.
        stretch: time that the sounds take in the recording against the reference.
    """

    phones: tuple[Phone, ...]
    likeness: float
    stretch: float


def known_language(code: str) -> str:
    """espeak-ng's name of the voice for a language code such as ``de`` or ``pt-br``; of ``de-AT``,
    for which there is none, that of ``de`` (the lookup of RFC 4647).

    Raises:
        DubfewError: no such language.
        MissingDependencyError: no espeak-ng.
    """
    voices = espeak().voices()
    found = code.strip().lower().replace("_", "-")
    while found and found not in voices:
        found = found.rpartition("-")[0]
    if not found:
        raise DubfewError(f"no language {code!r}: there are {', '.join(sorted(voices))}")
    return voices[found]


def align(sound: Sound, cues: Sequence[Cue], language: str) -> Alignment:
    """Find a transcript's sounds in a recording.

    Subtitles are looked for around their times. A script without times is looked for as a whole
    in up to 45 s; in longer recordings at a coarse resolution first, then in passages of about
    20 s, so that memory stays bounded.

    Args:
        sound: mono samples of any rate.
        cues: what is said, in order; all with times, or none.
        language: a code that ``known_language`` knows.

    Raises:
        DubfewError: no such language, or the text is not what is said.
        MissingDependencyError: no espeak-ng.
    """
    voice = known_language(language)
    samples = prepare_samples(sound.samples, sound.rate)
    seconds = len(samples) / RATE
    # Subtitles of a longer film than the sound that is given.
    cues = [cue for cue in cues if cue.start is None or cue.start < seconds]
    if not cues:
        raise DubfewError(f"every subtitle is later than the sound, which lasts {seconds:.1f} s")
    letters = sum(len(cue.text) for cue in cues)
    if letters > _FASTEST * (seconds + 1):
        raise DubfewError(
            f"the transcript has {letters} characters, the sound {seconds:.1f} s: "
            "give the text of this recording"
        )
    features, loud = cepstra(samples), loudness(samples)
    spoken = [say(cues, voice, variant, rate) for variant, rate in VOICES]
    phones: list[Phone] = []
    cost = wrong = heard = said = 0.0
    for passage in passages(cues, spoken[0], features, loud):
        rows = slice(passage.start, passage.stop)
        found = _nearest(
            [reference.part(passage.first, passage.last) for reference in spoken],
            features[rows],
            loud[rows],
        )
        if found is None:
            continue
        phones += _sounds(found, passage.start * FRAME)
        frames = int((found.path >= 0).sum())
        cost += found.cost * frames
        wrong += found.wrong * frames
        heard += frames
        said += len(found.reference.features)
    alignment = Alignment(
        tuple(_paused(phones)), cost / wrong if wrong else np.inf, heard / said if said else 0.0
    )
    _check(alignment, len(phones))
    return alignment


@dataclass(frozen=True)
class _Found:
    """A passage's reference in the recording.

    Attributes:
        reference: of the nearest voice.
        path: its frame in each of the recording's, -1 in pauses. [N]
        cost: per frame.
        wrong: of its sounds in wrong orders.
    """

    reference: Reference
    path: NDArray[np.int32]
    cost: float
    wrong: float


def _nearest(references: list[Reference], features: FloatArray, loud: FloatArray) -> _Found | None:
    """The voice that is nearest to the recording; None where there is nothing to say."""
    best = None
    for reference in references:
        path, cost = warp(reference.features, reference.boundary, features, loud)
        if np.isfinite(cost) and (best is None or cost < best[2]):
            best = reference, path, cost
    if best is None:
        return None
    reference, path, cost = best
    wrong = [warp(rows, edges, features, loud)[1] for rows, edges in _wrong_orders(reference)]
    return _Found(reference, path, cost, float(np.mean(wrong)))


def _wrong_orders(reference: Reference) -> Iterator[tuple[FloatArray, NDArray[np.bool_]]]:
    """What the same voice would say if the text were another: backwards, and halves swapped."""
    edges = np.append(reference.boundary, True)
    yield reference.features[::-1], edges[:0:-1]
    half = int(reference.starts[len(reference.starts) // 2])
    yield np.roll(reference.features, -half, axis=0), np.roll(reference.boundary, -half)


def _sounds(found: _Found, start: float) -> list[Phone]:
    """The reference's sounds at their times in the recording; none is lost, some are short."""
    frames = np.flatnonzero(found.path >= 0)
    place = found.path[frames]
    edges = np.append(found.reference.starts, len(found.reference.features))
    order = np.searchsorted(place, edges)
    phones = []
    for symbol, first, last in zip(found.reference.symbols, order[:-1], order[1:], strict=True):
        begin = frames[min(first, len(frames) - 1)]
        end = frames[last - 1] + 1 if last > first else begin
        # Frame k is centred on k * FRAME, so it reaches from half a frame before.
        phones.append(
            Phone(symbol, *(float(start + max(0.0, k - 0.5) * FRAME) for k in (begin, end)))
        )
    return phones


def _paused(phones: Sequence[Phone]) -> Iterator[Phone]:
    """The sounds with silence in the gaps between them."""
    before = 0.0
    for phone in phones:
        if phone.start > before + FRAME / 2:
            yield Phone(SILENCE, before, phone.start)
        yield phone
        before = phone.end


def _check(alignment: Alignment, sounds: int) -> None:
    limit = _LIKENESS if sounds >= _FEW_SOUNDS else _FEW_LIKENESS
    slow, fast = _RATES[1], _RATES[0]
    if not (alignment.likeness <= limit and fast <= alignment.stretch <= slow):
        raise DubfewError(
            f"the transcript is not what is said (likeness {alignment.likeness:.2f}, at most "
            f"{limit}; {alignment.stretch:.1f} times as long as spoken by espeak-ng, {fast} to "
            f"{slow}): check text, language and audio"
        )
