"""From a registered file and a clip to the shape of a track."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from dubfew.errors import AssetError, DubfewError
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.heads.flame.model import NUM_FLAME_VERTICES
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.mica.checkpoint import load_mica
from dubfew.reconstruction.heads.mica.identity import estimate_clip_shape
from tests.footage import ACTOR
from tests.reconstruction.heads.heads import toy_head
from tests.reconstruction.heads.mica.stored import mica_file

pytestmark = pytest.mark.slow


@pytest.fixture
def nothing_registered(monkeypatch, tmp_path):
    monkeypatch.delenv("DUBFEW_MICA", raising=False)
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def flame():
    return toy_head(vertices=NUM_FLAME_VERTICES + 3, shapes=6, name="flame-0123abcd")


def test_without_file_or_flame_landmarks_are_fitted(nothing_registered, flame):
    landmarks = np.zeros((1, 478, 3), np.float32)
    assert estimate_clip_shape("no clip", landmarks, flame) is None
    assert estimate_clip_shape("no clip", landmarks, load_head_model()) is None
    assert estimate_clip_shape("no clip", landmarks, flame, "landmarks") is None


def test_what_is_missing_is_said(nothing_registered, flame):
    landmarks = np.zeros((1, 478, 3), np.float32)
    with pytest.raises(AssetError, match="dubfew assets add mica"):
        estimate_clip_shape("no clip", landmarks, flame, "mica")
    with pytest.raises(AssetError, match="--head flame"):
        estimate_clip_shape("no clip", landmarks, load_head_model(), "mica")
    with pytest.raises(DubfewError, match="choose one of auto, landmarks, mica"):
        estimate_clip_shape("no clip", landmarks, flame, "faces")


def test_a_clip_gives_the_shape_of_its_face(monkeypatch, tmp_path, flame):
    landmarks = detect_people(ACTOR, stop=3).people[0].dense_landmarks(3)
    file = mica_file(tmp_path / "mica.tar")
    monkeypatch.setenv("DUBFEW_MICA", str(file))
    mica = load_mica(file)
    more = np.zeros((100, 3, 3), np.float32)
    basis = np.concatenate([mica.shape_basis[:100], more], 1)
    head = dataclasses.replace(flame, shape_basis=basis)
    shape = estimate_clip_shape(ACTOR, landmarks, head)
    assert shape.shape == (100,)
    assert np.isfinite(shape).all()
    assert np.abs(shape).max() > 0
    later = estimate_clip_shape(ACTOR, landmarks[2:], head, first_frame=2)
    assert not np.array_equal(later, shape)


def test_tracking_by_landmarks_loads_no_torch():
    code = "import sys, dubfew.reconstruction.heads.mica.identity; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
