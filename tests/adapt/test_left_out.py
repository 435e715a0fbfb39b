"""Frames that ``adapt`` does not train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubfew.adapt import ActorAdapter, adapt
from dubfew.adapt.actor_footage import check_usable_frames
from dubfew.errors import NoFaceError
from dubfew.reconstruction.track import FLAG_MOUTH_COVERED, FLAG_TURNED_AWAY, Track
from dubfew.registry import Registry
from tests.data.people import toy_track
from tests.footage import with_paper

pytestmark = pytest.mark.slow


def test_covered_frames_are_not_trained_on(tmp_path):
    clip = with_paper(tmp_path / "paper.mp4", 38, 16, 22)
    registry = Registry(tmp_path / "home")
    result = adapt(clip, actor="a", steps=0, prior="warp", registry=registry)
    stored = registry.open("a")
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})
    track = Track.from_bytes(adapter.track_bytes, "track")
    assert (track.flags[16:22] & FLAG_MOUTH_COVERED > 0).all()
    assert result.frames == track.usable.sum() >= 30
    assert not set(adapter.references.frames) & set(range(16, 22))


def test_footage_without_a_usable_frame_is_an_error():
    track = toy_track(4)
    check_usable_frames(
        Path("a.mp4"), replace(track, flags=np.array([FLAG_TURNED_AWAY] * 3 + [0], np.uint8))
    )
    away = replace(track, flags=np.array([FLAG_TURNED_AWAY] * 3 + [FLAG_MOUTH_COVERED], np.uint8))
    with pytest.raises(NoFaceError, match=r"a\.mp4 can be learned from \(turned away, mouth cov"):
        check_usable_frames(Path("a.mp4"), away)
