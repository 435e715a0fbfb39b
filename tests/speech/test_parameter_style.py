"""Scales and shifts of parameters: known ones come back, and the mouth follows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubfew.adapt.validation import check_style
from dubfew.errors import ArtefactError, ShapeError
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.motion.retargeting import retarget_mouth
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.track import Track
from dubfew.speech.model import SpeechModel
from dubfew.speech.parameter_style import (
    ParameterStyle,
    fit_parameter_style,
    fit_scale_and_shift,
    solve_parameters,
)
from dubfew.speech.style import SpeakingStyle
from tests.data.people import toy_track

FRAMES = 60


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head_model()


@pytest.fixture(scope="module")
def track() -> Track:
    return toy_track(FRAMES, seed=1)


@pytest.fixture(scope="module")
def fitted(track: Track, head: HeadModel) -> ParameterStyle:
    return fit_parameter_style(motion_from_track(track, head), track, head)


def test_known_scales_and_shifts_come_back() -> None:
    x = np.random.default_rng(0).normal(size=(50, 4))
    true_scale, true_shift = np.array([2.0, 0.5, 1.0, -1.0]), np.array([0.1, 0.0, -0.3, 1.0])
    scale, shift = fit_scale_and_shift(x, x * true_scale + true_shift, 0)
    np.testing.assert_allclose(scale, true_scale)
    np.testing.assert_allclose(shift, true_shift, atol=1e-12)


def test_added_rows_are_as_if_the_prediction_had_been_right_in_them() -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    y = 3 * x + 1
    # The same rows once more, observed as predicted.
    expected = [np.polyfit(np.r_[x[:, k], x[:, k]], np.r_[y[:, k], x[:, k]], 1) for k in (0, 1)]
    scale, shift = fit_scale_and_shift(x, y, 40)
    np.testing.assert_allclose(np.stack([scale, shift], 1), expected)


def test_a_parameter_that_is_never_moved_gets_a_shift_alone() -> None:
    scale, shift = fit_scale_and_shift(np.zeros((10, 1)), np.full((10, 1), 0.2), 0)
    assert (scale[0], shift[0]) == (1.0, pytest.approx(0.2))


def test_a_mumbled_prediction_is_opened_as_far_as_the_actor_does(
    track: Track, head: HeadModel
) -> None:
    own = motion_from_track(track, head)
    mumbled = MouthMotion(own.displacement * np.float32(0.5), own.times)
    moved = fit_parameter_style(mumbled, track, head).apply(mumbled)
    before = np.abs(mumbled.aperture() - own.aperture()).mean()
    assert np.abs(moved.aperture() - own.aperture()).mean() < 0.65 * before
    # The jaw, a mouth's largest parameter, opens further than predicted.
    assert moved.aperture().max() > 1.2 * mumbled.aperture().max()


def test_the_right_prediction_stays(track: Track, head: HeadModel, fitted: ParameterStyle) -> None:
    own = motion_from_track(track, head)
    moved = fitted.apply(own)
    size = np.linalg.norm(own.displacement, axis=2).mean()
    assert np.linalg.norm(moved.displacement - own.displacement, axis=2).mean() < 0.25 * size


def test_a_scale_acts_on_its_own_parameter(
    track: Track, head: HeadModel, fitted: ParameterStyle
) -> None:
    own = motion_from_track(track, head)
    neutral = replace(fitted, scale=np.ones_like(fitted.scale), shift=np.zeros_like(fitted.shift))
    np.testing.assert_allclose(neutral.apply(own).displacement, own.displacement, atol=1e-6)
    wider = replace(neutral, scale=np.r_[np.float32(1.5), neutral.scale[1:]])
    before, after = (
        solve_parameters(head, fitted.shape, fitted.rest, motion)
        for motion in (own, wider.apply(own))
    )
    # The solver spreads some of it over others; the jaw's first parameter takes most.
    ratio = np.std(after[:, 0]) / np.std(before[:, 0])
    assert 1.25 < ratio < 1.75


def test_the_scenes_own_mouth_follows(
    track: Track, head: HeadModel, fitted: ParameterStyle
) -> None:
    own = motion_from_track(track, head)
    scene = toy_track(FRAMES, seed=4)
    opened = replace(fitted, scale=fitted.scale * np.float32(1.3))
    plain = retarget_mouth(scene, head, fitted.apply(own))
    wide = retarget_mouth(scene, head, opened.apply(own))
    assert np.abs(wide.jaw[:, 0]).max() > 1.1 * np.abs(plain.jaw[:, 0]).max()


def test_wrong_shapes_are_refused(track: Track, head: HeadModel, fitted: ParameterStyle) -> None:
    with pytest.raises(ShapeError, match="scales"):
        replace(fitted, shift=fitted.shift[:-1])
    with pytest.raises(ShapeError, match="frames"):
        fit_parameter_style(motion_from_track(track.select(slice(0, 5)), head), track, head)


def test_a_style_stores_both_forms(fitted: ParameterStyle, head: HeadModel) -> None:
    space = SpeechModel.load_default().space
    style = replace(SpeakingStyle.neutral(space), parameters=fitted)
    read = SpeakingStyle.from_bytes(style.to_bytes())
    assert read.parameters is not None
    for name in ("shape", "rest", "scale", "shift"):
        np.testing.assert_array_equal(getattr(read.parameters, name), getattr(fitted, name))
    check_style(read, head)
    moved = read.with_form("parameters").apply(
        space.reconstruct(np.ones((3, len(space.basis))) * space.coefficient_rms, np.arange(3) / 25)
    )
    assert np.isfinite(moved.displacement).all()


def test_an_actor_without_sound_has_no_scales() -> None:
    with pytest.raises(ArtefactError, match="sound"):
        SpeakingStyle.neutral().with_form("parameters")


def test_foreign_scales_are_refused(fitted: ParameterStyle, head: HeadModel) -> None:
    style = SpeakingStyle.neutral()
    for wrong in (
        replace(fitted, head="other"),
        replace(fitted, scale=fitted.scale[:-1], shift=fitted.shift[:-1]),
        replace(fitted, shift=fitted.shift * np.float32(np.nan)),
    ):
        with pytest.raises(ValueError, match="style"):
            check_style(replace(style, parameters=wrong), head)
