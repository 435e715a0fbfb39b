"""Visemes: from phones with known times to mouth motion.

Five controls describe a mouth. Their effect on the other points of the lower face is linear and was
fitted to real footage (``weights/fields.safetensors``).
"""

# ruff: noqa: RUF001 - the letters of the International Phonetic Alphabet look like others.
from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, MouthMotion, mouth_point_rows
from dubfew.utils.arrays import FloatArray

# Lead of the mouth over the sound, s: lips part before a vowel begins. This is the median best lag
# of the training clips against motion that is timed by the phones in the sound.
MOUTH_LEAD_SECONDS = 0.04

# Controls that describe a mouth, in this order: vertical position of the upper and the lower inner
# lip, change of the mouth's width, lips forward, vertical position of the chin.
MOUTH_CONTROLS = ("upper", "lower", "width", "purse", "chin")
# Symbol of a phone in which nothing is spoken.
SILENCE_SYMBOL = ""


@dataclass(frozen=True)
class Phone:
    """A speech sound and its time.

    Attributes:
        symbol: one IPA letter, or `SILENCE_SYMBOL`.
        start: s.
        end: s.
    """

    symbol: str
    start: float
    end: float


@dataclass(frozen=True)
class Viseme:
    """Target of the mouth for one sound, in inter-ocular distances, and its weights.

    Attributes:
        gap: gap between the inner lips.
        jaw: distance of the chin below its position at rest.
        width: change of the mouth's width from rest.
        purse: distance of the lips in front of their position at rest.
        lift: upward shift of both inner lips (for /f/ the lower lip goes to the teeth).
        gap_firm: weight of ``gap`` and ``jaw`` against those of neighboring sounds.
        shape_firm: weight of ``width`` and ``purse`` against those of neighboring sounds.
    """

    gap: float
    jaw: float
    width: float = 0.0
    purse: float = 0.0
    lift: float = 0.0
    gap_firm: float = 1.0
    shape_firm: float = 0.5


# Visemes of groups of sounds. Openings follow running speech on film (median 0.07, nine tenths
# below 0.15), not phonetics plates: citation forms open twice as far.
_BILABIAL = Viseme(0.0, 0.005, gap_firm=40.0, shape_firm=0.2)
_LABIODENTAL = Viseme(0.022, 0.01, lift=0.012, gap_firm=12.0, shape_firm=0.3)
_ALVEOLAR = Viseme(0.06, 0.02, 0.01, gap_firm=1.0, shape_firm=0.2)  # t d n
_SIBILANT = Viseme(0.045, 0.008, 0.025, gap_firm=2.0, shape_firm=0.5)
_POSTALVEOLAR = Viseme(0.05, 0.01, -0.05, 0.025, gap_firm=2.0, shape_firm=1.2)
_VELAR = Viseme(0.075, 0.03, gap_firm=0.6, shape_firm=0.1)  # k g
_GLOTTAL = Viseme(0.09, 0.04, gap_firm=0.3, shape_firm=0.05)  # h has the shape of its neighbors
_PALATAL_GLIDE = Viseme(0.06, 0.015, 0.035, shape_firm=1.0)
_RHOTIC = Viseme(0.065, 0.02, -0.03, 0.012, shape_firm=0.6)
_TRILL = Viseme(0.075, 0.03, gap_firm=0.7, shape_firm=0.15)
_ROUNDED_GLIDE = Viseme(0.03, 0.015, -0.12, 0.035, gap_firm=3.0, shape_firm=3.0)


def _make_vowel(gap: float, jaw: float, width: float, purse: float = 0.0) -> Viseme:
    """Make a vowel; rounded ones hold their shape more firmly."""
    return Viseme(gap, jaw, width, purse, gap_firm=1.6, shape_firm=2.0 if purse else 1.0)


