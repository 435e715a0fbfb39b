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
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ, resample_audio
from dubfew.speech.espeak import get_synthesizer
from dubfew.speech.model import AudioLike
from dubfew.speech.transcript.dtw import align_with_pauses
from dubfew.speech.transcript.segments import split_transcript
from dubfew.speech.transcript.transcript import TranscriptCue
from dubfew.speech.transcript.tts_reference import (
    FRAME_SECONDS,
    REFERENCE_VOICES,
    SpokenReference,
    compute_cepstra,
    compute_loudness,
    synthesize_reference,
)
from dubfew.speech.visemes import SILENCE_SYMBOL, Phone
from dubfew.utils.arrays import FloatArray

# Nobody speaks faster; letters per second.
_MAX_LETTERS_PER_SECOND = 40
# How much faster and slower than espeak somebody may speak.
_DURATION_RATIO_RANGE = (0.4, 2.5)
# The most that ``TranscriptAlignment.cost_ratio`` may be. With a word or two it says nothing.
_MAX_COST_RATIO, _MAX_COST_RATIO_SHORT, _MIN_LONG_PHONES = 0.93, 1.0, 12


@dataclass(frozen=True)
class TranscriptAlignment:
    """Where a text is in a recording.

    Attributes:
        phones: sounds in order with their times in the recording, silence where it pauses.
        cost_ratio: cost of the alignment against that of the same sounds in wrong orders: 0.75 to
            0.9 where the text is what is said, about 1 where it is not.
        duration_ratio: time that the sounds take in the recording against the reference.
    """

    phones: tuple[Phone, ...]
    cost_ratio: float
    duration_ratio: float


def resolve_language(code: str) -> str:
    """espeak-ng's name of the voice for a language code such as ``de`` or ``pt-br``; of ``de-AT``,
    for which there is none, that of ``de`` (the lookup of RFC 4647).

    Raises:
        DubfewError: no such language.
        MissingDependencyError: no espeak-ng.
    """
    voices = get_synthesizer().voice_by_language()
    found = code.strip().lower().replace("_", "-")
    while found and found not in voices:
        found = found.rpartition("-")[0]
    if not found:
        raise DubfewError(f"no language {code!r}: there are {', '.join(sorted(voices))}")
    return voices[found]


def align_transcript(
    audio: AudioLike, cues: Sequence[TranscriptCue], language: str
) -> TranscriptAlignment:
    """Find a transcript's sounds in a recording.

    Subtitles are looked for around their times. A script without times is looked for as a whole in
    up to 45 s; in longer recordings at a coarse resolution first, then in passages of about 20 s,
    so that memory stays bounded.

    Args:
        audio: mono samples of any rate.
        cues: what is said, in order; all with times, or none.
        language: a code that ``resolve_language`` knows.

    Raises:
        DubfewError: no such language, or the text is not what is said.
        MissingDependencyError: no espeak-ng.
    """
    voice = resolve_language(language)
    samples = resample_audio(audio.samples, audio.rate)
    seconds = len(samples) / SPEECH_SAMPLE_RATE_HZ
    # Subtitles of a longer film than the sound that is given.
    cues = [cue for cue in cues if cue.start is None or cue.start < seconds]
    if not cues:
        raise DubfewError(f"every subtitle is later than the sound, which lasts {seconds:.1f} s")
    letters = sum(len(cue.text) for cue in cues)
    if letters > _MAX_LETTERS_PER_SECOND * (seconds + 1):
        raise DubfewError(
            f"the transcript has {letters} characters, the sound {seconds:.1f} s: "
            "give the text of this recording"
        )
    features, loud = compute_cepstra(samples), compute_loudness(samples)
    spoken = [
        synthesize_reference(cues, voice, variant, rate) for variant, rate in REFERENCE_VOICES
    ]
    phones: list[Phone] = []
    cost = wrong = heard = said = 0.0
    for passage in split_transcript(cues, spoken[0], features, loud):
        rows = slice(passage.start_frame, passage.stop_frame)
        found = _choose_reference(
            [reference.select_cues(passage.start_cue, passage.stop_cue) for reference in spoken],
            features[rows],
            loud[rows],
        )
        if found is None:
            continue
        phones += _phones_from_path(found, passage.start_frame * FRAME_SECONDS)
        frames = int((found.path >= 0).sum())
        cost += found.cost * frames
        wrong += found.wrong_cost * frames
        heard += frames
        said += len(found.reference.features)
    alignment = TranscriptAlignment(
        tuple(_insert_pauses(phones)),
        cost / wrong if wrong else np.inf,
        heard / said if said else 0.0,
    )
    _check_alignment(alignment, len(phones))
    return alignment


