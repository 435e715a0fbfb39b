from __future__ import annotations

import dataclasses
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from dubfew.progress import no_progress
from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import FLAG_MOUTH_COVERED
from dubfew.render import scene
from dubfew.render.options import RenderOptions
from dubfew.speech.model import SpeechModel
from dubfew.speech.style import SpeakingStyle
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


def test_a_positive_offset_moves_the_mouth_later():
    """At 25 frames a second 80 ms are two frames."""
    track = toy_track(40)
    actor = SimpleNamespace(
        adapter=SimpleNamespace(style=SpeakingStyle.neutral()),
        speech_model=SpeechModel.load_default(),
        head=load_head_model(),
    )
    sources = SimpleNamespace(
        drive="audio",
        start=0.0,
        audio=Path(str(files("dubfew.demo") / "dub.wav")),
        audio_track=None,
    )
    jaws = {}
    for offset in (0, 80, -80):
        options = RenderOptions(offset=offset)
        job = SimpleNamespace(
            style=actor.adapter.style,
            actor=actor,
            sources=sources,
            options=options,
            phones=(),
            passage=None,
        )
        jaws[offset] = scene._move_mouth(job, track, no_progress).jaw
    assert np.ptp(jaws[0][:, 0]) > 0.02
    np.testing.assert_allclose(jaws[80][2:], jaws[0][:-2], atol=1e-3)
    np.testing.assert_allclose(jaws[-80][:-2], jaws[0][2:], atol=1e-3)


def test_a_scene_is_fitted_as_the_actors_footage_was():
    seen = []

    def fit(path, track, *, head, first_frame, progress):
        seen.append((path, head, first_frame))
        return dataclasses.replace(track, method="toy")

    track = toy_track(4)
    learned = dataclasses.replace(track, method="toy")
    actor = SimpleNamespace(
        adapter=SimpleNamespace(track_bytes=learned.to_bytes()),
        revision=SimpleNamespace(actor="ann"),
        head="head",
    )
    TRACKING_METHODS.register("toy", fit)
    try:
        found = scene.refine_as_learned(Path("v.mp4"), track, actor, no_progress)
    finally:
        TRACKING_METHODS.unregister("toy")
    assert found.method == "toy"
    assert seen == [(Path("v.mp4"), "head", 0)]
    actor.adapter.track_bytes = track.to_bytes()
    assert scene.refine_as_learned(Path("v.mp4"), track, actor, no_progress) is track
