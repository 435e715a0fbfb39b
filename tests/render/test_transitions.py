"""Transitions between rendered frames and frames that are left unchanged."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dubfew.reconstruction.track import FLAG_NO_FACE, FLAG_TURNED_AWAY
from dubfew.render.transitions import (
    MOTION_EASE_FRAMES,
    blend_mouth_motion,
    describe_skipped_frames,
    paint_opacity,
    transition_weights,
)
from tests.data.people import toy_track


def test_motion_eases_into_and_out_of_skipped_frames():
    track = toy_track(30)
    flags = np.zeros(30, np.uint8)
    flags[10:14] = FLAG_TURNED_AWAY
    flags[25] = FLAG_NO_FACE
    valid = np.arange(30) != 25
    track = dataclasses.replace(track, flags=flags, valid=valid)
    weight = transition_weights(track)
    assert (weight[10:14] == 0).all()
    assert weight[25] == 0
    assert (np.diff(weight[13 : 14 + MOTION_EASE_FRAMES]) > 0).all()
    assert (weight[[3, 20, 24, 26]] == 1).all()  # no transition where a face comes into view
    assert (np.diff(paint_opacity(weight)[13:16]) > 0).all()
    other = dataclasses.replace(track, jaw=track.jaw + 1, expression=track.expression + 1)
    mixed = blend_mouth_motion(track, other, weight)
    np.testing.assert_array_equal(mixed.jaw[11], track.jaw[11])
    np.testing.assert_allclose(mixed.jaw[3], other.jaw[3], rtol=1e-5)
    assert (
        describe_skipped_frames(track)
        == "5 of 30 frames left as they are (no face 1, turned away 4)"
    )
    cut = dataclasses.replace(track, shot=(np.arange(30) >= 14).astype(np.int32))
    assert (transition_weights(cut)[14:25] == 1).all()


@pytest.mark.parametrize("frames", range(1, MOTION_EASE_FRAMES + 3))
def test_clips_shorter_than_a_transition(frames):
    assert transition_weights(toy_track(frames)).tolist() == [1.0] * frames
