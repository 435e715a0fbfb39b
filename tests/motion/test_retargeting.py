"""Retargeting: the target motion is reached, and only the mouth changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubfew.errors import NoFaceError, ShapeError
from dubfew.motion import retargeting as module
from dubfew.motion.extraction import BONE_POINTS, estimate_rest_points, motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.motion.retargeting import mouth_points_from_track, retarget_mouth
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.reconstruction.track import Track
from tests.data.people import toy_track

FRAMES = 24


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head_model()


@pytest.fixture(scope="module")
def track() -> Track:
    return toy_track(FRAMES, seed=1)


@pytest.fixture(scope="module")
def rest(track: Track, head: HeadModel) -> np.ndarray:
    """Closed lips of the actor, from which scene and result are measured."""
    return estimate_rest_points(mouth_points_from_track(track, head))


@pytest.fixture(scope="module")
def speech(head: HeadModel) -> MouthMotion:
    """Motion of another person's face."""
    return motion_from_track(toy_track(FRAMES, seed=5), head)


def still(track: Track) -> MouthMotion:
    return MouthMotion(np.zeros((len(track), len(MOUTH_POINTS), 3), np.float32), track.times)


def error(made: MouthMotion, target: MouthMotion) -> float:
    """Mean distance of the points, inter-ocular distances."""
    return float(np.linalg.norm(made.displacement - target.displacement, axis=2).mean())


def test_an_actors_own_motion_is_reproduced(
    track: Track, head: HeadModel, rest: np.ndarray
) -> None:
    own = motion_from_track(track, head, rest_points=rest)
    made = motion_from_track(retarget_mouth(track, head, own), head, rest_points=rest)
    assert error(made, own) < 0.1 * error(own, still(track))
    np.testing.assert_allclose(made.aperture(), own.aperture(), atol=0.005)


def test_another_persons_motion_is_reproduced(
    track: Track, head: HeadModel, rest: np.ndarray, speech: MouthMotion
) -> None:
    """Two heads of other shapes and sizes: in eye distances they open alike."""
    made = motion_from_track(retarget_mouth(track, head, speech), head, rest_points=rest)
    assert error(made, speech) < 0.25 * error(speech, still(track))
    np.testing.assert_allclose(made.aperture(), speech.aperture(), atol=0.02)
    before = motion_from_track(track, head, rest_points=rest)
    assert error(made, speech) < 0.5 * error(before, speech)


def test_no_motion_closes_the_lips(track: Track, head: HeadModel, rest: np.ndarray) -> None:
    open_by = motion_from_track(track, head, rest_points=rest).aperture()
    closed_by = motion_from_track(
        retarget_mouth(track, head, still(track)), head, rest_points=rest
    ).aperture()
    assert open_by.max() > 0.1
    assert np.abs(closed_by).max() < 0.01


def test_larger_motion_opens_the_mouth_wider(
    track: Track, head: HeadModel, rest: np.ndarray, speech: MouthMotion
) -> None:
    gaps = []
    for gain in (0.5, 1.0, 1.5):
        louder = MouthMotion(speech.displacement * np.float32(gain), speech.times)
        made = motion_from_track(retarget_mouth(track, head, louder), head, rest_points=rest)
        assert np.corrcoef(made.aperture(), louder.aperture())[0, 1] > 0.99
        gaps.append(made.aperture().std())
    np.testing.assert_allclose(gaps / gaps[1], [0.5, 1, 1.5], rtol=0.15)


def test_only_jaw_and_lower_face_are_solved_for(
    track: Track, head: HeadModel, speech: MouthMotion
) -> None:
    before = {name: np.copy(value) for name, value in vars(track).items()}
    made = retarget_mouth(track, head, speech)
    free = head.mouth_expressions
    assert 0 < free < track.expression.shape[1]
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(track, name), value, err_msg=name)  # the given one
        if name not in ("jaw", "expression"):
            np.testing.assert_array_equal(getattr(made, name), value, err_msg=name)
    np.testing.assert_array_equal(made.expression[:, free:], track.expression[:, free:])
    assert np.abs(made.expression[:, :free] - track.expression[:, :free]).max() > 0.05
    assert (made.jaw.dtype, made.expression.dtype) == (np.float32, np.float32)


def test_bone_stays_where_it_was(track: Track, head: HeadModel, speech: MouthMotion) -> None:
    """The mouth's part of the expression must not lift the brows or push the nose's bridge."""
    made = retarget_mouth(track, head, speech)
    unit = head.inter_ocular_distance(track.shape)
    points = head.point_matrix(BONE_POINTS + MOUTH_POINTS)
    moved = points @ (
        head.vertices(made.shape, made.expression, made.jaw)
        - head.vertices(track.shape, track.expression, track.jaw)
    )
    distance = np.linalg.norm(moved, axis=2).mean(0) / unit
    bone, mouth = distance[: len(BONE_POINTS)], distance[len(BONE_POINTS) :]
    assert bone.max() < 0.02
    assert bone.mean() < 0.2 * mouth.mean()


def test_blocks_leave_no_seam(
    track: Track, head: HeadModel, speech: MouthMotion, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = retarget_mouth(track, head, speech)
    monkeypatch.setattr(module, "SOLVE_BLOCK_FRAMES", 7)
    parts = retarget_mouth(track, head, speech)
    np.testing.assert_allclose(parts.jaw, whole.jaw, atol=1e-5)
    np.testing.assert_allclose(parts.expression, whole.expression, atol=1e-4)


def test_frames_without_a_face_are_not_learned_from(
    track: Track, head: HeadModel, speech: MouthMotion
) -> None:
    """Their rows hold garbage, which must not become the rest pose."""
    blind = np.zeros(FRAMES, bool)
    blind[[0, 9, 10]] = True
    garbled = replace(
        track,
        valid=~blind,
        jaw=np.where(blind[:, None], np.float32(-0.4), track.jaw),
        expression=np.where(blind[:, None], np.float32(3), track.expression),
    )
    clean = replace(track, valid=~blind)
    ours, theirs = (retarget_mouth(each, head, speech) for each in (garbled, clean))
    np.testing.assert_allclose(ours.jaw[~blind], theirs.jaw[~blind], atol=1e-5)
    np.testing.assert_allclose(ours.expression[~blind], theirs.expression[~blind], atol=1e-4)
    assert np.isfinite(ours.expression).all()


def test_impossible_motion_stays_finite(track: Track, head: HeadModel, speech: MouthMotion) -> None:
    made = retarget_mouth(track, head, MouthMotion(speech.displacement * 8, speech.times))
    assert np.isfinite(made.jaw).all()
    assert np.isfinite(made.expression).all()
    assert np.abs(made.jaw).max() < np.pi / 2


def test_rows_must_match_frames(track: Track, head: HeadModel, speech: MouthMotion) -> None:
    with pytest.raises(ShapeError, match=f"{FRAMES - 1} rows of mouth motion for {FRAMES} frames"):
        retarget_mouth(track, head, speech.select(slice(1, None)))


def test_a_track_without_a_face_is_refused(
    track: Track, head: HeadModel, speech: MouthMotion
) -> None:
    with pytest.raises(NoFaceError):
        retarget_mouth(replace(track, valid=np.zeros(FRAMES, bool)), head, speech)
