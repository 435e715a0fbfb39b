from __future__ import annotations

import dataclasses
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest

from dubfew.errors import DubfewError
from dubfew.media import VideoInfo
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


def test_a_track_of_a_proxy_lies_on_the_same_places_of_the_scene():
    track = toy_track(6)
    info = VideoInfo(Path("scene.mp4"), 3 * track.width, 3 * track.height, track.fps * 2, frames=6)
    with patch.object(scene, "sha256_file", lambda path: "1" * 64):
        large = scene.fit_track_to_scene(track, info)
    point = np.array([0.02, -0.01, 0.8])
    np.testing.assert_allclose(large.camera.project(point), 3 * track.camera.project(point))
    np.testing.assert_allclose(large.landmarks, 3 * track.landmarks, rtol=1e-6)
    np.testing.assert_allclose(large.box, 3 * track.box, rtol=1e-6)
    # The same pose and mouth, at the times of the scene's rate.
    assert np.array_equal(large.jaw, track.jaw)
    assert np.array_equal(large.translation, track.translation)
    np.testing.assert_allclose(large.times, track.times / 2)
    assert (large.width, large.source_sha256) == (info.width, "1" * 64)


@pytest.mark.parametrize(
    ("width", "height", "frames", "words"),
    [(3, 4, 6, "another shape"), (3, 3, 7, "give the same cut")],
)
def test_a_proxy_of_another_cut_is_refused(width, height, frames, words):
    track = toy_track(6)
    info = VideoInfo(
        Path("scene.mp4"), width * track.width, height * track.height, track.fps, frames=frames
    )
    with pytest.raises(DubfewError, match=words):
        scene.fit_track_to_scene(track, info)
