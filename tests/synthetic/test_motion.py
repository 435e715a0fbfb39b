"""Motion: blinks and gaze as people have them, mouths that follow the sounds."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from dubfew.motion.extraction import motion_from_track
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.speech.visemes import SILENCE_SYMBOL, Phone, controls_from_motion
from dubfew.synthetic import SyntheticPerson, SyntheticSpeech, render_clip
from dubfew.synthetic.motion import (
    PersonMotion,
    _sample_blinks,
    _sample_gaze,
    _smooth_random_curves,
    _speech_activity,
    animate_person,
)
from dubfew.synthetic.voice import synthesize_babble
from tests.synthetic.toys import flat_atlas, with_atlas

SECONDS = 12.0
TIMES = np.arange(0, SECONDS, 1 / 50)
HELLO = (
    Phone(SILENCE_SYMBOL, 0.0, 0.4),
    Phone("m", 0.4, 0.5),
    Phone("a", 0.5, 0.9),
    Phone("p", 0.9, 1.0),
    Phone("u", 1.0, 1.4),
    Phone(SILENCE_SYMBOL, 1.4, 2.0),
)


@pytest.fixture(scope="module")
def someone():
    return SyntheticPerson(5)


def move(person, times=TIMES, seed=0, phones=HELLO, **options) -> PersonMotion:
    return animate_person(person, phones, times, np.random.default_rng(seed), **options)


@pytest.mark.parametrize("seed", range(4))
def test_blinks_close_the_lids_for_a_moment_every_few_seconds(seed):
    times = np.arange(0, 60, 0.005)
    closed = _sample_blinks(np.random.default_rng(seed), times)
    assert closed.min() == 0
    assert closed.max() == 1
    starts = np.nonzero((closed[1:] > 0) & (closed[:-1] == 0))[0] * 0.005
    assert np.diff(starts).min() >= 1.6
    assert np.diff(starts).max() <= 5.01
    lengths = [np.sum((closed > 0) & (times >= t) & (times < t + 1)) * 0.005 for t in starts[:-1]]
    # 90 ms down, 30 ms shut, 160 ms up.
    np.testing.assert_allclose(lengths, 0.28, atol=0.015)
    assert np.abs(np.diff(closed)).max() < 0.1  # no jump at 200 Hz


def test_gaze_rests_and_jumps():
    gaze = _sample_gaze(np.random.default_rng(0), np.arange(0, 30, 0.02))
    moves = np.nonzero(np.abs(np.diff(gaze, axis=0)).max(1) > 0)[0] * 0.02
    assert 30 / 2.1 < len(moves) < 30 / 0.4
    assert np.diff(moves).min() > 0.35
    assert gaze.std() < 0.1
    assert np.abs(gaze).max() < 0.3


@pytest.mark.parametrize("period", [0.45, 2.5])
def test_curves_are_smooth_with_features_of_their_period(period):
    times = np.arange(0, 300, 0.05)
    curves = _smooth_random_curves(np.random.default_rng(0), times, period, 3)
    assert curves.shape == (len(times), 3)
    np.testing.assert_allclose(curves.std(0), 0.85, atol=0.2)
    crossings = (np.diff(np.sign(curves), axis=0) != 0).sum(0)
    # Knots are independent: the sign changes between about half of them.
    np.testing.assert_allclose(crossings / (300 / period), 0.5, atol=0.15)
    assert abs(np.corrcoef(curves.T)[0, 1]) < 0.3


def test_speech_activity_is_1_in_speech_and_fades_in_pauses():
    times = np.array([0.05, 0.25, 0.4, 1.2, 1.4, 1.55, 1.9])
    activity = _speech_activity(HELLO, times)
    np.testing.assert_allclose(activity, [0, 0.5, 1, 1, 1, 0.5, 0], atol=1e-9)


def test_motion_is_decided_by_its_random_numbers(someone):
    first, again, other = (move(someone, TIMES[:40], seed) for seed in (0, 0, 1))
    for field in fields(PersonMotion):
        value = getattr(first, field.name)
        assert len(value) == 40
        assert np.isfinite(value).all()
        np.testing.assert_array_equal(value, getattr(again, field.name))
        if field.name != "times":
            assert not np.array_equal(value, getattr(other, field.name))


def test_one_frame_has_the_same_fields_without_their_axis(someone):
    motion = move(someone, TIMES[:4])
    moment = motion.select(2)
    for field in fields(PersonMotion):
        np.testing.assert_array_equal(getattr(moment, field.name), getattr(motion, field.name)[2])


def test_heads_nod_and_sway_within_reason(someone):
    motion = move(someone)
    assert np.abs(motion.rotation).max() < 0.5
    assert motion.rotation.std(0).min() > 0.002
    assert np.abs(motion.translation - [0, -0.034, 0.83]).max() < 0.1
    # No jumps: at most 4 rad/s.
    assert np.abs(np.diff(motion.rotation, axis=0)).max() < 0.08
    # Shoulders move less than the head.
    assert motion.body_rotation.std() < 0.6 * motion.rotation.std()


@pytest.mark.slow
def test_people_nod_while_they_speak(someone):
    speaking = (Phone("a", 0.0, SECONDS),)
    silent = (Phone(SILENCE_SYMBOL, 0.0, SECONDS),)
    swings = [
        np.abs(np.diff(move(someone, phones=phones).rotation, axis=0)).mean()
        for phones in (speaking, silent)
    ]
    assert swings[0] > 1.3 * swings[1]


def test_eyes_counter_the_turning_head(someone):
    straight = move(someone, TIMES[:50])
    turned = move(someone, TIMES[:50], head_turn=(0.2, 0.3, 0.0))
    # Rotation about x pitches, about y yaws; gaze is right, then up.
    np.testing.assert_allclose(
        turned.gaze - straight.gaze, np.tile([-0.6 * 0.3, 0.6 * 0.2], (50, 1)), atol=1e-5
    )


@pytest.mark.slow
def test_lids_are_in_the_face_and_not_in_the_coefficients(someone):
    motion = move(someone)
    head = someone.head
    face = head.vertices(someone.shape, motion.expression, motion.jaw)[:, :468]
    gap = {
        name: points[:, 159, 1] - points[:, 145, 1]
        for name, points in (("live", motion.face_vertices), ("model", face))
    }
    assert gap["live"].min() < 0.001
    assert gap["model"].min() > 0.003
    np.testing.assert_allclose(motion.face_vertices[:, 13], face[:, 13], atol=1e-6)


def lip_gap(motion, person):
    """Gap of the lips in inter-ocular distances. [N]"""
    gap = motion.face_vertices[:, 13, 1] - motion.face_vertices[:, 14, 1]
    return gap / person.head.inter_ocular_distance(person.shape)


def test_mouth_is_closed_for_pauses_and_bilabials_and_open_for_vowels(someone):
    times = np.arange(0, 2.0, 0.01)
    gap = lip_gap(move(someone, times), someone)

    def during(start, end):
        return gap[(times >= start) & (times < end)]

    assert during(0.0, 0.3).max() < 0.02
    assert during(0.43, 0.47).min() < 0.02  # m
    assert during(0.93, 0.97).min() < 0.02  # p
    assert during(1.75, 2.0).max() < 0.02
    assert during(0.6, 0.8).min() > 0.1  # a
    assert during(1.1, 1.3).max() < during(0.6, 0.8).min()  # u is closer than a
    # The mouth is widest open inside the vowel that opens it.
    assert 0.5 < times[gap.argmax()] < 0.9


def test_rounded_vowels_narrow_the_mouth(someone):
    times = np.array([0.05, 0.7, 1.2])
    face = move(someone, times).face_vertices
    width = np.linalg.norm(face[:, 61] - face[:, 291], axis=1)
    assert width[2] < width[1] - 0.004
    assert width[2] < width[0] - 0.004


@pytest.mark.slow
def test_track_of_a_clip_shows_the_mouth_of_its_sounds():
    person = with_atlas(14, flat_atlas())
    speech = synthesize_babble(np.random.default_rng(0), 3.0)
    made = render_clip(person, seconds=3.0, size=16, seed=5, speech=speech)
    controls = controls_from_motion(motion_from_track(made.track, load_head_model("lite")))
    gap = controls[:, 0] - controls[:, 1]
    at = np.array(
        [next(p for p in speech.phones if p.start <= t < p.end).symbol for t in made.track.times]
    )
    assert gap[made.track.times < 0.1].max() < 0.03
    vowels = np.isin(at, list("aæɛ"))
    closed = np.isin(at, [*"pbm", SILENCE_SYMBOL])
    assert gap[vowels].mean() > gap[closed].mean() + 0.03


@pytest.mark.slow
def test_a_clip_says_what_it_is_given():
    audio = synthesize_babble(np.random.default_rng(0), 2.0).audio
    person = with_atlas(5, flat_atlas())
    made = render_clip(person, seconds=2.0, size=16, speech=SyntheticSpeech(audio, HELLO))
    assert made.audio is audio
    controls = controls_from_motion(motion_from_track(made.track, load_head_model("lite")))
    gap = controls[:, 0] - controls[:, 1]
    assert gap[16] > gap[2] + 0.08  # a at 0.64 s, silence at 0.08 s
