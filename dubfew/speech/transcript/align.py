"""Forced alignment: the times at which the sounds of a transcript are spoken in a recording.

espeak-ng speaks the text, which gives sounds with times. Its sound is warped onto the recording and
the times are carried along. Recording and reference are compared by cepstra with the mean and
spread over the speech removed, which is most of the difference between voices and microphones.
Several reference voices are tried in every segment, and the nearest is kept.
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

# Letters per second above which a transcript is refused: no one speaks so fast.
_MAX_LETTERS_PER_SECOND = 40
# Range of the speech's duration relative to espeak-ng's; outside of it the text is not what is
# spoken.
_DURATION_RATIO_RANGE = (0.4, 2.5)
# Largest `TranscriptAlignment.cost_ratio` that is accepted; the second one is for texts with fewer
# phones than the third, in which the ratio is mostly chance. Right texts reach 0.75 to 0.9; a
# lower limit would refuse them in noise, a higher one accept wrong texts.
_MAX_COST_RATIO, _MAX_COST_RATIO_SHORT, _MIN_LONG_PHONES = 0.93, 1.0, 12


@dataclass(frozen=True)
class TranscriptAlignment:
    """Position of a text in a recording.

    Attributes:
        phones: phones in order with their times in the recording, and silence in its pauses.
        cost_ratio: cost of the alignment relative to that of the same sounds in wrong orders: 0.75
            to 0.9 if the text is spoken there, about 1 if not.
        duration_ratio: duration of the sounds in the recording relative to the reference.
    """

    phones: tuple[Phone, ...]
    cost_ratio: float
    duration_ratio: float


def resolve_language(code: str) -> str:
    """Find espeak-ng's voice for a language code such as ``de`` or ``pt-br``.

    Codes without a voice fall back to shorter ones, ``de-AT`` to ``de`` (the lookup of RFC 4647).

    Raises:
        DubfewError: There is no such language.
        MissingDependencyError: espeak-ng is not installed.
    """
    voices = get_synthesizer().voice_by_language()
    # Drop subtags from the end until a voice is known.
    found = code.strip().lower().replace("_", "-")
    while found and found not in voices:
        found = found.rpartition("-")[0]
    if not found:
        raise DubfewError(f"no language {code!r}: there are {', '.join(sorted(voices))}")
    return voices[found]


def align_transcript(
    audio: AudioLike, cues: Sequence[TranscriptCue], language: str
) -> TranscriptAlignment:
    """Find the times of a transcript's sounds in a recording.

    Subtitles are searched for around their times. A script without times is searched for as a whole
    in recordings of up to 45 s; in longer ones at a coarse resolution first, then in segments of
    about 20 s, so that memory stays bounded.

    Args:
        audio: mono samples of any rate.
        cues: spoken lines in order; either all have times or none has.
        language: code that `resolve_language` knows.

    Raises:
        DubfewError: There is no such language, or the text is not what is spoken.
        MissingDependencyError: espeak-ng is not installed.
    """
    voice = resolve_language(language)
    samples = resample_audio(audio.samples, audio.rate)
    seconds = len(samples) / SPEECH_SAMPLE_RATE_HZ
    # Leave out subtitles after the end of the sound, as when the sound is a part of a film.
    cues = [cue for cue in cues if cue.start is None or cue.start < seconds]
    if not cues:
        raise DubfewError(
            f"every subtitle begins after the end of the sound, which lasts {seconds:.1f} s: "
            "check the times"
        )
    # A text that is much too long would take minutes to align before it is refused.
    letters = sum(len(cue.text) for cue in cues)
    if letters > _MAX_LETTERS_PER_SECOND * (seconds + 1):
        raise DubfewError(
            f"the transcript has {letters} characters, the sound {seconds:.1f} s: "
            "give the text of this recording"
        )
    features, loudness = compute_cepstra(samples), compute_loudness(samples)
    references = [
        synthesize_reference(cues, voice, variant, rate) for variant, rate in REFERENCE_VOICES
    ]
    phones: list[Phone] = []
    # Sums over segments, weighted by their spoken frames.
    cost = wrong_cost = spoken_frames = reference_frames = 0.0
    for segment in split_transcript(cues, references[0], features, loudness):
        rows = slice(segment.start_frame, segment.stop_frame)
        found = _choose_reference(
            [each.select_cues(segment.start_cue, segment.stop_cue) for each in references],
            features[rows],
            loudness[rows],
        )
        if found is None:
            continue
        phones += _phones_from_path(found, segment.start_frame * FRAME_SECONDS)
        num_spoken = int((found.path >= 0).sum())
        cost += found.cost * num_spoken
        wrong_cost += found.wrong_cost * num_spoken
        spoken_frames += num_spoken
        reference_frames += len(found.reference.features)
    alignment = TranscriptAlignment(
        tuple(_insert_pauses(phones)),
        cost / wrong_cost if wrong_cost else np.inf,
        spoken_frames / reference_frames if reference_frames else 0.0,
    )
    _check_alignment(alignment, len(phones))
    return alignment


@dataclass(frozen=True)
class _SegmentAlignment:
    """The reference of one segment, aligned with the recording.

    Attributes:
        reference: reference of the nearest voice.
        path: reference frame at each frame of the recording, -1 in pauses. [N]
        cost: mean cost per spoken frame.
        wrong_cost: the same for the reference's sounds in wrong orders.
    """

    reference: SpokenReference
    path: NDArray[np.int32]
    cost: float
    wrong_cost: float


def _choose_reference(
    references: list[SpokenReference], features: FloatArray, loudness: FloatArray
) -> _SegmentAlignment | None:
    """Align every voice and keep the nearest; None if the segment cannot be aligned."""
    best = None
    for reference in references:
        path, cost = align_with_pauses(
            reference.features, reference.phone_boundaries, features, loudness
        )
        if np.isfinite(cost) and (best is None or cost < best[2]):
            best = reference, path, cost
    if best is None:
        return None
    reference, path, cost = best
    # Costs of wrong texts in the same voice, to compare with.
    wrong_costs = [
        align_with_pauses(rows, edges, features, loudness)[1]
        for rows, edges in _reorder_reference(reference)
    ]
    return _SegmentAlignment(reference, path, cost, float(np.mean(wrong_costs)))


def _reorder_reference(
    reference: SpokenReference,
) -> Iterator[tuple[FloatArray, NDArray[np.bool_]]]:
    """Yield features and boundaries of wrong texts in this voice: reversed, and halves swapped."""
    # Reversed phones begin where they ended before.
    edges = np.append(reference.phone_boundaries, True)
    yield reference.features[::-1], edges[:0:-1]
    # The cut lies between two phones.
    half = int(reference.phone_starts[len(reference.phone_starts) // 2])
    yield np.roll(reference.features, -half, axis=0), np.roll(reference.phone_boundaries, -half)


def _phones_from_path(alignment: _SegmentAlignment, start: float) -> list[Phone]:
    """Read the times of the reference's phones off the path; all are kept, some get short."""
    # Spoken frames of the recording, and for each phone the range of them on its reference frames.
    frames = np.flatnonzero(alignment.path >= 0)
    place = alignment.path[frames]
    edges = np.append(alignment.reference.phone_starts, len(alignment.reference.features))
    order = np.searchsorted(place, edges)
    phones = []
    for symbol, first, last in zip(alignment.reference.symbols, order[:-1], order[1:], strict=True):
        begin = frames[min(first, len(frames) - 1)]
        end = frames[last - 1] + 1 if last > first else begin
        # Frame k is centered on k * FRAME_SECONDS, so it begins half a frame earlier.
        phones.append(
            Phone(symbol, *(float(start + max(0.0, k - 0.5) * FRAME_SECONDS) for k in (begin, end)))
        )
    return phones


def _insert_pauses(phones: Sequence[Phone]) -> Iterator[Phone]:
    """Yield the phones with silence in the gaps between them."""
    before = 0.0
    for phone in phones:
        if phone.start > before + FRAME_SECONDS / 2:
            yield Phone(SILENCE_SYMBOL, before, phone.start)
        yield phone
        before = phone.end


def _check_alignment(alignment: TranscriptAlignment, num_phones: int) -> None:
    """Raise DubfewError if the text does not fit the recording."""
    limit = _MAX_COST_RATIO if num_phones >= _MIN_LONG_PHONES else _MAX_COST_RATIO_SHORT
    slow, fast = _DURATION_RATIO_RANGE[1], _DURATION_RATIO_RANGE[0]
    if not (alignment.cost_ratio <= limit and fast <= alignment.duration_ratio <= slow):
        raise DubfewError(
            f"the transcript is not what is spoken (cost ratio {alignment.cost_ratio:.2f}, at most "
            f"{limit}; {alignment.duration_ratio:.1f} times as long as spoken by espeak-ng, {fast} "
            f"to {slow}): check text, language and audio"
        )
