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

# Weight of the text in sounds that leave the lips free, 0 to 1. With a model that hears well, the
# text only takes away: with 0.3, r of the gap on GRID's sentences falls from 0.83 to 0.80. Models
# on mel bands gained with 0.3.
TEXT_WEIGHT = 0.0
# Least `Viseme.gap_firm` of sounds that hold the lips (closures and labiodentals), and time around
# them over which the text's gap comes in, s.
_MIN_FIRM_WEIGHT, _FIRM_RAMP_SECONDS = 10.0, 0.03
# The text has no weight where the predicted gap stays under this fraction of its usual size for
# this long before and after, s: a text must not move the mouth in silence.
_AUDIBLE_GAP_FRACTION, _AUDIBLE_REACH_SECONDS = 0.3, 0.15
# Range of the factor on the text's openings, whatever the size of the predicted ones.
_SCALE_RANGE = (0.3, 2.0)
# Predicted gaps, inter-ocular distances, up to which a closure of the text is believed fully and
# from which it is not: there, a phone was misheard or is out of place. Without this, recognized
# phones close all 63 /p b m/ of ten clips in which film closes 44, and cost 0.013 of r; with it
# they close 47, where the prediction alone closes 39, and gain 0.007.
_NEAR_GAP_RANGE = (0.04, 0.08)
# Gap below which lips count as closed and are left alone, inter-ocular distances.
_MIN_GAP = 1e-4
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
    size and count only where the prediction moves. In sounds that hold the lips, the lips come as
    close as the visemes ask for; the mouth's width stays as predicted.
    Where the prediction is wide open the text is not believed.

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
    audible = _audible_weight(predicted, usual_gap)
    weight = (text_weight * audible).astype(np.float32)[:, None, None]
    mixed = (1 - weight) * predicted.displacement + weight * np.float32(scale) * text.displacement
    # Bring the lips together, never apart: a prediction that closes is right more often.
    gap = MouthMotion(mixed, predicted.times).aperture()
    near = np.interp(gap, _NEAR_GAP_RANGE, (1.0, 0.0))
    firmness = lip_firmness(phones, times) * audible * near
    excess = firmness * np.maximum(gap - scale * np.maximum(text.aperture(), 0), 0)
    factor = np.where(gap > _MIN_GAP, 1 - excess / np.maximum(gap, _MIN_GAP), 1.0)
    vertical = np.stack([np.ones_like(factor), factor, np.ones_like(factor)], axis=1)
    return MouthMotion(mixed * vertical[:, None].astype(np.float32), predicted.times)


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
