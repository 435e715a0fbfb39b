from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubfew.evaluate.leakage.result import (
    VERDICT_CANNOT_TELL,
    VERDICT_LEAK,
    VERDICT_NEARER,
    VERDICT_NO_NEARER,
    decide_verdict,
)
from dubfew.evaluate.leakage.statistics import (
    IdentityShift,
    measure_identity_shift,
    measure_prior_shift,
)

ACTORS = np.arange(6)


def towards(strength: float, seed: int = 0, people: int = 20) -> np.ndarray:
    """Leans of pictures of six actors, which know their own so much."""
    leans = np.random.default_rng(seed).normal(0, 0.02, (len(ACTORS), people))
    leans[ACTORS, ACTORS] += strength
    return leans


def test_a_lean_is_found_and_none_is_not() -> None:
    found, none = (
        measure_identity_shift(towards(0.1), ACTORS),
        measure_identity_shift(towards(0), ACTORS),
    )
    assert found.p < 0.001
    assert found.mean > 0.07 > found.null_p95
    assert found.top1_rate == 1
    assert none.p > 0.05
    assert none.actors == 6
    assert none.chance_rate == pytest.approx(1 / 20)
    assert none.top1_rate < 0.5


@pytest.mark.slow
@given(seed=st.integers(0, 50))
def test_pictures_that_are_the_same_for_all_know_nobody(seed: int) -> None:
    """They favour some people, as a stranger's mouth does; if those are the actors it is chance."""
    leans = np.repeat(towards(0, seed)[:1], len(ACTORS), 0)
    mean = measure_identity_shift(leans, ACTORS, seed).mean
    assert mean == pytest.approx(leans[0, : len(ACTORS)].mean())
    everybody = np.arange(leans.shape[1])
    assert measure_identity_shift(np.repeat(leans[:1], 20, 0), everybody).p == 1


@pytest.mark.slow
def test_chance_is_what_it_is_called() -> None:
    """Of tests without a leak one in twenty says otherwise."""
    alarms = [measure_identity_shift(towards(0, seed), ACTORS).p < 0.05 for seed in range(100)]
    assert 0 < sum(alarms) < 13


def test_too_few_people_are_never_certain() -> None:
    assert measure_identity_shift(towards(9, people=8)[:1], ACTORS[:1]).p > 0.1


def test_who_does_not_count() -> None:
    leans = towards(0.1)
    leans[0, 7] = 99
    assert measure_identity_shift(leans, ACTORS).top1_rate < 1
    leans[0, 7] = np.nan
    assert measure_identity_shift(leans, ACTORS).top1_rate == 1
    assert measure_identity_shift(leans, ACTORS).null_p95 < 0.1


def test_a_prior_that_leans_to_its_own_people() -> None:
    rng = np.random.default_rng(2)
    learned = np.arange(20) < 12
    leans = rng.normal(0, 0.01, 20)
    assert 0.05 < measure_prior_shift(leans, learned).p < 0.95
    found = measure_prior_shift(leans + 0.05 * learned, learned)
    assert (found.learned, found.others) == (12, 8)
    assert found.difference == pytest.approx(0.05, abs=0.01)
    assert found.p < 0.001
    assert math.isnan(measure_prior_shift(leans[:5], np.arange(5) < 1).p)
    assert math.isnan(measure_prior_shift(leans[:5], np.zeros(5, bool)).difference)


def lean(mean: float, p: float) -> IdentityShift:
    return IdentityShift(8, mean, 0.01, p, 0.5, 0.1)


SEEN, UNSEEN = lean(0.05, 0.001), lean(0.0, 0.5)


@pytest.mark.parametrize(
    ("adapter", "after", "opened", "same", "verdict", "why"),
    [
        (SEEN, UNSEEN, [], True, VERDICT_NO_NEARER, "nothing could be opened"),
        (SEEN, lean(0.05, 0.01), [], True, VERDICT_NEARER, "nothing that was stored"),
        (SEEN, UNSEEN, ["mary"], True, VERDICT_LEAK, "mary could be opened"),
        (SEEN, UNSEEN, [], False, VERDICT_LEAK, "not those of before"),
        (UNSEEN, UNSEEN, [], True, VERDICT_CANNOT_TELL, "too few people"),
    ],
)
def test_the_verdict(
    adapter: IdentityShift,
    after: IdentityShift,
    opened: list[str],
    same: bool,
    verdict: str,
    why: str,
) -> None:
    found, line = decide_verdict({"adapter": adapter, "after": after}, opened, same)
    assert found == verdict
    assert line.startswith(f"after deletion: {verdict}: ")
    assert why in line
    assert "\n" not in line
