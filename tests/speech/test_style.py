"""Style: a known manner is recovered, the footage limits the gap, storage is exact."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from dubfew.errors import ArtefactError, ShapeError
from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, MouthMotion, mouth_point_rows
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.model import MotionSpace
from dubfew.speech.style import SpeakingStyle, compress_gaps, fit_style

K = 3


def _space() -> MotionSpace:
    """First direction opens the lips; the others are random and orthogonal to it."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((K, len(MOUTH_POINTS) * 3))
    opening = np.zeros((len(MOUTH_POINTS), 3))
    upper, lower = np.array([mouth_point_rows(pair) for pair in INNER_LIP_PAIRS]).T
    opening[upper, 1], opening[lower, 1] = 0.3, -0.7
    rows[1:].reshape(K - 1, -1, 3)[:, np.concatenate([upper, lower])] = 0
    rows[0] = opening.ravel()
    basis = np.linalg.qr(rows.T)[0].T
    basis *= np.sign((basis * rows).sum(axis=1, keepdims=True))
    basis = basis.reshape(K, -1, 3).astype(np.float32)
    return MotionSpace(basis, np.array([0.15, 0.05, 0.03], np.float32), 0.15)


SPACE = _space()


def _speech(n: int = 200, seed: int = 0) -> MouthMotion:
    """Openings and closures with a pause at the end."""
    rng = np.random.default_rng(seed)
    c = rng.standard_normal((n, K)) * SPACE.coefficient_rms
    c[:, 0] = np.abs(c[:, 0])
    c[-n // 5 :] = 0
    return SPACE.reconstruct(c, np.arange(n) / 25)


def _mapped(motion: MouthMotion, gain: np.ndarray, offset: np.ndarray) -> MouthMotion:
    return SPACE.reconstruct(SPACE.project(motion) * gain + offset, motion.times)


def _scaling_style(gain: float, limit: float) -> SpeakingStyle:
    return SpeakingStyle(
        SPACE.basis, np.eye(K, dtype=np.float32) * gain, np.zeros(K, np.float32), limit
    )


def test_a_known_manner_is_recovered() -> None:
    # A manner that one gain a direction cannot express: the third follows the first.
    gain = np.diag([1.4, 0.7, 1.1])
    gain[0, 2] = 0.1
    predicted = _speech(2000)
    observed = SPACE.reconstruct(SPACE.project(predicted) @ gain, predicted.times)
    style = fit_style(predicted, observed, SPACE)
    np.testing.assert_allclose(np.diag(style.gain), np.diag(gain), rtol=0.12)
    assert style.gain[0, 2] == pytest.approx(0.1, rel=0.25)
    found = style.apply(predicted).aperture().std() / observed.aperture().std()
    assert found == pytest.approx(1, abs=0.1)


def test_disagreement_does_not_make_it_mumble() -> None:
    predicted, observed = _speech(600, 0), _speech(600, 1)  # unrelated, same spread
    styled = fit_style(predicted, observed, SPACE).apply(predicted)
    assert 0.75 < styled.aperture().std() / observed.aperture().std() < 1.3


def test_what_held_out_seconds_contradict_is_not_learned() -> None:
    predicted = _speech(400)
    c = SPACE.project(predicted)
    sign = np.where(np.arange(400) < 200, 1, -1)  # another habit in each half
    c[:, 2] += 0.4 * sign * c[:, 0]
    observed = SPACE.reconstruct(c, predicted.times)
    assert abs(fit_style(predicted, observed, SPACE).gain[0, 2]) < 0.01
    # One half alone shows the habit.
    assert fit_style(predicted, observed.select(slice(200)), SPACE).gain[0, 2] > 0.06


def test_a_flat_width_gets_the_spread_of_the_footage() -> None:
    rng = np.random.default_rng(0)
    predicted = _speech(600)
    wide = predicted.displacement * np.array([2.0, 1, 1], np.float32)
    wide += rng.normal(0, 0.003, wide.shape).astype(np.float32)
    observed = MouthMotion(wide, predicted.times)
    styled = fit_style(predicted, observed, SPACE).apply(predicted)
    reached = styled.width_change().std() / predicted.width_change().std()
    possible = SPACE.reconstruct(SPACE.project(observed), observed.times).width_change().std()
    assert reached == pytest.approx(possible / predicted.width_change().std(), rel=0.1)
    assert reached > 1.2


def test_one_wide_second_does_not_make_the_mouth_wide() -> None:
    # Eight seconds of speech near an opening of 0.08; in the first one the actor opens twice as
    # far, for which the sound gives no reason.
    rng = np.random.default_rng(0)
    c = rng.standard_normal((200, K)) * SPACE.coefficient_rms * 0.1
    unit = SPACE.reconstruct(np.eye(K)[:1], np.zeros(1)).aperture()[0]
    c[:, 0] = rng.uniform(0.06, 0.1, 200) / unit
    predicted = SPACE.reconstruct(c, np.arange(200) / 25)
    wide = c.copy()
    wide[:25, 0] *= 2
    observed = SPACE.reconstruct(wide, predicted.times)
    style = fit_style(predicted, observed, SPACE)
    later = style.apply(predicted).aperture()[50:].mean() / observed.aperture()[50:].mean()
    # The ratio of the standard deviations would be 2.5.
    assert 1.0 < later < 1.25


def test_little_footage_changes_little() -> None:
    predicted = _speech(10)
    style = fit_style(predicted, _mapped(predicted, np.full(K, 3.0), np.zeros(K)), SPACE)
    assert style.gain.max() < 2.0


def test_the_rest_pose_of_pauses_becomes_the_offset() -> None:
    predicted = _speech(500)
    offset = np.array([0.02, 0.01, 0.0])
    style = fit_style(predicted, _mapped(predicted, np.ones(K), offset), SPACE)
    np.testing.assert_allclose(style.offset, offset, atol=0.004)
    still = style.apply(SPACE.reconstruct(np.zeros((1, K)), np.zeros(1)))
    np.testing.assert_allclose(SPACE.project(still)[0], style.offset, atol=1e-6)


def test_open_pauses_do_not_leave_the_mouth_open() -> None:
    predicted = _speech(500)
    style = fit_style(predicted, _mapped(predicted, np.ones(K), np.array([0.4, 0, 0])), SPACE)
    still = style.apply(SPACE.reconstruct(np.zeros((1, K)), np.zeros(1)))
    assert still.aperture()[0] <= 0.031


def test_closures_close_whatever_the_manner_adds() -> None:
    # The second direction, which opens nothing by itself, opens the lips in this manner.
    gain = np.eye(K, dtype=np.float32)
    gain[1, 0] = 0.5
    opening = np.array([1, 0, 0], np.float32)
    offset = opening * 0.02 / SPACE.reconstruct(opening[None], np.zeros(1)).aperture()
    c = np.zeros((60, K))
    c[:40, 0], c[:40, 1] = 0.15, 0.1
    c[10:13, 0] = 0  # /p/; from row 40 on nothing is said
    motion = SPACE.reconstruct(c, np.arange(60) / 25)
    gap = SpeakingStyle(SPACE.basis, gain, offset, 1.0).apply(motion).aperture()
    np.testing.assert_allclose(gap[10:13], 0, atol=1e-6)
    free = SPACE.reconstruct(c @ gain + offset, motion.times).aperture()
    assert free[11] > 0.03
    np.testing.assert_allclose(gap[20:38], free[20:38], rtol=1e-5)
    np.testing.assert_allclose(gap[50:], 0.02, rtol=1e-5)


def test_a_late_picture_is_noticed() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(600) / 25
    smooth = np.convolve(rng.standard_normal(700), np.hanning(9), "same")[:600]
    c = np.zeros((600, K))
    c[:, 0] = 0.1 * np.abs(smooth)
    predicted = SPACE.reconstruct(c, times)
    late = MouthMotion(predicted.resample(times - 0.12).displacement, times)
    observed = _mapped(late, np.array([1.5, 1, 1]), np.zeros(K))
    style = fit_style(predicted, observed, SPACE)
    assert style.gain[0, 0] == pytest.approx(1.5, rel=0.1)
    lag = style.picture_lag
    assert lag is not None
    assert lag.is_clear
    assert lag.lag_seconds == pytest.approx(0.12, abs=0.001)
    # What is rendered with another sound is not late.
    styled = style.apply(predicted)
    np.testing.assert_array_equal(styled.times, predicted.times)
    assert styled.aperture().argmax() == predicted.aperture().argmax()


def test_without_sound_never_beyond_the_footage() -> None:
    small = SPACE.reconstruct(SPACE.project(_speech()) * 0.5, _speech().times)
    style = SpeakingStyle.from_statistics(small, SPACE)
    assert np.diag(style.gain).max() < 1.0
    styled = style.apply(_speech())
    assert styled.aperture().max() <= style.max_aperture + 1e-6


def test_without_sound_a_still_mouth_keeps_talking() -> None:
    still = SPACE.reconstruct(np.zeros((50, K)), np.arange(50) / 25)
    assert np.diag(SpeakingStyle.from_statistics(still, SPACE).gain).min() >= 0.5


def test_neutral_changes_nothing() -> None:
    motion = _speech()
    np.testing.assert_allclose(
        SpeakingStyle.neutral(SPACE).apply(motion).displacement, motion.displacement, atol=1e-6
    )


@pytest.mark.parametrize("excess", [1.01, 1.2, 1.7, 2.5, 5.0])
def test_compressed_gaps_meet_the_limit_and_never_become_flat(excess: float) -> None:
    limit = 0.1
    gap = np.linspace(0, excess * limit, 1001)
    found = compress_gaps(gap, limit)
    assert found[-1] == pytest.approx(limit)
    slope = np.diff(found) / np.diff(gap)
    assert slope.max() <= 1 + 1e-6
    # The last millimeter still moves: the slope of the hyperbola's end, (limit / widest) squared.
    assert slope.min() >= min(0.25, 1 / excess**2) - 1e-3
    assert np.abs(np.diff(slope)).max() < 0.01  # no corner


def test_gaps_within_the_limit_stay() -> None:
    gap = np.array([0.0, 0.05, 0.1])
    assert compress_gaps(gap, 0.1) is gap


def test_the_opening_is_scaled_before_the_limit() -> None:
    style = _scaling_style(1.0, 0.5)
    motion = _speech()
    half = style.apply(motion, opening=0.5)
    np.testing.assert_allclose(half.aperture(), 0.5 * motion.aperture(), atol=1e-6)
    np.testing.assert_allclose(half.width_change(), motion.width_change(), atol=1e-6)
    limit = float(motion.aperture().max()) / 0.5
    assert style.apply(motion, reach=limit, opening=3).aperture().max() <= limit * 0.5 + 1e-6


@pytest.mark.slow
@given(st.floats(0.05, 0.5), st.floats(0.1, 3.0))
def test_the_limit_is_smooth_and_holds(limit: float, gain: float) -> None:
    style = _scaling_style(gain, limit)
    c = np.zeros((400, K))
    c[:, 0] = np.linspace(0, 1, 400)
    gap = style.apply(SPACE.reconstruct(c, np.arange(400) / 25)).aperture()
    assert gap.max() <= limit * 1.001
    assert (np.diff(gap) >= -1e-5).all()


def test_the_limit_moves_with_the_reach() -> None:
    style = _scaling_style(1.0, 0.05)
    times = np.arange(200) / 25
    wide = SPACE.reconstruct(np.outer(1 + np.sin(3 * times), SPACE.coefficient_rms) * 3, times)
    gaps = [style.apply(wide, reach=reach).aperture().max() for reach in (0.5, 1.0, 2.0)]
    assert wide.aperture().max() > 0.2
    np.testing.assert_allclose(gaps, [0.025, 0.05, 0.1], rtol=0.02)


def test_a_stored_style_is_the_same() -> None:
    predicted = _speech()
    style = fit_style(predicted, _mapped(predicted, np.full(K, 1.2), np.zeros(K)), SPACE)
    again = SpeakingStyle.from_bytes(style.to_bytes())
    np.testing.assert_array_equal(
        again.apply(predicted).displacement, style.apply(predicted).displacement
    )
    assert again.picture_lag == style.picture_lag


def test_styles_of_one_gain_a_direction_are_read() -> None:
    gain = np.array([1.4, 0.7, 1.1], np.float32)
    tensors = {"basis": SPACE.basis, "gain": gain, "offset": np.zeros(K, np.float32)}
    header = json.dumps({"format_version": 1, "limit": 0.4})
    style = SpeakingStyle.from_bytes(save(tensors, metadata={"dubfew.style": header}))
    np.testing.assert_array_equal(style.gain, np.diag(gain))
    assert style.picture_lag is None


@given(st.binary(max_size=200))
def test_garbage_is_an_artefact_error(data: bytes) -> None:
    with pytest.raises(ArtefactError):
        SpeakingStyle.from_bytes(data)


def test_malformed_input_is_refused() -> None:
    with pytest.raises(ArtefactError):
        SpeakingStyle.from_bytes(SpeakingStyle.neutral(SPACE).to_bytes()[:-8])
    newer = (
        SpeakingStyle.neutral(SPACE)
        .to_bytes()
        .replace(rb"format_version\": 2", rb"format_version\": 9")
    )
    with pytest.raises(ArtefactError, match="update dubfew"):
        SpeakingStyle.from_bytes(newer)
    damaged = SpeakingStyle.neutral(SPACE).to_bytes().replace(b": null", b": [7]")
    with pytest.raises(ArtefactError, match="damaged"):
        SpeakingStyle.from_bytes(damaged)
    with pytest.raises(ShapeError, match="no predicted"):
        fit_style(_speech().select(slice(0, 0)), _speech(11), SPACE)
    with pytest.raises(ShapeError, match="at least one"):
        SpeakingStyle.from_statistics(_speech().select(slice(0, 0)), SPACE)
    with pytest.raises(ShapeError, match="directions"):
        SpeakingStyle(SPACE.basis, np.ones(2, np.float32), np.zeros(K, np.float32), 1.0)
