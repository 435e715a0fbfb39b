"""Sharpen a motion that was predicted from sound by sounds whose times are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.model import LEAD
from dubfew.speech.viseme_basis import default_fields
from dubfew.speech.visemes import VISEMES, Phone, motion_of_phones

FloatArray = NDArray[np.float32]

# The text's share in sounds that leave the lips free.
SHARE = 0.3
# Sounds that hold the lips so firmly (``Viseme.gap_firm``) are the text's alone: closures and
# labiodentals. Over so many seconds around them the share changes from one to the other.
_FIRM, _RAMP = 10.0, 0.03
# The text says nothing where the lips stay under this share of their usual gap for as long as
# this around, s: what is not heard is not said.
_LEAST, _AROUND = 0.3, 0.15
# However little is heard or written, the text's openings are not made smaller or larger than so.
_SCALES = (0.3, 2.0)
_GRID = 0.01


def sharpen(
    heard: MouthMotion, phones: Sequence[Phone], *, lead: float = LEAD, share: float = SHARE
) -> MouthMotion:
    """Blend what was heard with what the text says.

    Amplitude and rest are those of the heard motion: the text's openings are brought to the same
    size and count only where something is heard. Sounds that hold the lips have the text's shape.

    Args:
        heard: predicted from the sound, in order of time.
        phones: sounds with their times; none leaves all as it is.
        lead: how far the mouth is ahead of the sound, s.
        share: of the text in sounds that leave the lips free.
    """
    if not phones or not len(heard):
        return heard
    times = heard.times + lead
    text = motion_of_phones(phones, times, default_fields())
    gap = _size(heard.aperture())
    scale = np.clip(gap / max(_size(text.aperture()), 1e-6), *_SCALES)
    weight = share + (1 - share) * firmness(phones, times)
    weight = (weight * _audible(heard, gap)).astype(np.float32)[:, None, None]
    mixed = (1 - weight) * heard.displacement + weight * np.float32(scale) * text.displacement
    return MouthMotion(mixed, heard.times)


def firmness(phones: Sequence[Phone], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 in sounds that hold the lips, 0 in others, with ramps between. [N]"""
    result = np.zeros(len(times))
    for phone in phones:
        if VISEMES[phone.symbol].gap_firm >= _FIRM:
            near = slice(*np.searchsorted(times, [phone.start - _RAMP, phone.end + _RAMP]))
            away = np.maximum(phone.start - times[near], times[near] - phone.end)
            result[near] = np.maximum(result[near], 1 - np.maximum(away, 0.0) / _RAMP)
    return result


def _audible(heard: MouthMotion, gap: float) -> NDArray[np.float64]:
    """1 where the mouth moves, or did or will shortly, 0 where it rests. [N]"""
    grid = np.arange(heard.times[0], heard.times[-1] + _GRID, _GRID)
    opening = np.interp(grid, heard.times, np.abs(heard.aperture()))
    widest = maximum_filter1d(opening, 2 * round(_AROUND / _GRID) + 1, mode="nearest")
    presence = np.clip(widest / max(_LEAST * gap, 1e-6), 0.0, 1.0)
    return np.interp(heard.times, grid, presence)


def _size(gap: FloatArray) -> float:
    return float(np.sqrt((gap.astype(np.float64) ** 2).mean()))
