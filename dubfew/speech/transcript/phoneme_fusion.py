"""Sharpen a motion that was predicted from sound by sounds whose times are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.model import MOUTH_LEAD_SECONDS
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import VISEME_BY_LETTER, Phone, motion_from_phones
from dubfew.utils.arrays import FloatArray

# The text's share in sounds that leave the lips free.
TEXT_WEIGHT = 0.3
# Sounds that hold the lips so firmly (``Viseme.gap_firm``) are the text's alone: closures and
# labiodentals. Over so many seconds around them the share changes from one to the other.
_MIN_FIRM_WEIGHT, _FIRM_RAMP_SECONDS = 10.0, 0.03
# The text says nothing where the lips stay under this share of their usual gap for as long as
# this around, s: what is not heard is not said.
_AUDIBLE_GAP_FRACTION, _AUDIBLE_REACH_SECONDS = 0.3, 0.15
# However little is heard or written, the text's openings are not made smaller or larger than so.
_SCALE_RANGE = (0.3, 2.0)
_GRID_STEP_SECONDS = 0.01


def fuse_phonemes(
    predicted: MouthMotion,
    phones: Sequence[Phone],
    *,
    lead: float = MOUTH_LEAD_SECONDS,
    text_weight: float = TEXT_WEIGHT,
) -> MouthMotion:
    """Blend what was heard with what the text says.

    Amplitude and rest are those of the heard motion: the text's openings are brought to the same
    size and count only where something is heard. Sounds that hold the lips have the text's shape.

    Args:
        predicted: predicted from the sound, in order of time.
        phones: sounds with their times; none leaves all as it is.
        lead: how far the mouth is ahead of the sound, s.
        text_weight: of the text in sounds that leave the lips free.
    """
    if not phones or not len(predicted):
        return predicted
    times = predicted.times + lead
    text = motion_from_phones(phones, times, load_viseme_basis())
    gap = _rms_gap(predicted.aperture())
    scale = np.clip(gap / max(_rms_gap(text.aperture()), 1e-6), *_SCALE_RANGE)
    weight = text_weight + (1 - text_weight) * lip_firmness(phones, times)
    weight = (weight * _audible_weight(predicted, gap)).astype(np.float32)[:, None, None]
    mixed = (1 - weight) * predicted.displacement + weight * np.float32(scale) * text.displacement
    return MouthMotion(mixed, predicted.times)


def lip_firmness(phones: Sequence[Phone], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 in sounds that hold the lips, 0 in others, with ramps between. [N]"""
    result = np.zeros(len(times))
    for phone in phones:
        if VISEME_BY_LETTER[phone.symbol].gap_firm >= _MIN_FIRM_WEIGHT:
            near = slice(
                *np.searchsorted(
                    times, [phone.start - _FIRM_RAMP_SECONDS, phone.end + _FIRM_RAMP_SECONDS]
                )
            )
            away = np.maximum(phone.start - times[near], times[near] - phone.end)
            result[near] = np.maximum(result[near], 1 - np.maximum(away, 0.0) / _FIRM_RAMP_SECONDS)
    return result


def _audible_weight(predicted: MouthMotion, usual_gap: float) -> NDArray[np.float64]:
    """1 where the mouth moves, or did or will shortly, 0 where it rests. [N]"""
    grid = np.arange(
        predicted.times[0], predicted.times[-1] + _GRID_STEP_SECONDS, _GRID_STEP_SECONDS
    )
    opening = np.interp(grid, predicted.times, np.abs(predicted.aperture()))
    widest = maximum_filter1d(
        opening, 2 * round(_AUDIBLE_REACH_SECONDS / _GRID_STEP_SECONDS) + 1, mode="nearest"
    )
    presence = np.clip(widest / max(_AUDIBLE_GAP_FRACTION * usual_gap, 1e-6), 0.0, 1.0)
    return np.interp(predicted.times, grid, presence)


def _rms_gap(gap: FloatArray) -> float:
    return float(np.sqrt((gap.astype(np.float64) ** 2).mean()))
