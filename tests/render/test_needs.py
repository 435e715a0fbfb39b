"""What a dub needs beyond the footage: counted in frames, and said in one line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dubfew.adapt.artefact import ActorAdapter
from dubfew.motion.extraction import motion_from_track
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Track
from dubfew.references.track_geometry import compute_frame_keys
from dubfew.render.coverage import EXAMPLE_WORDS
from dubfew.render.needs import DubNeeds, measure_needs
from dubfew.speech.visemes import Phone

NOTHING = DubNeeds(100, 0, 0.2, 0.2, 0, 0, 0, 0.0, (), 0)


@pytest.fixture(scope="module")
def adapter(registry) -> ActorAdapter:
    stored = registry.open("actor")
    return ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})


@pytest.fixture(scope="module")
def track(adapter) -> Track:
    return Track.from_bytes(adapter.track_bytes, "track")


def measure(adapter, track, phones=(), painted=None):
    """The needs of a track that is rendered as it is."""
    head = load_head_model(adapter.config["head"])
    painted = np.ones(len(track), bool) if painted is None else painted
    motion = motion_from_track(track, head)
    return measure_needs(
        adapter, head, track, motion, painted, relit=0, mouth_in_scene=True, phones=phones
    )


def closed_lips(adapter, track):
    """An actor who was learned from the ten frames with the smallest gaps."""
    rows = np.sort(np.argsort(track.jaw[:, 0])[:10])
    known = track.select(rows)
    keys = compute_frame_keys(known, load_head_model(adapter.config["head"]))
    windows = adapter.references.select_frames(np.resize(np.arange(len(adapter.references)), 10))
    red = np.full_like(windows.images, 120)
    red[..., 1:] = 60
    windows = dataclasses.replace(windows, key=keys.astype(np.float32), images=red)
    return dataclasses.replace(adapter, track_bytes=known.to_bytes(), references=windows)


@pytest.mark.slow
def test_footage_that_shows_all_needs_nothing(adapter, track):
    found = measure(adapter, track)
    assert found.frames == len(track)
    assert found.describe() == ""
    assert found.widest_gap == pytest.approx(found.shown_gap)
    assert measure(adapter, track, painted=np.zeros(len(track), bool)).describe() == ""


@pytest.mark.slow
def test_openings_and_teeth_that_were_never_shown(adapter, track):
    found = measure(closed_lips(adapter, track), track)
    assert found.widest_gap > 1.5 * found.shown_gap
    assert 3 <= found.wider <= len(track) - 10
    assert found.teeth > 0
    assert found.shapes > 0
    words = found.describe()
    assert f"wider openings ({found.wider} frames" in words
    assert f"teeth, which no stored picture shows ({found.teeth} open frames)" in words
    assert "; " not in words  # notes are split there
    # Only the painted frames count.
    painted = np.isin(np.arange(len(track)), np.argsort(track.jaw[:, 0])[:10])
    assert measure(closed_lips(adapter, track), track, painted=painted).wider == 0


@pytest.mark.slow
def test_a_head_that_turns_farther(adapter, track):
    turn = Rotation.from_euler("Y", 40, degrees=True)
    turned = (Rotation.from_rotvec(track.rotation[:8]) * turn).as_rotvec()
    rotation = np.concatenate([turned, track.rotation[8:]]).astype(track.rotation.dtype)
    found = measure(adapter, dataclasses.replace(track, rotation=rotation))
    assert found.turned == 8
    assert found.farthest == pytest.approx(40, abs=8)
    assert found.shapes == 0
    assert "farther (8)" in found.describe()


@pytest.mark.slow
def test_sounds_of_the_line_that_the_footage_lacks(adapter, track):
    phones = (Phone("m", 0.0, 0.1), Phone("ɐ", 0.1, 0.2))
    # "a" stands for all that looks like it.
    assert measure(closed_lips(adapter, track), track, phones).sounds == ("a",)
    assert "a" in EXAMPLE_WORDS


def test_moments_are_not_worth_a_word():
    assert NOTHING.describe() == ""
    assert dataclasses.replace(NOTHING, wider=2, shapes=2, teeth=1, turned=2).describe() == ""
    assert "another light (3, matched)" in dataclasses.replace(NOTHING, relit=3).describe()
    longer = dataclasses.replace(NOTHING, frames=1000, relit=19)
    assert longer.describe() == ""
