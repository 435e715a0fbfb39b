"""Recognition of phonemes in real speech by PocketSphinx (optional).

It is a second source for mouth motion, to measure with (``evaluate --listen``) or to blend with the
model's own motion (``render --recognise``). No part of it was trained by or for dubfew. Its model
is of American English; other languages come out as the nearest English sounds.
"""

# ruff: noqa: RUF001 - the letters of the International Phonetic Alphabet look like others.
from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.media.audio import MIN_AUDIBLE_PEAK
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ, frame_levels_db
from dubfew.speech.visemes import SILENCE_SYMBOL, Phone, blend_visemes, split_ipa_letters
from dubfew.utils.arrays import FloatArray
from dubfew.utils.import_utils import import_optional

# IPA of CMU's phonemes, by the names that PocketSphinx gives them; other names are noises.
IPA_BY_ARPABET = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ",
    "D": "d", "DH": "ð", "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h",
    "IH": "ɪ", "IY": "i", "JH": "dʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ",
    "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ",
    "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
# Longest segment that is recognized at once, s: the recognizer keeps every path in memory until the
# end.
MAX_SEGMENT_SECONDS = 20.0
# Segments are cut at the quietest moment of this many last seconds.
_CUT_WINDOW_SECONDS = 4.0
# Peak to which segments are amplified before recognition; full scale is 1.
_NORMALIZED_PEAK = 0.9
# Shortest segment that is recognized, samples (0.1 s): the recognizer fails on fewer than a few
# frames.
_MIN_SEGMENT_SAMPLES = SPEECH_SAMPLE_RATE_HZ // 10
# Step of the recognizer's frames, s.
_DECODER_FRAME_SECONDS = 0.01


def recognize_segment(samples: FloatArray) -> tuple[Phone, ...]:
    """Recognize the phones of a short segment.

    Args:
        samples: mono at 16 kHz, some ten seconds. [n]

    Returns:
        Phones with their times, without gaps from 0 s on.

    Raises:
        MissingDependencyError: PocketSphinx is not installed.
    """
    decoder = _load_decoder()
    peak = float(np.abs(samples).max(initial=0.0))
    if len(samples) < _MIN_SEGMENT_SAMPLES or peak < MIN_AUDIBLE_PEAK:
        return (Phone(SILENCE_SYMBOL, 0.0, len(samples) / SPEECH_SAMPLE_RATE_HZ),)
    # The recognizer takes 16-bit samples.
    pcm = (samples * (_NORMALIZED_PEAK / peak) * 32767).astype("<i2").tobytes()
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    phones: list[Phone] = []
    for segment in decoder.seg() or ():
        start, end = (
            segment.start_frame * _DECODER_FRAME_SECONDS,
            (segment.end_frame + 1) * _DECODER_FRAME_SECONDS,
        )
        # Diphthongs and affricates are split evenly into their letters.
        letters = split_ipa_letters(IPA_BY_ARPABET.get(segment.word, "")) or [SILENCE_SYMBOL]
        edges = np.linspace(start, end, len(letters) + 1)
        phones += map(Phone, letters, edges[:-1].tolist(), edges[1:].tolist())
    return tuple(phones)


def recognize_phones(blocks: Iterable[FloatArray]) -> tuple[Phone, ...]:
    """Recognize the phones of a recording of any length, one segment in memory at a time.

    Args:
        blocks: mono samples at 16 kHz, in order, as `stream_audio` yields them.

    Returns:
        Phones with their times in the recording.

    Raises:
        MissingDependencyError: PocketSphinx is not installed.
    """
    phones: list[Phone] = []
    begin = 0  # first sample of the segment
    for samples in _split_at_quiet(blocks):
        offset = begin / SPEECH_SAMPLE_RATE_HZ
        for phone in recognize_segment(samples):
            phones.append(Phone(phone.symbol, phone.start + offset, phone.end + offset))
        begin += len(samples)
    return tuple(phones)


def recognize_lip_gap(
    blocks: Iterable[FloatArray],
    times: NDArray[np.float64],  # [N]
) -> NDArray[np.float64]:  # [N]
    """Compute the lip gap that the recognized phones of a recording require.

    Args:
        blocks: mono samples at 16 kHz, in order, as `stream_audio` yields them.
        times: times to compute, s; 0 is the first sample. [N]

    Returns:
        Gap in inter-ocular distances; closed before and after the sound. [N]

    Raises:
        MissingDependencyError: PocketSphinx is not installed.
    """
    controls = blend_visemes(recognize_phones(blocks), times)
    return (controls[:, 0] - controls[:, 1]).astype(np.float64)


def _split_at_quiet(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Yield the sound in segments of at most `MAX_SEGMENT_SECONDS`, cut where it is quiet."""
    pending = np.zeros(0, np.float32)
    longest = int(MAX_SEGMENT_SECONDS * SPEECH_SAMPLE_RATE_HZ)
    shortest = int((MAX_SEGMENT_SECONDS - _CUT_WINDOW_SECONDS) * SPEECH_SAMPLE_RATE_HZ)
    for block in blocks:
        pending = np.concatenate([pending, block])
        while len(pending) >= longest:
            levels = frame_levels_db(pending[shortest:longest])
            cut = shortest + int(np.argmin(levels)) * MEL_HOP_SAMPLES
            yield pending[:cut]
            pending = pending[cut:]
    if len(pending):
        yield pending


@lru_cache(maxsize=1)
def _load_decoder() -> Any:
    """Load PocketSphinx's phoneme decoder, once per process."""
    sphinx = import_optional("pocketsphinx")
    model = Path(sphinx.get_model_path()) / "en-us"
    # A loop over phonemes with a bigram model. The beams are wide: without a dictionary the right
    # phoneme is often not the most probable one at first.
    return sphinx.Decoder(
        hmm=str(model / "en-us"),
        allphone=str(model / "en-us-phone.lm.bin"),
        lm=None,
        dict=None,
        lw=2.0,
        beam=1e-20,
        pbeam=1e-20,
        loglevel="FATAL",
    )
