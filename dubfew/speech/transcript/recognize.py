"""Phonemes of real speech, by an off-the-shelf recogniser (PocketSphinx, optional).

A second opinion on what a mouth should do, to measure by (``evaluate --listen``) or to blend with
the model's own (``render --recognise``): nothing of it was trained by or for dubfew. Its model is
of American English; other languages come out as the English sounds that are nearest.
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

# CMU's phonemes, as its recogniser names them; those not here are noises.
IPA_BY_ARPABET = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ",
    "D": "d", "DH": "ð", "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h",
    "IH": "ɪ", "IY": "i", "JH": "dʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ",
    "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ",
    "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
# Recognised at once, s: the recogniser keeps every path it thought of until the end.
MAX_SEGMENT_SECONDS = 20.0
# Passages are cut at the quietest moment of their last seconds.
_CUT_WINDOW_SECONDS = 4.0
_NORMALIZED_PEAK = 0.9
_MIN_SEGMENT_SAMPLES = (
    SPEECH_SAMPLE_RATE_HZ // 10
)  # samples: the recogniser fails on less than a few frames
_DECODER_FRAME_SECONDS = 0.01  # s


def recognize_segment(samples: FloatArray) -> tuple[Phone, ...]:
    """Sounds of a passage with their times, gapless from 0 s on.

    Args:
        samples: mono at 16 kHz, some ten seconds. [n]

    Raises:
        MissingDependencyError: PocketSphinx is not installed.
    """
    decoder = _load_decoder()
    peak = float(np.abs(samples).max(initial=0.0))
    if len(samples) < _MIN_SEGMENT_SAMPLES or peak < MIN_AUDIBLE_PEAK:
        return (Phone(SILENCE_SYMBOL, 0.0, len(samples) / SPEECH_SAMPLE_RATE_HZ),)
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
        letters = split_ipa_letters(IPA_BY_ARPABET.get(segment.word, "")) or [SILENCE_SYMBOL]
        edges = np.linspace(start, end, len(letters) + 1)
        phones += map(Phone, letters, edges[:-1].tolist(), edges[1:].tolist())
    return tuple(phones)


def recognize_phones(blocks: Iterable[FloatArray]) -> tuple[Phone, ...]:
    """Sounds of a recording of any length; a passage of it is held at a time.

    Args:
        blocks: mono sound at 16 kHz, in order, as ``stream_audio`` gives it.

    Raises:
        MissingDependencyError: PocketSphinx is not installed.
    """
    phones: list[Phone] = []
    begin = 0
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
    """Gap between the lips that the recognised sounds ask for.

    Args:
        blocks: as for ``recognize_phones``.
        times: moments wanted, s; 0 is the first sample. [N]

    Returns:
        In inter-ocular distances; closed before and after the sound. [N]

    Raises:
        MissingDependencyError: PocketSphinx is not installed.
    """
    controls = blend_visemes(recognize_phones(blocks), times)
    return (controls[:, 0] - controls[:, 1]).astype(np.float64)


def _split_at_quiet(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """The sound in pieces of at most ``MAX_SEGMENT_SECONDS``, cut where it is quiet."""
    held = np.zeros(0, np.float32)
    longest, least = (
        int(MAX_SEGMENT_SECONDS * SPEECH_SAMPLE_RATE_HZ),
        int((MAX_SEGMENT_SECONDS - _CUT_WINDOW_SECONDS) * SPEECH_SAMPLE_RATE_HZ),
    )
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= longest:
            quietest = int(np.argmin(frame_levels_db(held[least:longest]))) * MEL_HOP_SAMPLES
            yield held[: least + quietest]
            held = held[least + quietest :]
    if len(held):
        yield held


@lru_cache(maxsize=1)
def _load_decoder() -> Any:
    sphinx = import_optional("pocketsphinx")
    model = Path(sphinx.get_model_path()) / "en-us"
    # A loop over phonemes with their bigrams. Wide beams: with no dictionary to help, the right
    # sound is often not the likeliest at first.
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
