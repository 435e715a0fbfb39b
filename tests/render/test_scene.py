from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from dubfew.progress import no_progress
from dubfew.reconstruction.track import FLAG_MOUTH_COVERED
from dubfew.render import scene
from tests.data.people import toy_track


def test_a_parser_of_faces_adds_to_what_is_left_as_it_is(monkeypatch):
    track, looked = toy_track(6), []

    def found(path, seen, parser, head, progress):
        looked.append((path, parser, head))
        return dataclasses.replace(seen, flags=np.full(6, FLAG_MOUTH_COVERED, np.uint8))

    monkeypatch.setattr(scene, "_track_actor_face", lambda *arguments: (track, "whose"))
    monkeypatch.setattr(scene, "flag_occluded_frames", found)
    who = SimpleNamespace(head="lite")
    assert scene.track_scene(Path("v.mp4"), who, None, None, no_progress) == (track, "whose")
    assert not looked
    flagged, note = scene.track_scene(Path("v.mp4"), who, None, "parser", no_progress)
    assert looked == [(Path("v.mp4"), "parser", "lite")]
    assert not flagged.usable.any()
    assert note == "whose"