@dataclass(frozen=True)
class _SegmentAlignment:
    """A passage's reference in the recording.

    Attributes:
        reference: of the nearest voice.
        path: its frame in each of the recording's, -1 in pauses. [N]
        cost: per frame.
        wrong_cost: of its sounds in wrong orders.
    """

    reference: SpokenReference
    path: NDArray[np.int32]
    cost: float
    wrong_cost: float


def _choose_reference(
    references: list[SpokenReference], features: FloatArray, loud: FloatArray
) -> _SegmentAlignment | None:
    """The voice that is nearest to the recording; None where there is nothing to say."""
    best = None
    for reference in references:
        path, cost = align_with_pauses(
            reference.features, reference.phone_boundaries, features, loud
        )
        if np.isfinite(cost) and (best is None or cost < best[2]):
            best = reference, path, cost
    if best is None:
        return None
    reference, path, cost = best
    wrong = [
        align_with_pauses(rows, edges, features, loud)[1]
        for rows, edges in _reorder_reference(reference)
    ]
    return _SegmentAlignment(reference, path, cost, float(np.mean(wrong)))


def _reorder_reference(
    reference: SpokenReference,
) -> Iterator[tuple[FloatArray, NDArray[np.bool_]]]:
    """What the same voice would say if the text were another: backwards, and halves swapped."""
    edges = np.append(reference.phone_boundaries, True)
    yield reference.features[::-1], edges[:0:-1]
    half = int(reference.phone_starts[len(reference.phone_starts) // 2])
    yield np.roll(reference.features, -half, axis=0), np.roll(reference.phone_boundaries, -half)


def _phones_from_path(alignment: _SegmentAlignment, start: float) -> list[Phone]:
    """The reference's sounds at their times in the recording; none is lost, some are short."""
    frames = np.flatnonzero(alignment.path >= 0)
    place = alignment.path[frames]
    edges = np.append(alignment.reference.phone_starts, len(alignment.reference.features))
    order = np.searchsorted(place, edges)
    phones = []
    for symbol, first, last in zip(alignment.reference.symbols, order[:-1], order[1:], strict=True):
        begin = frames[min(first, len(frames) - 1)]
        end = frames[last - 1] + 1 if last > first else begin
        # Frame k is centred on k * FRAME, so it reaches from half a frame before.
        phones.append(
            Phone(symbol, *(float(start + max(0.0, k - 0.5) * FRAME_SECONDS) for k in (begin, end)))
        )
    return phones


def _insert_pauses(phones: Sequence[Phone]) -> Iterator[Phone]:
    """The sounds with silence in the gaps between them."""
    before = 0.0
    for phone in phones:
        if phone.start > before + FRAME_SECONDS / 2:
            yield Phone(SILENCE_SYMBOL, before, phone.start)
        yield phone
        before = phone.end


def _check_alignment(alignment: TranscriptAlignment, num_phones: int) -> None:
    limit = _MAX_COST_RATIO if num_phones >= _MIN_LONG_PHONES else _MAX_COST_RATIO_SHORT
    slow, fast = _DURATION_RATIO_RANGE[1], _DURATION_RATIO_RANGE[0]
    if not (alignment.cost_ratio <= limit and fast <= alignment.duration_ratio <= slow):
        raise DubfewError(
            f"the transcript is not what is said (likeness {alignment.cost_ratio:.2f}, at most "
            f"{limit}; {alignment.duration_ratio:.1f} times as long as spoken by espeak-ng, {fast} "
            "to "
            f"{slow}): check text, language and audio"
        )
