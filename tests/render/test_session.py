"""Sessions: what is kept between renders, and what is asked for again in each."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dubfew
from dubfew.errors import ActorNotFoundError, DubfewError, SuspendedError
from dubfew.media import read_frames
from dubfew.render import cache, render

pytestmark = pytest.mark.slow

OPTIONS = {"drive": "self", "lossless": True, "watermark": False}


@pytest.fixture
def counted(monkeypatch) -> dict[str, int]:
    """How often something was loaded or tracked."""
    counts = {"load_checked_actor": 0, "track_scene": 0}
    for name in counts:
        original = getattr(cache, name)

        def count(*arguments, _name=name, _original=original):
            counts[_name] += 1
            return _original(*arguments)

        monkeypatch.setattr(cache, name, count)
    return counts


def test_a_scene_is_tracked_once_and_its_pictures_are_those_of_a_render(
    registry, brief, tmp_path, counted
):
    plain = render("actor", video=brief, out=tmp_path / "0.mp4", registry=registry, **OPTIONS)
    assert counted == {"load_checked_actor": 0, "track_scene": 0}
    session = dubfew.Session("actor", registry=registry)
    session.render(video=brief, out=tmp_path / "1.mp4", **OPTIONS)
    images = list(session.frames(video=brief, **OPTIONS))
    assert counted == {"load_checked_actor": 1, "track_scene": 1}
    again = [frame.to_rgb() for frame in read_frames(tmp_path / "1.mp4")]
    expected = [frame.to_rgb() for frame in read_frames(plain.output)]
    np.testing.assert_array_equal(again, expected)
    np.testing.assert_array_equal(images, expected)
    # The log has the frames that were handed out, which have no file.
    lines = (registry.home / "audit.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    hashes = [e["fields"]["output_sha256"] for e in events if e["event"] == "render"]
    assert hashes[-1] is None
    assert None not in hashes[-3:-1]
    with pytest.raises(DubfewError, match="preview"):
        session.frames(video=brief, preview=True)


def test_every_render_asks_whether_the_actor_may_be_rendered(registry, brief, tmp_path, counted):
    session = dubfew.Session("actor", registry=registry)
    kept = session._cache
    session.frames(video=brief, **OPTIONS)
    registry.suspend("actor")
    try:
        assert kept._actors
        with pytest.raises(SuspendedError):
            session.frames(video=brief, **OPTIONS)
        assert not kept._actors
    finally:
        registry.resume("actor")
    with pytest.raises(ActorNotFoundError):
        dubfew.Session("nobody", registry=registry)
