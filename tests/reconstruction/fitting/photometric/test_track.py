from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubfew.reconstruction.fitting.photometric import fit_photometric, track
from dubfew.reconstruction.fitting.photometric.stages import FRAME_STAGE, JOINT_STAGE
from dubfew.reconstruction.fitting.photometric.views import read_face_views
from tests.reconstruction.fitting.photometric.scene import Scene, write

QUICK = {
    "joint_stage": replace(JOINT_STAGE, num_frames=2, steps=1),
    "frame_stage": replace(FRAME_STAGE, steps=1),
}


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(n=7)


@pytest.fixture(scope="module")
def video(scene: Scene, tmp_path_factory):
    return write(tmp_path_factory.mktemp("photometry") / "scene.mkv", scene.pictures())


@pytest.mark.slow
def test_a_clip_is_fitted_block_by_block(scene: Scene, video, monkeypatch):
    monkeypatch.setattr(track, "FRAMES_PER_BLOCK", 4)
    held = []
    frames = track.PhotometricFitter.fit_frames

    def counting(self, stage, clip, views, *rest):
        held.append(len(views))
        return frames(self, stage, clip, views, *rest)

    monkeypatch.setattr(track.PhotometricFitter, "fit_frames", counting)
    before = scene.track(noise=1.0)
    seen = []
    found = fit_photometric(video, before, progress=seen.append, **QUICK)
    assert max(held) == 4
    assert len(found) == 7
    assert found.method == "photometric"
    assert found.lighting.any((1, 2)).all()
    assert np.isfinite(found.expression).all()
    assert seen[-1].done == 7
    assert np.array_equal(found.landmarks, before.landmarks)


@pytest.mark.slow
def test_frames_without_a_face_keep_the_nearest_fit(scene: Scene, video):
    valid = np.ones(7, bool)
    valid[[0, 4]] = False
    before = replace(scene.track(), valid=valid, flags=np.zeros(0, np.uint8))
    found = fit_photometric(video, before, **QUICK)
    assert np.array_equal(found.expression[0], found.expression[1])
    assert np.array_equal(found.valid, valid)


def test_no_face_changes_nothing(scene: Scene, video):
    before = replace(scene.track(), valid=np.zeros(7, bool), flags=np.zeros(0, np.uint8))
    assert fit_photometric(video, before) is before


@pytest.mark.slow
def test_one_frame_is_enough(scene: Scene, video):
    found = fit_photometric(video, scene.track().select([0]), **QUICK)
    assert len(found) == 1
    assert np.isfinite(found.shape).all()


@pytest.mark.slow
@pytest.mark.parametrize("level", [0, 255])
def test_pictures_of_nothing_leave_the_landmarks_fit(scene: Scene, tmp_path, level: int):
    flat = np.full((7, 200, 200, 3), level, np.uint8)
    before = scene.track()
    found = fit_photometric(write(tmp_path / "flat.mkv", flat), before, **QUICK)
    for name in ("expression", "jaw", "rotation", "translation", "lighting", "box"):
        assert np.isfinite(getattr(found, name)).all()
    assert np.abs(found.rotation - before.rotation).max() < 0.1


@pytest.mark.slow
def test_a_face_that_leaves_the_frame_is_survived(scene: Scene, video):
    away = scene.track()
    away = replace(away, box=away.box + np.float32(5000))
    found = fit_photometric(video, away, **QUICK)
    assert np.isfinite(found.rotation).all()


def test_views_are_read_in_one_pass(scene: Scene, video):
    rows = [1, 2, 6]
    views = list(read_face_views(video, rows, scene.boxes(), first_frame=0))
    assert [view.row for view in views] == rows
    same = np.repeat(scene.boxes()[:1], 7, 0)
    (late,) = read_face_views(video, [0], same, first_frame=3)
    (fourth,) = read_face_views(video, [3], same, first_frame=0)
    assert np.array_equal(late.image, fourth.image)
