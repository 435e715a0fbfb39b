"""Time warping: the path through the reference is the one that was recorded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.speech.transcript.dtw import align_with_pauses


def reference(length: int = 30) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((length, 8)).astype(np.float32)


def edges(length: int, *places: int) -> np.ndarray:
    found = np.zeros(length, bool)
    found[[0, *places]] = True
    return found


def test_frames_are_stretched_and_skipped():
    sounds = reference()
    order = np.array([0, 1, 2, 3, 4, 5, 5, 5, 6, 7, 8, 10, 12, 14, *range(15, 30)])
    path, cost = align_with_pauses(sounds, edges(30), sounds[order], np.ones(len(order)))
    np.testing.assert_array_equal(path, order)
    assert cost == pytest.approx((2 * 0.3 + 3 * 0.5) / len(order), abs=1e-5)


def test_quiet_pauses_cost_nothing_and_belong_to_no_sound():
    sounds = reference()
    quiet = np.full((40, 8), 3.0, np.float32)
    recording = np.concatenate([quiet, sounds[:12], quiet, sounds[12:], quiet])
    loudness = np.concatenate([np.zeros(40), np.ones(12), np.zeros(40), np.ones(18), np.zeros(40)])
    path, cost = align_with_pauses(sounds, edges(30, 12, 20), recording, loudness)
    np.testing.assert_array_equal(path[loudness > 0], np.arange(30))
    assert (path[loudness == 0] == -1).all()
    # Three pauses begin: the first costs nothing.
    assert cost == pytest.approx(2 / 30, abs=1e-5)


def test_loud_frames_are_not_taken_for_a_pause():
    """Frames as loud as speech belong to a sound, however different they are."""
    sounds = reference(10)
    strange = np.concatenate([sounds[:5], sounds[:5] * 0.5, sounds[5:]])
    path, _ = align_with_pauses(sounds, edges(10, 5), strange, np.ones(15))
    assert (path >= 0).all()


def test_a_reference_over_three_times_as_long_cannot_be_aligned():
    path, cost = align_with_pauses(reference(100), edges(100), reference(20), np.ones(20))
    assert cost > 1e6
    assert len(path) == 20
    for empty in ((reference(0), reference(5)), (reference(5), reference(0))):
        assert align_with_pauses(
            empty[0], edges(max(1, len(empty[0])))[: len(empty[0])], empty[1], []
        )[1] == (float("inf"))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 60))
def test_the_path_goes_forward(seed, m, n):
    rng = np.random.default_rng(seed)
    boundary = rng.random(m) < 0.3
    boundary[0] = True
    path, cost = align_with_pauses(
        rng.standard_normal((m, 4)).astype(np.float32),
        boundary,
        rng.standard_normal((n, 4)).astype(np.float32),
        rng.random(n).astype(np.float32),
    )
    if cost > 1e6:
        assert m > 3 * n - 3
        return
    spoken = path[path >= 0]
    assert spoken[0] == 0
    assert spoken[-1] == m - 1
    assert set(np.diff(spoken)) <= {0, 1, 2, 3}
    # After a pause a sound begins.
    after = np.flatnonzero((path[1:] >= 0) & (path[:-1] < 0)) + 1
    assert boundary[path[after]].all()
