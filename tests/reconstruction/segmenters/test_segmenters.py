"""Every entry of ``SEGMENTERS`` follows the protocol; a new one is tested here without a change."""

from __future__ import annotations

from urllib.error import URLError

import numpy as np
import pytest

from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.reconstruction.segmenters import (
    DEFAULT_SEGMENTER,
    SEGMENTERS,
    load_face_parser,
    load_segmenter,
)

PARTS = {"background", "person", "skin", "mouth", "neck", "hair", "worn"}


@pytest.mark.parametrize("name", SEGMENTERS.names)
def test_the_class_names_itself(name: str):
    assert SEGMENTERS[name].name == name
    assert isinstance(SEGMENTERS[name].has_face_parts, bool)


@pytest.mark.parametrize("name", SEGMENTERS.names)
def test_probabilities_of_all_parts_add_up_to_one(name: str, monkeypatch: pytest.MonkeyPatch):
    def refuse_download(*args: object, **options: object) -> None:
        raise URLError("tests do not download weights")

    monkeypatch.setattr("urllib.request.urlopen", refuse_download)
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse_download)
    try:
        segmenter = load_segmenter(name)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    landmarks = np.random.default_rng(0).uniform(20, 44, (478, 3)).astype(np.float32)
    segments = segmenter(np.full((64, 48, 3), 128, np.uint8), landmarks)
    segmenter.close()
    assert set(segments.parts) <= PARTS
    assert segments.background.shape == segments.occluder_probability.shape == (64, 48)
    assert ("skin" in segments.parts) == segmenter.has_face_parts
    np.testing.assert_allclose(sum(segments.parts.values()), 1, atol=1e-4)


def test_the_default_needs_no_face_parts():
    assert load_face_parser(DEFAULT_SEGMENTER) is None


def test_unknown_name():
    with pytest.raises(DubfewError, match="sam.*" + ", ".join(SEGMENTERS.names)):
        load_segmenter("sam")
