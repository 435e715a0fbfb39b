from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from dubfew.progress import silent
from dubfew.reconstruction.track import COVERED
from dubfew.render import job
from tests.prior.people import toy_track


def test_a_parser_of_faces_adds_to_what_is_left_as_it_is(monkeypatch):
    track, looked = toy_track(6), []

    def found(path, seen, parser, head, progress):
        looked.append((path, parser, head))
        return dataclasses.replace(seen, flags=np.full(6, COVERED, np.uint8))

    monkeypatch.setattr(job, "_tracked", lambda *arguments: (track, "whose"))
    monkeypatch.setattr(job, "with_occluders", found)
    who = SimpleNamespace(head="lite")
    assert job.scene_track(Path("v.mp4"), who, None, None, silent) == (track, "whose")
    assert not looked
    flagged, note = job.scene_track(Path("v.mp4"), who, None, "parser", silent)
    assert looked == [(Path("v.mp4"), "parser", "lite")]
    assert not flagged.usable.any()
    assert note == "whose"
