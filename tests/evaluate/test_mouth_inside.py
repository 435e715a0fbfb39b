"""The inside of the mouth: teeth missing, too long or elsewhere, and footage that lacks some."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dubfew.errors import DubfewError
from dubfew.evaluate.metrics import METRICS, FramePair, Measurement
from dubfew.evaluate.metrics._mouth_inside import MouthPlace
from dubfew.evaluate.mouth_parts import (
    INSIDE_MEASURES,
    find_mouth_parts,
    head_turn,
    summarize_parts,
)
from dubfew.evaluate.restricted_footage import FootageFacts, choose_known_frames
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from tests.evaluate.metrics.examples import MOUTH_BOX, pair_clips

# A mouth of 60 px and an opening of 40 x 24 px in frames of 120 px.
SIZE, LIP, DARK, TOOTH = 120, (170, 90, 90), (40, 15, 15), (240, 240, 230)


def face() -> np.ndarray:
    """Landmarks of a face whose lips are ellipses. [478, 3]"""
    marks = np.zeros((478, 3), np.float32)
    marks[33, :2], marks[263, :2] = (20, 20), (100, 20)
    for lips, radii in ((OUTER_LIPS, (30, 22)), (INNER_LIPS, (20, 12))):
        angles = np.pi - np.linspace(0, 2 * np.pi, len(lips), endpoint=False)
        marks[list(lips), 0] = 60 + radii[0] * np.cos(angles)
        marks[list(lips), 1] = 80 - radii[1] * np.sin(angles)
    return marks


def mouth(teeth: int, top: int = 68) -> np.ndarray:
    """A mouth whose teeth are that many px high."""
    frame = np.full((SIZE, SIZE, 3), (200, 140, 120), np.uint8)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    frame[((x - 60) / 30) ** 2 + ((y - 80) / 22) ** 2 < 1] = LIP
    inside = ((x - 60) / 20) ** 2 + ((y - 80) / 12) ** 2 < 1
    frame[inside] = DARK
    frame[inside & (y > top) & (y < top + teeth)] = TOOTH
    return frame


def measure(film: list[np.ndarray], output: list[np.ndarray]) -> dict[str, float]:
    """Measure the inside of the mouth."""
    marks = np.stack([face()] * len(film))
    measurements: dict[str, Measurement] = {
        name: METRICS[name].measure.start(True) for name in INSIDE_MEASURES
    }
    for first, second in zip(film, output, strict=True):
        pair = FramePair(first, second, None, MOUTH_BOX, None, face(), face())
        for each in measurements.values():
            each.add_frame(pair)
    return {name: each.compute(pair_clips(marks, marks)) for name, each in measurements.items()}


def test_the_same_mouth_is_perfect():
    found = measure([mouth(6), mouth(9)], [mouth(6), mouth(9)])
    assert found == {name: pytest.approx(METRICS[name].best) for name in INSIDE_MEASURES}


def test_the_place_is_the_opening_of_the_lips():
    place = MouthPlace.from_landmarks(face())
    scale = 256 / (1.3 * 60)
    assert place.inside.sum() == pytest.approx(math.pi * 20 * 12 * scale**2, rel=0.06)
    assert place.eyes == pytest.approx(80 * scale)
    # The lower lip lies below the opening, and does not overlap it.
    assert np.nonzero(place.lip)[0].mean() > np.nonzero(place.inside)[0].mean() + 20
    assert not (place.lip & place.inside).any()
    cut = place.cut(mouth(8))
    assert np.abs(cut[place.lip].astype(int) - LIP).mean() < 8


def test_missing_teeth_are_missing():
    found = measure([mouth(6)], [mouth(0)])
    assert found["teeth_found"] == 0
    assert found["teeth_overlap"] == 0
    # A segment of 6 px of an ellipse 24 px high, less the soft edge.
    assert found["teeth_share"] == pytest.approx(-18, abs=4)
    assert found["inside_color"] > 10
    assert math.isnan(found["tooth_length"])  # none at all


def test_a_tooth_three_times_as_long_is_told():
    found = measure([mouth(6)] * 2, [mouth(18)] * 2)
    assert found["teeth_found"] == 100
    assert found["tooth_length"] == pytest.approx(3, rel=0.15)
    assert measure([mouth(6)], [mouth(6, 82)])["tooth_length"] == pytest.approx(1, rel=0.15)


def test_a_white_haze_is_told_from_teeth():
    film = mouth(6)
    hazy = np.round(film + 0.3 * (255.0 - film)).astype(np.uint8)
    assert measure([film], [film])["inside_haze"] == 0
    # From L* 6 of the dark to 38 of a third of white in it.
    assert measure([film], [hazy])["inside_haze"] == pytest.approx(32, abs=3)
    assert abs(measure([film], [mouth(9)])["inside_haze"]) < 1


def test_teeth_elsewhere_do_not_overlap():
    found = measure([mouth(6)], [mouth(6, 82)])
    assert found["teeth_overlap"] < 0.1
    assert measure([mouth(6)], [mouth(7)])["teeth_overlap"] > 0.8


@pytest.mark.slow
def test_flicker_is_change_over_the_film_s():
    film = [mouth(6), mouth(8), mouth(6), mouth(8)]
    assert measure(film, [mouth(6)] * 4)["inside_flicker"] != 1
    jumping = [mouth(4), mouth(10), mouth(4), mouth(10)]
    assert measure(film, jumping)["inside_flicker"] > 2


def test_a_closed_mouth_has_no_inside():
    closed = face()
    closed[list(INNER_LIPS), 1] = 80
    pair = FramePair(mouth(0), mouth(0), None, MOUTH_BOX, None, closed, closed)
    measurement = METRICS["inside_color"].measure.start(True)
    measurement.add_frame(pair)
    marks = closed[None]
    assert math.isnan(measurement.compute(pair_clips(marks, marks)))


def clip(openings: np.ndarray) -> np.ndarray:
    """Landmarks of frames that open as far, in distances of the eyes. [N, 478, 3]"""
    marks = np.stack([face()] * len(openings))
    marks[:, 13, 1], marks[:, 14, 1] = 80, 80 + 80 * openings
    return marks


@pytest.mark.slow
def test_parts_hold_the_extreme_fifths():
    marks = clip(np.arange(10) / 50)
    marks[3, OUTER_LIPS[0], 0] -= 20  # a smile
    marks[5, 263, 2] = 80  # turned by 45 degrees
    marks[9] = np.nan  # no face
    teeth = np.zeros(10)
    teeth[[2, 9]] = 0.3
    parts = find_mouth_parts(marks, teeth)
    assert parts["widest"].tolist() == [7, 8]
    assert parts["rest"].tolist() == list(range(7))
    assert parts["teeth"].tolist() == [2]
    assert 3 in parts["smiles"]
    assert 5 in parts["turned"]
    assert head_turn(marks[[5]]) == pytest.approx(45)
    assert find_mouth_parts(marks, teeth, np.arange(5))["widest"].tolist() == [4]
    curve = METRICS["inside_color"].measure.start(True)
    for row in range(10):
        pair = FramePair(mouth(6), mouth(6 + row), None, MOUTH_BOX, None, face(), face())
        curve.add_frame(pair)
    marks = clip(np.arange(10) / 50)
    found = curve.curve(pair_clips(marks, marks))
    values = summarize_parts({"inside_color": found}, {"widest": np.array([8, 9])})
    assert values == {"widest": {"inside_color": pytest.approx(found.values[8:].mean())}}


def test_footage_is_restricted_to_what_it_may_show():
    frames = 120
    openings = np.full(frames, 0.1)
    openings[40:90] = 0.01
    openings[60] = 0.09
    teeth, turn = np.where(np.arange(frames) < 30, 0.0, 0.4), np.linspace(0, 30, frames)
    facts = FootageFacts(openings, teeth, turn, 25.0)
    smallest = choose_known_frames("smallest", facts)
    # A tenth of the frames may be open: those before 40 here.
    assert len(smallest) == 40
    assert 36 <= smallest[0] <= 50
    closed = choose_known_frames("closed", facts)
    assert closed.tolist() == [*range(40, 60), *range(61, 90)]
    assert choose_known_frames("no-teeth", facts).tolist() == list(range(30))
    assert choose_known_frames("frontal", facts).tolist() == list(range(40))
    assert choose_known_frames("25-frames", facts).tolist() == list(range(25))
    with pytest.raises(DubfewError, match="0 such frames"):
        choose_known_frames("closed", FootageFacts(openings + 1, teeth, turn, 25.0))
    with pytest.raises(DubfewError, match=r"smallest, no-teeth"):
        choose_known_frames("bogus", facts)