# Viseme of every IPA letter that has one, and of silence.
VISEME_BY_LETTER: dict[str, Viseme] = {
    SILENCE_SYMBOL: Viseme(0.0, 0.0, gap_firm=1.5, shape_firm=0.7),
    **dict.fromkeys("pbmɓʙ", _BILABIAL),
    **dict.fromkeys("fvɱ", _LABIODENTAL),
    **dict.fromkeys("ɸβʋ", Viseme(0.03, 0.012, gap_firm=5.0, shape_firm=0.3)),
    **dict.fromkeys("tdnʈɖɳɗ", _ALVEOLAR),
    **dict.fromkeys("θð", Viseme(0.065, 0.02, 0.01, gap_firm=1.5, shape_firm=0.3)),
    **dict.fromkeys("szɬɮ", _SIBILANT),
    **dict.fromkeys("ʃʒʂʐɕʑ", _POSTALVEOLAR),
    **dict.fromkeys("kɡgŋɣxcɟɲçʝɴqχʁ", _VELAR),
    **dict.fromkeys("hɦħʕʔ", _GLOTTAL),
    **dict.fromkeys("jʎ", _PALATAL_GLIDE),
    **dict.fromkeys("lɫɭʟ", Viseme(0.08, 0.03, 0.005, gap_firm=0.8, shape_firm=0.2)),
    **dict.fromkeys("ɹɻɚɝ", _RHOTIC),
    **dict.fromkeys("rɾɽʀ", _TRILL),
    **dict.fromkeys("wɥʍ", _ROUNDED_GLIDE),
    **dict.fromkeys("iɪᵻ", _make_vowel(0.075, 0.02, 0.045)),
    **dict.fromkeys("eɘ", _make_vowel(0.105, 0.035, 0.04)),
    **dict.fromkeys("ɛ", _make_vowel(0.135, 0.05, 0.03)),
    **dict.fromkeys("æ", _make_vowel(0.17, 0.075, 0.03)),
    **dict.fromkeys("aɑɐ", _make_vowel(0.18, 0.085, 0.0)),
    **dict.fromkeys("ʌɜ", _make_vowel(0.135, 0.06, 0.0)),
    **dict.fromkeys("əɨɯɤ", _make_vowel(0.09, 0.035, 0.0)),
    **dict.fromkeys("ɒɔ", _make_vowel(0.14, 0.07, -0.06, 0.015)),
    **dict.fromkeys("oɵ", _make_vowel(0.10, 0.05, -0.085, 0.025)),
    **dict.fromkeys("uʊʉ", _make_vowel(0.05, 0.025, -0.115, 0.035)),
    **dict.fromkeys("yʏø", _make_vowel(0.055, 0.025, -0.105, 0.035)),
    **dict.fromkeys("œɶ", _make_vowel(0.10, 0.045, -0.07, 0.022)),
}  # fmt: skip
# Groups of letters: lips shut, wide open vowels, all vowels, plosives (whose closure is silent).
BILABIAL_LETTERS = frozenset("pbm")
OPEN_VOWEL_LETTERS = frozenset("aɑɐæɛʌ")
VOWEL_LETTERS = OPEN_VOWEL_LETTERS | frozenset("iɪᵻeɘɜəɨɯɤɒɔoɵuʊʉyʏøœɶ")
PLOSIVE_LETTERS = frozenset("pbtdkɡgqcɟʈɖʔ")

# Width of a sound's influence on a control before and after its own time, s: lips are quick, the
# jaw is heavy, rounding spreads over a syllable. Larger values blur closures.
_COARTICULATION_SECONDS = {"gap": 0.055, "jaw": 0.07, "shape": 0.09}
# Time beyond which a sound has no influence, s, and times that are blended at once: an hour of
# sounds by an hour of times would not fit into memory.
_MAX_INFLUENCE_SECONDS, _TIMES_PER_BLOCK = 1.0, 500
# The plateau of a sound's weight ends this far inside of its borders: a fraction of its duration,
# and at most this many seconds.
_EDGE_FRACTION, _MAX_EDGE_SECONDS = 1 / 4, 0.04
# Silence that is added before the first and after the last sound, s, longer than any influence.
_OUTER_SILENCE_SECONDS = 60.0
# Fractions of the lip gap by which the upper lip rises and the lower lip falls; the jaw carries the
# lower lip.
_UPPER_LIP_FRACTION, _LOWER_LIP_FRACTION = 0.28, 0.72


def split_ipa_letters(phoneme: str) -> list[str]:
    """Split a phoneme's name into IPA letters that have a viseme, without stress and tone.

    Example:
        >>> split_ipa_letters("ts5")
        ['t', 's']
    """
    plain = unicodedata.normalize("NFD", phoneme)
    return [letter for letter in plain if letter in VISEME_BY_LETTER and letter]


def blend_visemes(
    phones: Sequence[Phone],
    times: NDArray[np.float64],  # [N]
) -> FloatArray:  # [N, 5]
    """Blend the visemes of a sequence of sounds.

    Each sound has full weight inside of its time and a Gaussian falloff around it; a control's
    value is the weighted mean. Firm sounds (closures) win. Before the first sound and after the
    last one there is silence.

    Args:
        phones: sounds in order of time.
        times: times to compute, s. [N]

    Returns:
        `MOUTH_CONTROLS` in inter-ocular distances. [N, 5]

    Source: Cohen and Massaro 1993, Modeling Coarticulation in Synthetic Visual Speech (Models and
    Techniques in Computer Animation): dominance functions.

    Example:
        >>> controls = blend_visemes([Phone("a", 0.0, 0.4)], np.array([0.2]))
        >>> round(float(controls[0, 0] - controls[0, 1]), 2)
        0.18
    """
    # In blocks, each with the few sounds that can reach it.
    blocks = [
        times[start : start + _TIMES_PER_BLOCK] for start in range(0, len(times), _TIMES_PER_BLOCK)
    ]
    found = [_blend_block(_phones_near(phones, block), block) for block in blocks]
    return np.concatenate([np.zeros((0, len(MOUTH_CONTROLS)), np.float32), *found])


