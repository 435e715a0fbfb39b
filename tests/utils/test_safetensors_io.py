"""Safetensors with a header: from bytes and from a file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save

from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_header, read_tensors_and_header

HEADER = {"format_version": 1, "name": "toy"}
DATA = save({"a": np.arange(3)}, metadata={"dubfew.toy": json.dumps(HEADER)})


def test_bytes():
    tensors, header = read_tensors_and_header(DATA, "dubfew.toy")
    assert header == HEADER
    np.testing.assert_array_equal(tensors["a"], [0, 1, 2])


def test_header_of_a_file(tmp_path):
    (tmp_path / "toy.safetensors").write_bytes(DATA)
    assert read_header(tmp_path / "toy.safetensors", "dubfew.toy") == HEADER


@pytest.mark.parametrize(
    "data", [b"", b"no safetensors", DATA[:-1], save({"a": np.arange(3)}), DATA.replace(b"y", b"z")]
)
def test_other_bytes_raise_the_errors_that_callers_expect(data, tmp_path):
    (tmp_path / "toy.safetensors").write_bytes(data)
    with pytest.raises(TENSOR_READ_ERRORS):
        read_tensors_and_header(data, "dubfew.toy")
    with pytest.raises(TENSOR_READ_ERRORS):
        read_header(tmp_path / "toy.safetensors", "dubfew.toy")
