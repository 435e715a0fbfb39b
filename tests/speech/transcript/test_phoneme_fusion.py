"""Fusion with phones: closures where the text has them, amplitude and rest as predicted."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.transcript.phoneme_fusion import fuse_phonemes, lip_firmness
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import SILENCE_SYMBOL, Phone, motion_from_phones

PHONES = (
    Phone(SILENCE_SYMBOL, 0.0, 0.4),
    Phone("a", 0.4, 0.8),
    Phone("b", 0.8, 0.9),
    Phone("a", 0.9, 1.3),
    Phone(SILENCE_SYMBOL, 1.3, 2.0),
)
TIMES = np.arange(0, 2, 0.01)


@pytest.fixture(scope="module")
def mumbled() -> MouthMotion:
    """A mouth that is open from 0.4 to 1.3 s and does not close in between."""
    return motion_from_phones(
        [Phone(SILENCE_SYMBOL, 0, 0.4), Phone("ə", 0.4, 1.3), Phone(SILENCE_SYMBOL, 1.3, 2.0)],
        TIMES,
        load_viseme_basis(),
    )


def test_a_closure_closes_at_its_moment(mumbled):
    closure = np.abs(TIMES - 0.85) < 0.03
    mumbled = MouthMotion(mumbled.displacement * np.float32(0.55), TIMES)
    assert mumbled.aperture()[closure].min() > 0.033
    fused = fuse_phonemes(mumbled, PHONES, lead=0.0)
    gap = fused.aperture()
    assert gap[closure].max() < 0.02
    away = np.abs(TIMES - 0.6) < 0.1
    np.testing.assert_allclose(gap[away], mumbled.aperture()[away], rtol=1e-5)
    np.testing.assert_allclose(fused.width_change(), mumbled.width_change(), atol=1e-6)
    # With a lead the mouth closes before the sound is heard.
    early = fuse_phonemes(mumbled, PHONES, lead=0.1).aperture()
    assert early[np.abs(TIMES - 0.75) < 0.03].max() < 0.03


def test_a_wide_open_mouth_does_not_believe_a_closure(mumbled):
    wide = MouthMotion(mumbled.displacement * np.float32(1.6), TIMES)
    closure = np.abs(TIMES - 0.85) < 0.03
    assert wide.aperture()[closure].min() > 0.09
    gap = fuse_phonemes(wide, PHONES, lead=0.0).aperture()
    np.testing.assert_allclose(gap, wide.aperture(), atol=1e-6)


@pytest.mark.parametrize("size", [0.5, 1.0, 1.8])
def test_amplitude_is_as_predicted(mumbled, size):
    predicted = MouthMotion(mumbled.displacement * np.float32(size), TIMES)
    gap = fuse_phonemes(predicted, PHONES).aperture()
    usual = np.percentile(predicted.aperture(), 90)
    assert np.percentile(gap, 90) == pytest.approx(usual, rel=0.25)


def test_a_text_does_not_move_a_resting_mouth(mumbled):
    rest = MouthMotion(np.zeros((200, len(MOUTH_POINTS), 3), np.float32), TIMES)
    assert np.abs(fuse_phonemes(rest, PHONES).displacement).max() == 0
    # A text that goes on where the recording has ended.
    longer = [Phone("a", 0.4, 1.4), Phone("o", 1.6, 2.0)]
    assert fuse_phonemes(mumbled, longer, lead=0.0).aperture()[TIMES > 1.75].max() < 0.005


def test_empty_motion_and_empty_text(mumbled):
    assert fuse_phonemes(mumbled, []) is mumbled
    nothing = mumbled.select(slice(0, 0))
    assert len(fuse_phonemes(nothing, PHONES)) == 0
    one = fuse_phonemes(mumbled.select(slice(60, 61)), PHONES)
    assert np.isfinite(one.displacement).all()


def test_firmness_has_ramps():
    firmness = lip_firmness(PHONES, TIMES)
    assert firmness[np.abs(TIMES - 0.85) < 0.04].min() == 1
    assert firmness[np.abs(TIMES - 0.85) > 0.09].max() == 0
    assert np.abs(np.diff(firmness)).max() < 0.4