def _phones_near(phones: Sequence[Phone], times: NDArray[np.float64]) -> list[Phone]:
    """Select the sounds that have influence at some of these times."""
    first, last = times.min() - _MAX_INFLUENCE_SECONDS, times.max() + _MAX_INFLUENCE_SECONDS
    return [phone for phone in phones if phone.end > first and phone.start < last]


def _blend_block(phones: list[Phone], times: NDArray[np.float64]) -> FloatArray:
    """Blend visemes for a block of times. [N, 5]"""
    # Silence around the sounds.
    first = phones[0].start if phones else 0.0
    last = phones[-1].end if phones else 0.0
    phones = [
        Phone(SILENCE_SYMBOL, first - _OUTER_SILENCE_SECONDS, first),
        *phones,
        Phone(SILENCE_SYMBOL, last, last + _OUTER_SILENCE_SECONDS),
    ]
    visemes = [VISEME_BY_LETTER[phone.symbol] for phone in phones]
    start = np.array([phone.start for phone in phones])
    end = np.array([phone.end for phone in phones])
    # Distance of each time from the plateau of each sound, s. [N, number of phones]
    edge = np.minimum((end - start) * _EDGE_FRACTION, _MAX_EDGE_SECONDS)
    outside = np.maximum(
        0.0, np.maximum(start + edge - times[:, None], times[:, None] - end + edge)
    )

    def blend_controls(names: tuple[str, ...], firm: str, reach: float) -> list[NDArray]:
        firmness = np.array([getattr(viseme, firm) for viseme in visemes])
        # Firm sounds reach less far; otherwise a closure's weight would reach into the vowels.
        narrow = reach / np.sqrt(1 + np.log(np.maximum(firmness, 1.0)))
        # The small constant avoids 0 / 0 far from every sound.
        weight = firmness * np.exp(-((outside / narrow) ** 2)) + 1e-9
        weight /= weight.sum(axis=1, keepdims=True)
        return [weight @ np.array([getattr(v, name) for v in visemes]) for name in names]

    gap, lift = blend_controls(("gap", "lift"), "gap_firm", _COARTICULATION_SECONDS["gap"])
    (jaw,) = blend_controls(("jaw",), "gap_firm", _COARTICULATION_SECONDS["jaw"])
    width, purse = blend_controls(
        ("width", "purse"), "shape_firm", _COARTICULATION_SECONDS["shape"]
    )
    upper = _UPPER_LIP_FRACTION * gap + lift
    lower = -_LOWER_LIP_FRACTION * gap + lift
    return np.stack([upper, lower, width, purse, -jaw], 1).astype(np.float32)


def controls_from_motion(motion: MouthMotion) -> FloatArray:
    """Compute the controls of a motion: linear functions of its displacements. [N, 5]"""
    # In the order of MOUTH_CONTROLS.
    d = motion.displacement
    upper, lower = np.array([mouth_point_rows(pair) for pair in INNER_LIP_PAIRS]).T
    return np.stack(
        [
            d[:, upper, 1].mean(axis=1),
            d[:, lower, 1].mean(axis=1),
            motion.width_change(),
            d[:, mouth_point_rows((0, 13, 14, 17)), 2].mean(axis=1),
            d[:, mouth_point_rows((152,))[0], 1],
        ],
        axis=1,
    ).astype(np.float32)


def fit_viseme_basis(motions: Iterable[MouthMotion], ridge: float = 1e-3) -> FloatArray:
    """Fit the motion of the whole lower face to the controls, by ridge regression on real motion.

    Args:
        motions: tracked motion of several people, at least one; one after the other is in memory.
        ridge: regularization relative to the controls' mean square; small, so that it only keeps
            footage without motion harmless.

    Returns:
        Displacement per unit of each control. [5, P, 3]
    """
    # Normal equations, summed over people, with the ridge on their diagonal.
    gram, moments = np.zeros((len(MOUTH_CONTROLS),) * 2), np.zeros(())
    for motion in motions:
        controls = controls_from_motion(motion).astype(np.float64)
        gram += controls.T @ controls
        moments = moments + controls.T @ motion.displacement.reshape(len(motion), -1)
    gram += ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    basis = np.linalg.solve(gram, moments)
    return basis.reshape(len(MOUTH_CONTROLS), -1, 3).astype(np.float32)


def motion_from_phones(
    phones: Sequence[Phone],
    times: NDArray[np.float64],  # [N]
    basis: FloatArray,  # [5, P, 3]
) -> MouthMotion:
    """Compute the mouth motion of sounds with known times.

    Args:
        phones: sounds in order of time.
        times: times to compute, s. [N]
        basis: displacement per unit of each control. [5, P, 3]
    """
    displacement = np.tensordot(blend_visemes(phones, times), basis, axes=1)
    return MouthMotion(displacement.astype(np.float32), np.asarray(times, np.float64))
