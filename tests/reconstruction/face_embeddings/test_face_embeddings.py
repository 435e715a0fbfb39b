"""Every entry of ``FACE_EMBEDDINGS`` follows the protocol; a new one is tested without a change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import AssetError, DubfewError, MissingDependencyError
from dubfew.reconstruction.face_embeddings import FACE_EMBEDDINGS, load_face_embedding
from tests.reconstruction.heads.mica.stored import mica_file


@pytest.mark.parametrize("name", FACE_EMBEDDINGS.names)
def test_the_class_names_itself(name: str):
    assert FACE_EMBEDDINGS[name].name == name
    assert FACE_EMBEDDINGS[name].same_person_distance > 0


@pytest.mark.parametrize("name", FACE_EMBEDDINGS.names)
@pytest.mark.slow
def test_a_face_gives_a_finite_vector(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DUBFEW_MICA", str(mica_file(tmp_path / "mica.tar")))
    try:
        embedding = load_face_embedding(name)
    except (MissingDependencyError, AssetError) as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (96, 128, 3), np.uint8)
    landmarks = rng.uniform(30, 70, (478, 3)).astype(np.float32)
    vector = embedding(rgb, landmarks)
    assert vector.ndim == 1
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
    np.testing.assert_array_equal(vector, embedding(rgb, landmarks[:, :2]))


def test_unknown_name():
    with pytest.raises(DubfewError, match="clip.*" + ", ".join(FACE_EMBEDDINGS.names)):
        load_face_embedding("clip")


def test_arcface_needs_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DUBFEW_MICA", str(tmp_path / "none.tar"))
    with pytest.raises(AssetError):
        load_face_embedding("arcface")
