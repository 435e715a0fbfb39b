"""Which part of longer footage is learned from."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.adapt import segment_selection
from dubfew.adapt.footage_scan import FootageScan, _find_jumps, scan_footage
from dubfew.adapt.segment_selection import (
    SCORE_WEIGHTS,
    candidate_segments,
    choose_segment,
    score_segments,
)
from dubfew.media import Frame, VideoInfo, VideoWriter, probe, read_frames

FPS = 25


def make_scan(num_scanned: int = 60, cuts=(), seed: int = 0, **changes) -> FootageScan:
    """A head that speaks in the middle of the footage and rests at both ends."""
    rng = np.random.default_rng(seed)
    speaks = (np.arange(num_scanned) >= num_scanned // 3) & (
        np.arange(num_scanned) < 2 * num_scanned // 3
    )
    opening = np.where(speaks, rng.uniform(0, 0.3, num_scanned), 0.01).astype(np.float32)
    keys = np.zeros((num_scanned, 6), np.float32)
    keys[:, 0] = opening
    keys[:, 1:] = 0.02 * rng.standard_normal((num_scanned, 5)) * speaks[:, None]
    sound = (
        rng.uniform(0, 1, (num_scanned * 4, 80)).astype(np.float32) * np.repeat(speaks, 4)[:, None]
    )
    whole = FootageScan(
        frame_indices=np.arange(num_scanned) * 5,
        valid=np.ones(num_scanned, bool),
        keys=keys,
        mouth_opening=opening,
        turn=np.zeros(num_scanned, np.float32),
        eye_distance=np.full(num_scanned, 80, np.float32),
        cuts=list(cuts),
        mel_energy=sound,
        num_frames=num_scanned * 5,
        fps=float(FPS),
    )
    return replace(whole, **changes)


def chosen(found: FootageScan, frames: int, monkeypatch, seconds: float | None = None):
    monkeypatch.setattr(segment_selection, "scan_footage", lambda *args, **options: found)
    info = VideoInfo(Path("x.mp4"), 64, 64, Fraction(FPS), frames=found.num_frames)
    return choose_segment(Path("x.mp4"), info, seconds or frames / FPS)


def test_the_part_with_speech_is_chosen(monkeypatch):
    part = chosen(make_scan(), 90, monkeypatch)
    assert part.chosen == "best"
    assert 80 <= part.first <= 120
    assert part.stop - part.first == 90
    assert (part.start, part.seconds) == (part.first / FPS, 90 / FPS)
    assert set(part.merits) == set(SCORE_WEIGHTS)
    assert str(part) == f"{part.start:.1f} s to {part.start + 3.6:.1f} s (best)"
    assert chosen(make_scan(), 90, monkeypatch) == part


def test_no_part_contains_a_cut(monkeypatch):
    for cut in (100, 130, 150):
        part = chosen(make_scan(cuts=[cut]), 90, monkeypatch)
        assert not part.first < cut < part.stop


@pytest.mark.slow
@given(
    st.integers(1, 400),
    st.lists(st.integers(1, 299), max_size=8, unique=True).map(sorted),
)
def test_candidates_are_within_their_shots(frames, cuts):
    found = make_scan(cuts=cuts)
    parts = list(candidate_segments(found, frames))
    assert parts
    for first, stop in parts:
        assert 0 <= first < stop <= found.num_frames
        assert stop - first <= frames
        assert not any(first < cut < stop for cut in cuts)
    # Every shot is among them.
    edges = [0, *cuts, found.num_frames]
    for a, b in pairwise(edges):
        assert any(a <= first < b for first, _ in parts)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(5, 290), st.floats(0, 1))
def test_merits_are_in_0_to_1(seed, frames, lost):
    rng = np.random.default_rng(seed)
    found = make_scan(seed=seed, cuts=sorted({int(rng.integers(1, 299))}))
    valid = rng.random(60) >= lost
    valid[rng.integers(60)] = True
    found = replace(found, valid=valid, turn=rng.uniform(-1, 1, 60).astype(np.float32))
    values = score_segments(found, list(candidate_segments(found, frames)), frames)
    assert set(values) == set(SCORE_WEIGHTS)
    for name, value in values.items():
        assert np.isfinite(value).all(), name
        assert value.min() >= 0, name
        assert value.max() <= 1 + 1e-6, name


@pytest.mark.parametrize(
    ("name", "worse"),
    [
        ("valid", {"valid": np.arange(60) >= 30}),
        ("frontal", {"turn": np.where(np.arange(60) < 30, 0.8, 0.0).astype(np.float32)}),
        ("size", {"eye_distance": np.where(np.arange(60) < 30, 30, 80).astype(np.float32)}),
    ],
)
def test_a_worse_part_has_less_merit(name, worse):
    found = make_scan(**worse)
    first, second = score_segments(found, [(0, 100), (200, 300)], 100)[name]
    assert first < second


def test_varied_sounds_and_longer_parts_have_more_merit():
    found = make_scan()
    quiet, loud = score_segments(found, [(0, 80), (110, 190)], 160)["sound"]
    assert quiet < 0.3 < loud
    np.testing.assert_allclose(score_segments(found, [(0, 80), (0, 160)], 160)["length"], [0.5, 1])


def test_the_part_that_was_asked_for_is_chosen(monkeypatch):
    monkeypatch.setattr(
        segment_selection, "scan_footage", lambda *args, **options: pytest.fail("scanned")
    )
    info = VideoInfo(Path("x.mp4"), 64, 64, Fraction(30000, 1001), frames=3000)
    part = choose_segment(Path("x.mp4"), info, 10, start=20)
    assert (part.first, part.stop, part.chosen) == (599, 899, "asked")
    short = replace(info, frames=250)
    assert choose_segment(Path("x.mp4"), short, 10).chosen == "whole"


def test_footage_without_a_face_is_left_to_tracking(monkeypatch):
    part = chosen(make_scan(valid=np.zeros(60, bool)), 90, monkeypatch)
    assert (part.first, part.chosen) == (0, "whole")


def test_a_head_that_jumps_is_another_shot():
    frames, valid = np.arange(4) * 5, np.array([True, True, True, True])
    size = np.full(4, 40, np.float32)
    centre = np.array([[50, 50], [55, 50], [150, 50], [150, 52]], np.float32)
    assert _find_jumps(frames, valid, size, centre) == [10]
    grown = np.array([40, 41, 41, 70], np.float32)
    assert _find_jumps(frames, valid, grown, centre * 0) == [15]
    assert _find_jumps(frames, valid & (frames != 10), size, centre) == []


@pytest.fixture(scope="module")
def two_shots(tmp_path_factory) -> Path:
    """The start of the bundled clip, and its mirror image."""
    source = Path(str(files("dubfew.demo") / "actor.mp4"))
    path = tmp_path_factory.mktemp("scan") / "shots.mp4"
    info = replace(probe(source), has_audio=False)
    frames = [frame.to_rgb() for frame in read_frames(source, stop=20)]
    shots = [*frames, *(np.roll(f, f.shape[1] // 3, 1)[:, ::-1].copy() for f in frames)]
    with VideoWriter(path, info, preset="ultrafast") as writer:
        for number, rgb in enumerate(shots):
            writer.write(Frame.from_rgb(rgb, number, info.fps, color=info.color))
    return path


@pytest.mark.slow
def test_scanning_footage(two_shots):
    reports = []
    found = scan_footage(two_shots, probe(two_shots), progress=reports.append)
    assert found.num_frames == 40
    assert found.frame_indices.tolist() == list(range(0, 40, 5))
    assert found.cuts == [20]
    assert found.valid[:4].all()
    assert (found.eye_distance[:4] > 10).all()
    assert np.abs(found.keys[:4, :2]).max() < 2
    assert (found.turn[:4] < 0.6).all()
    assert found.mel_energy.shape == (0, 80)
    assert {p.stage for p in reports} == {"scan"}


@pytest.mark.slow
def test_scanning_sound():
    source = Path(str(files("dubfew.demo") / "actor.mp4"))
    info = probe(source)
    found = scan_footage(source, replace(info, frames=5))
    assert found.mel_energy.shape[0] == pytest.approx(info.duration * 20, abs=3)
    assert found.mel_energy.std() > 0.01
