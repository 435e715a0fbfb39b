from __future__ import annotations

import dataclasses

import numpy as np

from dubfew.reconstruction.track import CUT_BY_EDGE, NO_FACE, TURNED
from dubfew.reconstruction.visibility import geometric_flags, outside, steady, turn
from dubfew.render.ease import EASE, eased, left_as_is, opacity, presence
from tests.prior.people import toy_track


def test_angle_to_the_camera():
    ahead = np.array([[0, 0, 0.8]])
    for axis in (0, 1):
        vector = np.zeros((1, 3))
        vector[0, axis] = np.deg2rad(50)
        np.testing.assert_allclose(np.rad2deg(turn(vector, ahead)), 50, atol=1e-3)
    # Who stands aside and looks straight on is seen a little from the side.
    np.testing.assert_allclose(np.rad2deg(turn(np.zeros((1, 3)), np.array([[1, 0, 1.0]]))), 45)
    roll = np.array([[0, 0, 1.5]])
    np.testing.assert_allclose(turn(roll, ahead), 0, atol=1e-3)


def test_share_outside():
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    disc = 5 + 5 * np.stack([np.cos(angle), np.sin(angle)], -1)[None]
    shares = [outside(disc + np.array([dx, 50]), (100, 100))[0] for dx in (50, -5, -20)]
    np.testing.assert_allclose(shares, [0, 0.5, 1], atol=0.06)


def test_flags_and_short_gaps():
    rotation = np.zeros((12, 3))
    rotation[3:8, 1] = 1.2
    rotation[5, 1] = 0  # the detector's one good moment in a profile
    hull = np.array([[40, 40], [60, 40], [60, 60], [40, 60.0]]).repeat(12, 0)[None].repeat(12, 0)
    hull[10:] += [45, 0]
    flags = geometric_flags(rotation, np.tile([0, 0, 0.8], (12, 1)), hull, (90, 100))
    assert flags.tolist() == [0] * 3 + [TURNED] * 5 + [0] * 2 + [CUT_BY_EDGE] * 2
    assert steady(np.array([False, True, False, False, False])).tolist() == [False] * 5


def test_into_and_out_of_frames_that_are_left():
    track = toy_track(30)
    flags = np.zeros(30, np.uint8)
    flags[10:14] = TURNED
    flags[25] = NO_FACE
    valid = np.arange(30) != 25
    track = dataclasses.replace(track, flags=flags, valid=valid)
    weight = presence(track)
    assert (weight[10:14] == 0).all()
    assert weight[25] == 0
    assert (np.diff(weight[13 : 14 + EASE]) > 0).all()
    assert (weight[[3, 20, 24, 26]] == 1).all()  # a face that comes into sight fades nowhere
    assert (np.diff(opacity(weight)[13:16]) > 0).all()
    other = dataclasses.replace(track, jaw=track.jaw + 1, expression=track.expression + 1)
    mixed = eased(track, other, weight)
    np.testing.assert_array_equal(mixed.jaw[11], track.jaw[11])
    np.testing.assert_allclose(mixed.jaw[3], other.jaw[3], rtol=1e-5)
    assert left_as_is(track) == "5 of 30 frames left as they are (no face 1, turned away 4)"
    cut = dataclasses.replace(track, shot=(np.arange(30) >= 14).astype(np.int32))
    assert (presence(cut)[14:25] == 1).all()
