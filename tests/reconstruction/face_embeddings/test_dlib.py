"""dlib's face embedding."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dubfew.errors import MissingDependencyError
from dubfew.media import read_frames
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.face_embeddings import dlib, load_face_embedding
from dubfew.utils.import_utils import installed_version

ABSENT = [name for name in ("dlib", "face_recognition_models") if installed_version(name) is None]
needs_dlib = pytest.mark.skipif(
    bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)} (pip install 'dubfew[identity]')"
)


def embed_rows(video: Path, *rows: int) -> list[np.ndarray]:
    embedding = load_face_embedding()
    found = []
    with FaceLandmarker(use_tracking=False) as landmarker:
        for frame in read_frames(video, stop=max(rows) + 1):
            if frame.index in rows:
                rgb = frame.to_rgb()
                landmarks = landmarker(rgb)
                assert landmarks is not None
                found.append(embedding(rgb, landmarks))
    return found


@needs_dlib
def test_images_of_one_person_are_nearer_than_of_two(shared: Path) -> None:
    first = embed_rows(shared / "clips" / "grid_bbaf2n.mpg", 5, 60)
    second = embed_rows(shared / "clips" / "grid_brbk7n.mpg", 5, 60)
    assert first[0].shape == (128,)
    same = load_face_embedding().same_person_distance
    assert np.linalg.norm(first[0] - first[1]) < 0.35 < same
    assert np.linalg.norm(second[0] - second[1]) < 0.35
    assert min(np.linalg.norm(a - b) for a in first for b in second) > same


@needs_dlib
def test_size_and_position_of_a_face_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (12, 12, 3), np.uint8)
    face = np.repeat(np.repeat(coarse, 20, 0), 20, 1)
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[[263, 362, 33, 133, 2], :2] = [[170, 80], [140, 82], [60, 80], [90, 82], [115, 140]]
    embedding = load_face_embedding()
    code = embedding(face, landmarks)
    large = np.repeat(np.repeat(face, 2, 0), 2, 1)
    assert np.linalg.norm(embedding(large, landmarks * 2) - code) < 0.15
    moved = np.pad(face, ((30, 0), (50, 0), (0, 0)))
    assert np.linalg.norm(embedding(moved, landmarks + np.array([50, 30, 0])) - code) < 0.05
    mirrored = np.ascontiguousarray(face[:, ::-1])
    assert np.linalg.norm(embedding(mirrored, landmarks) - code) > 0.15


def test_missing_parts_are_named_with_the_line_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        dlib, "import_optional", lambda name: SimpleNamespace(face_recognition_model_v1=None)
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dubfew\[identity\]'"):
        load_face_embedding()
    place = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: place)
    with pytest.raises(MissingDependencyError, match=dlib.DLIB_WEIGHTS_FILE):
        load_face_embedding()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / dlib.DLIB_WEIGHTS_FILE).write_bytes(b"another")
    with pytest.raises(MissingDependencyError, match=dlib.DLIB_WEIGHTS_FILE):
        load_face_embedding()
