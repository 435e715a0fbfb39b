"""Random traits: in range, decided by the seed, and those that go together do."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from dubfew.synthetic.traits import PersonTraits, sample_traits


@pytest.fixture(scope="module")
def people() -> list[PersonTraits]:
    return [sample_traits(np.random.default_rng([seed, 0])) for seed in range(200)]


def test_seeds_decide_every_trait(people):
    again = sample_traits(np.random.default_rng([7, 0]))
    for field in fields(PersonTraits):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(people[7], field.name))
    assert len({round(person.pitch_hz, 6) for person in people}) == len(people)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("skin_color", 0, 1), ("hair_color", 0, 1), ("iris_color", 0, 1), ("lip_color", 0, 1),
        ("shirt_colors", 0, 1), ("shirt_pattern", 0, 3), ("freckles", 0, 1), ("age", 0, 1),
        ("stubble", 0, 0.9), ("beard", 0, 1), ("brow_thickness", 0.55, 1.3),
        ("hair_thickness", 0.003, 0.022), ("hair_length", 0, 0.26), ("hairline_shift", -0.1, 0.14),
        ("pitch_hz", 95, 225), ("tract_length", 0.82, 1.06),
    ],
)  # fmt: skip
def test_traits_are_in_range_and_vary(people, name, low, high):
    values = np.array([getattr(person, name) for person in people], float)
    assert values.min() >= low
    assert values.max() <= high
    assert values.std(0).min() > 0.01 * (high - low)


def test_skin_reflects_more_red_than_green_than_blue(people):
    for person in people:
        red, green, blue = person.skin_color
        assert red > green > blue
        # Lips are redder than skin.
        assert person.lip_color[0] / person.lip_color[1] > red / green


def test_dark_skin_goes_with_dark_eyes(people):
    dark = [p for p in people if p.skin_color[1] < 0.1]
    pale = [p for p in people if p.skin_color[1] > 0.4]
    assert len(dark) > 10
    assert len(pale) > 10
    assert max(p.iris_color.max() for p in dark) < 0.1
    assert max(p.iris_color.max() for p in pale) > 0.2


def test_deep_voices_long_tracts_and_beards_go_together(people):
    deep = [p for p in people if p.pitch_hz < 150]
    high = [p for p in people if p.pitch_hz > 150]
    assert 60 < len(deep) < 140
    assert all(p.tract_length > 0.94 and p.stubble > 0 and p.hair_length == 0 for p in deep)
    assert all(p.tract_length < 0.91 and p.beard == p.stubble == 0 for p in high)
    assert any(p.beard > 0 for p in deep)
    assert any(p.hair_length > 0 for p in high)


def test_grey_hair_is_for_the_old(people):
    gray = [p for p in people if np.ptp(p.hair_color) < 0.02 and p.hair_color.mean() > 0.1]
    assert gray
    assert min(p.age for p in gray) > 0.75
