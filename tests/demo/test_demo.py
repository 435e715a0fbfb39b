"""The bundled files of the demo, and the demo from end to end."""

from __future__ import annotations

import shutil
from importlib.resources import files

import numpy as np
import pytest

from dubfew.demo import ACTOR_CLIP_FILE, DUB_AUDIO_FILE, run_demo
from dubfew.demo import run as demo
from dubfew.media import probe, read_audio, read_frames
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.registry import Registry
from tests.footage import cut
from tests.pages import without_embedded_pictures

pytestmark = pytest.mark.slow

FOLDER = files("dubfew.demo")


def test_bundled_clip_has_the_expected_size_and_sound():
    path = FOLDER / ACTOR_CLIP_FILE
    info = probe(str(path))
    assert (info.width, info.height) == (512, 512)
    assert info.has_audio
    assert 5 < info.duration < 9
    assert path.stat().st_size < 1_500_000
    assert read_audio(str(FOLDER / DUB_AUDIO_FILE)).duration < info.duration


def test_a_face_is_detected_in_the_bundled_clip():
    with FaceLandmarker() as landmarker:
        frames = read_frames(str(FOLDER / ACTOR_CLIP_FILE), stop=12)
        assert all(landmarker(frame.to_rgb()) is not None for frame in frames)


def test_demo_end_to_end(tmp_path, monkeypatch):
    """All of it on the first second of the clip."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    cut(folder / ACTOR_CLIP_FILE, 0, 25)
    shutil.copy(str(FOLDER / DUB_AUDIO_FILE), folder / DUB_AUDIO_FILE)
    monkeypatch.setattr(demo, "files", lambda package: folder)
    registry = Registry(tmp_path / "home")
    result = run_demo(tmp_path / "out", registry=registry, prior="warp", steps=2)
    info = probe(result.video)
    assert info.has_audio
    assert result.frames == 25
    page = without_embedded_pictures(result.report.read_text())
    assert "http" not in page.replace("http://www.w3.org", "")  # self-contained
    assert [revision.actor for revision in registry.list()] == ["demo"]
    before = next(frame.to_rgb() for frame in read_frames(str(FOLDER / ACTOR_CLIP_FILE), stop=1))
    after = next(frame.to_rgb() for frame in read_frames(result.video, stop=1))
    assert np.abs(before[:60].astype(int) - after[:60]).mean() < 3
