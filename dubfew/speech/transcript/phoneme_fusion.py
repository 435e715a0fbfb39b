"""Fusion of a motion predicted from audio with phones of known times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import MOUTH_LEAD_SECONDS, VISEME_BY_LETTER, Phone, motion_from_phones
from dubfew.utils.arrays import FloatArray

# Weight of the text in sounds that leave the lips free, 0 to 1. Chosen on nine GRID clips; 0.15 to
# 0.45 hardly differ.
TEXT_WEIGHT = 0.3
# Least `Viseme.gap_firm` of sounds that follow the text alone (closures and labiodentals), and time
# around them over which the weight rises to 1, s.
_MIN_FIRM_WEIGHT, _FIRM_RAMP_SECONDS = 10.0, 0.03
# The text has no weight where the predicted gap stays under this fraction of its usual size for
# this long before and after, s: a text must not move the mouth in silence.
_AUDIBLE_GAP_FRACTION, _AUDIBLE_REACH_SECONDS = 0.3, 0.15
# Range of the factor on the text's openings, whatever the size of the predicted ones.
_SCALE_RANGE = (0.3, 2.0)
# Step of the grid on which the prediction is searched for openings, s.
_GRID_STEP_SECONDS = 0.01


def fuse_phonemes(
    predicted: MouthMotion,
    phones: Sequence[Phone],
    *,
    lead: float = MOUTH_LEAD_SECONDS,
    text_weight: float = TEXT_WEIGHT,
) -> MouthMotion:
    """Blend a predicted motion with the visemes of phones.

    Amplitude and rest are those of the prediction: the visemes' openings are brought to the same
    size and count only where the prediction moves. Sounds that hold the lips take the visemes'
    shape.

    Args:
        predicted: motion predicted from the audio, in order of time.
        phones: phones with their times, from a transcript or a recognizer; none leaves the motion
            as it is.
        lead: time by which the mouth is ahead of the sound, s.
        text_weight: weight of the visemes in sounds that leave the lips free, 0 to 1.
    """
    if not phones or not len(predicted):
        return predicted
    # The mouth shows now what is heard after the lead.
    times = predicted.times + lead
    text = motion_from_phones(phones, times, load_viseme_basis())
    # Bring the text's openings to the size of the predicted ones.
    usual_gap = _rms_gap(predicted.aperture())
    scale = np.clip(usual_gap / max(_rms_gap(text.aperture()), 1e-6), *_SCALE_RANGE)
    weight = text_weight + (1 - text_weight) * lip_firmness(phones, times)
    weight = (weight * _audible_weight(predicted, usual_gap)).astype(np.float32)[:, None, None]
    mixed = (1 - weight) * predicted.displacement + weight * np.float32(scale) * text.displacement
    return MouthMotion(mixed, predicted.times)


def lip_firmness(phones: Sequence[Phone], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mark the sounds that hold the lips: 1 in them, 0 in others, with ramps between.

    Args:
        phones: phones with their times.
        times: times to compute, in rising order, s. [N]

    Returns:
        Firmness, 0 to 1. [N]
    """
    # Each sound changes only the times near it; overlapping ramps take the larger value.
    firmness = np.zeros(len(times))
    for phone in phones:
        if VISEME_BY_LETTER[phone.symbol].gap_firm >= _MIN_FIRM_WEIGHT:
            near = slice(
                *np.searchsorted(
                    times, [phone.start - _FIRM_RAMP_SECONDS, phone.end + _FIRM_RAMP_SECONDS]
                )
            )
            away = np.maximum(phone.start - times[near], times[near] - phone.end)
            ramp = 1 - np.maximum(away, 0.0) / _FIRM_RAMP_SECONDS
            firmness[near] = np.maximum(firmness[near], ramp)
    return firmness


def _audible_weight(predicted: MouthMotion, usual_gap: float) -> NDArray[np.float64]:
    """Compute 1 where the predicted mouth moves or is about to, 0 where it rests. [N]"""
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
    """Compute the root mean square of a lip gap."""
    return float(np.sqrt((gap.astype(np.float64) ** 2).mean()))
