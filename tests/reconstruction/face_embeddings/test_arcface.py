"""MICA's identity network as a face embedding."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from dubfew.errors import AssetError
from dubfew.reconstruction.face_embeddings import load_face_embedding
from dubfew.reconstruction.heads.mica.crop import ARCFACE_TEMPLATE_PX, FIVE_POINT_LANDMARK_IDS
from tests.reconstruction.heads.mica.stored import mica_file


@pytest.mark.slow
def test_a_face_gives_a_unit_vector_wherever_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("DUBFEW_MICA", str(mica_file(tmp_path / "mica.tar")))
    embedding = load_face_embedding("arcface")
    rng = np.random.default_rng(0)
    rgb = (gaussian_filter(rng.random((112, 112, 3)), (4, 4, 0)) * 1000 % 256).astype(np.uint8)
    landmarks = np.zeros((478, 3), np.float32)
    for ids, place in zip(FIVE_POINT_LANDMARK_IDS, ARCFACE_TEMPLATE_PX, strict=True):
        landmarks[list(ids), :2] = place
    code = embedding(rgb, landmarks)
    assert code.shape == (512,)
    assert np.linalg.norm(code) == pytest.approx(1, abs=1e-5)
    wider = np.zeros((200, 300, 3), np.uint8)
    wider[20:132, 90:202] = rgb
    np.testing.assert_allclose(embedding(wider, landmarks + np.array([90, 20, 0])), code, atol=1e-4)


def test_a_missing_file_is_named_with_the_command_that_adds_it(monkeypatch, tmp_path):
    monkeypatch.delenv("DUBFEW_MICA", raising=False)
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path))
    with pytest.raises(AssetError, match="dubfew assets add mica"):
        load_face_embedding("arcface")
