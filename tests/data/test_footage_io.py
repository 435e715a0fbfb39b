from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dubfew.data.footage_io import (
    FOOTAGE_METADATA_KEY,
    deserialize_footage,
    load_footage,
    save_footage,
    serialize_footage,
)
from dubfew.errors import ArtefactError
from dubfew.references.footage import FOOTAGE_ARRAY_NAMES
from tests.data.people import toy_footage


def test_prepared_footage_comes_back(tmp_path):
    footage = toy_footage(4)
    save_footage(tmp_path / "a.safetensors", footage, {"file": "a.mp4", "license": "CC0"})
    again, header = load_footage(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(again.images, footage.images)
    assert header["license"] == "CC0"


def test_a_file_without_footage_is_an_error(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(ArtefactError, match="prior prepare"):
        load_footage(tmp_path / "a.safetensors")


@pytest.mark.parametrize("header", [None, {"file": "a.mp4"}])
def test_bytes_come_back_and_do_not_vary(header):
    footage = toy_footage(4)
    data = serialize_footage(footage, header)
    assert data == serialize_footage(footage, header)
    again = deserialize_footage(data)
    for name in FOOTAGE_ARRAY_NAMES:
        found, expected = getattr(again, name), getattr(footage, name)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype


def test_stored_names_are_those_of_the_first_format():
    assert FOOTAGE_ARRAY_NAMES == ("images", "vertices", "hulls", "key", "motion", "frames")
    assert set(load(serialize_footage(toy_footage(2)))) == set(FOOTAGE_ARRAY_NAMES)


def test_a_missing_or_unknown_array_is_an_error():
    arrays = load(serialize_footage(toy_footage(2)))
    with pytest.raises(TypeError, match="more"):
        deserialize_footage(save({**arrays, "more": np.zeros(1)}))
    del arrays["hulls"]
    with pytest.raises(TypeError, match="hulls"):
        deserialize_footage(save(arrays))
    with pytest.raises(SafetensorError):
        deserialize_footage(b"x")


def test_footage_of_a_newer_version_is_refused(tmp_path):
    arrays = load(serialize_footage(toy_footage(2)))
    path = tmp_path / "a.safetensors"
    for version, expected in ((2, "2.*update dubfew"), ("1", "a.safetensors")):
        path.write_bytes(
            save(arrays, metadata={FOOTAGE_METADATA_KEY: json.dumps({"format_version": version})})
        )
        with pytest.raises(ArtefactError, match=expected):
            load_footage(path)
    # The first files had no version.
    path.write_bytes(save(arrays, metadata={FOOTAGE_METADATA_KEY: "{}"}))
    assert len(load_footage(path)[0]) == 2
