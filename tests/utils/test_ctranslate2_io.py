"""CTranslate2's files: values, types, aliases, and files that are none."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from dubfew.utils.ctranslate2_io import read_ctranslate2
from tests.utils.ctranslate2_files import write_ctranslate2

VARIABLES = {
    "encoder/weight": np.arange(6, dtype=np.float16).reshape(2, 3) / 4,
    "decoder/weight": np.ones((5, 7, 3), np.int8),
    "encoder/heads": np.array(6, np.int16),
    "encoder/bias": np.array([1e-7, -3.5], np.float32),
}


def test_variables_of_a_prefix_are_read(tmp_path: Path) -> None:
    path = write_ctranslate2(
        tmp_path / "model.bin", VARIABLES, aliases={"encoder/again": "encoder/bias"}
    )
    found = read_ctranslate2(path, "WhisperSpec", "encoder/")
    assert set(found) == {"weight", "heads", "bias", "again"}
    for name in ("weight", "heads", "bias"):
        np.testing.assert_array_equal(found[name], VARIABLES[f"encoder/{name}"])
        assert found[name].dtype == VARIABLES[f"encoder/{name}"].dtype
    np.testing.assert_array_equal(found["again"], VARIABLES["encoder/bias"])
    assert found["heads"] == 6
    assert read_ctranslate2(path, "WhisperSpec")["decoder/weight"].sum() == 105


@pytest.mark.parametrize("end", [0, 3, 8, 40, 60, 200, -1])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, end: int) -> None:
    path = write_ctranslate2(tmp_path / "model.bin", VARIABLES)
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(ValueError, match=r"cut off|ends within"):
        read_ctranslate2(path, "WhisperSpec")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = write_ctranslate2(tmp_path / "model.bin", VARIABLES, kind="TransformerSpec")
    with pytest.raises(ValueError, match="'TransformerSpec', expected WhisperSpec"):
        read_ctranslate2(path, "WhisperSpec")
    path = write_ctranslate2(path, VARIABLES, version=7)
    with pytest.raises(ValueError, match="version is 7, expected 4 to 6"):
        read_ctranslate2(path, "WhisperSpec")
    # A shape that promises more than there is asks for no memory.
    path = write_ctranslate2(path, {"x": np.zeros(2, np.float32)})
    data = path.read_bytes().replace(struct.pack("<I", 2), struct.pack("<I", 2**31))
    path.write_bytes(data)
    with pytest.raises(ValueError, match="8 bytes for the shape"):
        read_ctranslate2(path, "WhisperSpec")
