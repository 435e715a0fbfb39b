"""The network, its file, and the arithmetic of LSE."""

from __future__ import annotations

import math
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.errors import AssetError
from dubfew.evaluate.lipsync import syncnet
from dubfew.evaluate.lipsync.syncnet import (
    EMBEDDING_SIZE,
    MAX_SHIFT_WINDOWS,
    LipSyncScore,
    ShiftDistances,
    load_released_syncnet,
)
from dubfew.utils.files import sha256_file
from tests.evaluate.conftest import syncnet_weights

RELEASED_BYTES = 54_573_114


class MakesFile:
    """Pickled, it has whoever loads it make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.fixture(scope="module")
def network(syncnet_file: Path) -> syncnet.SyncNet:
    with pytest.warns(UserWarning, match="not the released"):
        return load_released_syncnet(syncnet_file)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(AssetError) as error:
        load_released_syncnet(path)
    message = str(error.value)
    assert "\n" not in message
    for word in (str(path), syncnet.SYNCNET_WEIGHTS_NAME, *words):
        assert word in message


@pytest.mark.slow
def test_it_computes_what_the_public_code_does(network: syncnet.SyncNet) -> None:
    # Values of SyncNetModel.py of syncnet_python with the same weights.
    rng = np.random.default_rng(1)
    pictures = torch.from_numpy(rng.uniform(0, 255, (6, 3, 224, 224)).astype(np.float32))
    cepstra = torch.from_numpy(rng.normal(0, 10, (2, 13, 20)).astype(np.float32))
    mouth, sound = network.embed_frames(pictures), network.embed_audio(cepstra)
    assert mouth.shape == sound.shape == (2, EMBEDDING_SIZE)
    some = [0, 511, 1023]
    theirs = [[542.18939, -160.03352, -518.98956], [502.28452, -66.81486, -566.27332]]
    np.testing.assert_allclose(mouth[:, some], theirs, rtol=1e-4)
    theirs = [[80.92724, 125.51008, -53.59211], [71.71664, 141.45398, -64.09763]]
    np.testing.assert_allclose(sound[:, some], theirs, rtol=1e-4)


def test_the_fixture_is_as_large_as_the_released_file(syncnet_file: Path) -> None:
    # What PyTorch writes around the numbers differs a little between its versions.
    assert syncnet_file.stat().st_size == pytest.approx(RELEASED_BYTES, abs=1000)


@pytest.mark.slow
def test_a_file_of_a_newer_pytorch_is_read(tmp_path: Path, network: syncnet.SyncNet) -> None:
    path = tmp_path / "new.model"
    torch.save(network.state_dict(), path)  # a zip, with counts of batches
    with pytest.warns(UserWarning, match="not the released"):
        again = load_released_syncnet(path)
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


@pytest.mark.slow
def test_the_released_file_is_read_without_a_warning(
    syncnet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncnet, "SYNCNET_SHA256", sha256_file(syncnet_file))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not load_released_syncnet(syncnet_file).training


def test_no_such_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.model", "no SyncNet weights")
    refused(tmp_path, "cannot be read")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["netcnnlip.18.weight", "netfcaud.1.running_var"])
def test_a_missing_weight(tmp_path: Path, name: str) -> None:
    weights = syncnet_weights()
    del weights[name]
    torch.save(weights, tmp_path / "x.model")
    refused(tmp_path / "x.model", f"weight {name}")


@pytest.mark.slow
def test_a_wrong_shape(tmp_path: Path) -> None:
    weights = syncnet_weights() | {"netcnnaud.18.weight": torch.zeros(512, 256, 4, 4)}
    torch.save(weights, tmp_path / "x.model")
    refused(tmp_path / "x.model", "netcnnaud.18.weight", "[512, 256, 4, 4]", "[512, 256, 5, 4]")


@pytest.mark.slow
def test_numbers_that_are_none(tmp_path: Path) -> None:
    weights = syncnet_weights()
    weights["netfclip.3.bias"][7] = math.nan
    torch.save(weights, tmp_path / "x.model")
    refused(tmp_path / "x.model", "netfclip.3.bias", "finite")


@pytest.mark.parametrize("stored", [[1, 2], {"netcnnaud.0.weight": 3}, torch.zeros(3)])
def test_something_else(tmp_path: Path, stored: object) -> None:
    torch.save(stored, tmp_path / "x.model")
    named = isinstance(stored, dict)
    refused(tmp_path / "x.model", "weight netcnnaud.0.weight" if named else "weights by name")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", ["zip", "old", "pickle"])
def test_nothing_in_the_file_is_run(tmp_path: Path, form: str) -> None:
    made, path = tmp_path / "made", tmp_path / "x.model"
    weights = {"netcnnaud.0.weight": MakesFile(made)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(weights))
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=form == "zip")
    refused(path, "not a file of weights")
    assert not made.exists()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile") / "x.model"


@pytest.mark.slow
@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    old=st.booleans(),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
    cut=st.booleans(),
)
def test_damaged_files(hostile: Path, old: bool, place: float, value: int, cut: bool) -> None:
    torch.save({"a": torch.ones(3)}, hostile, _use_new_zipfile_serialization=not old)
    data = bytearray(hostile.read_bytes())
    data[int(place * len(data))] = value
    hostile.write_bytes(data[: int(place * len(data))] if cut else data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about what it has found
        refused(hostile)


def distances(mouth: np.ndarray, sound: np.ndarray, sizes: list[int] | None = None) -> LipSyncScore:
    found = ShiftDistances()
    edges = np.cumsum(sizes or [len(mouth)])[:-1]
    for a, b in zip(np.split(mouth, edges), np.split(sound, edges), strict=True):
        found.add(torch.from_numpy(np.float32(a)), torch.from_numpy(np.float32(b)))
    return found.compute_score()


@pytest.mark.parametrize("late", [0, 1, -1, 7, -15, 15])
def test_a_planted_offset(late: int) -> None:
    count, length = 60, 3.0
    code = np.eye(EMBEDDING_SIZE) * length
    sound = code[20 : 20 + count]
    mouth = code[20 - late : 20 - late + count]
    found = distances(mouth, sound)
    assert found.av_offset == late
    # Equal windows are 0 apart, different ones sqrt(2) lengths, and one from the zeros beyond the
    # clip's ends one length. PyTorch's distance adds 1e-6 to each of 1024 numbers.
    assert found.lse_d == pytest.approx(length * abs(late) / count, abs=1e-4)
    beyond = np.abs(np.arange(-MAX_SHIFT_WINDOWS, MAX_SHIFT_WINDOWS + 1))
    others = length * (beyond + math.sqrt(2) * (count - beyond)) / count
    others[MAX_SHIFT_WINDOWS - late] = found.lse_d
    assert found.lse_c == pytest.approx(np.median(others) - found.lse_d, abs=1e-4)


@pytest.mark.slow
@settings(max_examples=20, deadline=None, derandomize=True)
@given(sizes=st.lists(st.integers(0, 20), min_size=1, max_size=8), seed=st.integers(0, 9))
def test_any_batches_give_the_plain_definition(sizes: list[int], seed: int) -> None:
    rng, count = np.random.default_rng(seed), sum(sizes)
    mouth, sound = rng.normal(size=(2, count, EMBEDDING_SIZE))
    found = distances(mouth, sound, sizes)
    if count <= MAX_SHIFT_WINDOWS:
        assert all(math.isnan(value) for value in vars(found).values())
        return
    padded = np.pad(sound, ((MAX_SHIFT_WINDOWS, MAX_SHIFT_WINDOWS), (0, 0)))
    means = [
        np.linalg.norm(mouth - padded[shift : shift + count], axis=1).mean()
        for shift in range(2 * MAX_SHIFT_WINDOWS + 1)
    ]
    assert found.lse_d == pytest.approx(min(means), rel=1e-5)
    assert found.lse_c == pytest.approx(np.median(means) - min(means), abs=1e-4)
    assert found.av_offset == MAX_SHIFT_WINDOWS - int(np.argmin(means))
