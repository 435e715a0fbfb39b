"""A cache of arrays: computed once, read by rows, and healed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubfew.data.array_cache import ArrayCache, hash_arrays
from dubfew.errors import ArtefactError

KEY = {"sound": "a", "layer": 2}


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"features": rng.random((7, 3), np.float32), "rows": np.arange(7), "none": np.zeros(0)}


def refuse() -> dict[str, np.ndarray]:
    raise AssertionError("computed again")


def test_arrays_are_computed_once_and_read_by_rows(tmp_path: Path) -> None:
    first = ArrayCache(tmp_path)
    first.fetch(KEY, arrays)
    again = ArrayCache(tmp_path)
    found = again.fetch(KEY, refuse)
    assert (first.num_computed, again.num_computed) == (1, 0)
    assert found.shape("features") == (7, 3)
    rows = found.read("features", slice(2, 5))
    np.testing.assert_array_equal(rows, arrays()["features"][2:5])
    assert found.read("none").shape == (0,)
    # A copy: what is done to it does not reach the file.
    rows[:] = 0
    np.testing.assert_array_equal(found.read("features"), arrays()["features"])
    # Another key has other arrays.
    other = again.fetch({**KEY, "layer": 3}, lambda: arrays(1))
    assert again.num_computed == 1
    assert not np.array_equal(other.read("features"), found.read("features"))


def test_a_damaged_file_is_computed_again(tmp_path: Path) -> None:
    found = ArrayCache(tmp_path).fetch(KEY, arrays)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ArtefactError, match="changed"):
        found.read("features")
    cache = ArrayCache(tmp_path)
    np.testing.assert_array_equal(cache.fetch(KEY, arrays).read("rows"), np.arange(7))
    assert cache.num_computed == 1


def test_hashes_tell_shape_and_type() -> None:
    a = np.arange(4, dtype=np.float32)
    assert hash_arrays(a) == hash_arrays(a.copy())
    others = [a.reshape(2, 2), a.view(np.int32), a + 1]
    assert len({hash_arrays(a), *map(hash_arrays, others)}) == 4
