"""Visemes: closures close, rounding spreads, the jaw follows vowels."""

# ruff: noqa: RUF001 - the letters of the International Phonetic Alphabet look like others.
from __future__ import annotations

import numpy as np
import pytest

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech import visemes
from dubfew.speech.visemes import (
    BILABIAL_LETTERS,
    MOUTH_CONTROLS,
    OPEN_VOWEL_LETTERS,
    SILENCE_SYMBOL,
    VISEME_BY_LETTER,
    Phone,
    blend_visemes,
    controls_from_motion,
    fit_viseme_basis,
    motion_from_phones,
    split_ipa_letters,
)


def _word(letters: str, each: float = 0.1) -> list[Phone]:
    return [Phone(letter, k * each, (k + 1) * each) for k, letter in enumerate(letters)]


def _gap(letters: str, times: list[float]) -> np.ndarray:
    controls = blend_visemes(_word(letters), np.array(times))
    return controls[:, 0] - controls[:, 1]


@pytest.mark.parametrize("vowel", sorted(OPEN_VOWEL_LETTERS))
@pytest.mark.parametrize("closed", sorted(BILABIAL_LETTERS))
def test_bilabials_close_between_open_vowels(vowel: str, closed: str) -> None:
    before, closure, after = _gap(vowel + closed + vowel, [0.05, 0.15, 0.25])
    assert closure < 0.012
    assert min(before, after) > 0.08


def test_labiodentals_touch_without_closing() -> None:
    assert 0.012 < _gap("afa", [0.15])[0] < 0.05


def test_rounding_spreads_to_neighbours() -> None:
    at = np.array([0.15])
    plain, before_u = (
        blend_visemes(_word(w), at)[0, MOUTH_CONTROLS.index("width")] for w in ("ata", "atu")
    )
    assert before_u < plain - 0.01


def test_silence_before_between_and_after() -> None:
    phones = [*_word("ama"), Phone(SILENCE_SYMBOL, 0.3, 0.9), Phone("a", 0.9, 1.0)]
    controls = blend_visemes(phones, np.array([-1.0, 0.6, 2.0]))
    np.testing.assert_allclose(controls, 0, atol=2e-3)


def test_no_sounds_is_rest() -> None:
    np.testing.assert_allclose(blend_visemes([], np.arange(3.0)), 0, atol=1e-6)


def test_letters_lose_stress_length_and_tone() -> None:
    assert split_ipa_letters("ˈaɪ") == ["a", "ɪ"]
    assert split_ipa_letters("uː5") == ["u"]
    assert split_ipa_letters("ɔ̃") == ["ɔ"]
    assert split_ipa_letters("?!") == []


def test_every_viseme_is_within_what_film_shows() -> None:
    for viseme in VISEME_BY_LETTER.values():
        assert 0 <= viseme.gap <= 0.25
        assert 0 <= viseme.jaw <= viseme.gap + 0.01


def test_fields_reproduce_controls_and_motion() -> None:
    rng = np.random.default_rng(0)
    truth = 0.2 * rng.standard_normal((5, len(MOUTH_POINTS), 3)).astype(np.float32)
    times = np.arange(60) / 25
    mixed = rng.standard_normal((60, 5)).astype(np.float32) @ truth.reshape(5, -1)
    motion = MouthMotion(mixed.reshape(60, -1, 3), times)
    fields = fit_viseme_basis([motion], ridge=1e-9)
    again = np.tensordot(controls_from_motion(motion), fields, axes=1)
    np.testing.assert_allclose(again, motion.displacement, atol=2e-3)
    found = motion_from_phones(_word("ama"), times, fields)
    expected = blend_visemes(_word("ama"), times)
    np.testing.assert_allclose(controls_from_motion(found), expected, atol=2e-3)


@pytest.mark.slow
def test_an_hour_in_blocks_is_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    edges = np.cumsum(rng.uniform(0.03, 0.3, 300))
    symbols = rng.choice(["a", "p", "s", SILENCE_SYMBOL, "u"], 299)
    phones = [Phone(str(s), a, b) for s, a, b in zip(symbols, edges[:-1], edges[1:], strict=True)]
    times = np.arange(-2, edges[-1] + 2, 0.01)
    found = visemes.blend_visemes(phones, times)
    monkeypatch.setattr(visemes, "_TIMES_PER_BLOCK", len(times))
    np.testing.assert_allclose(found, visemes.blend_visemes(phones, times), atol=1e-5)
