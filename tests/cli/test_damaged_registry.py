"""Commands on a registry whose files are damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from dubfew.registry import Registry
from tests.cli.jobs import assert_failed, render, run

pytestmark = pytest.mark.e2e


def stored_file(home: Path, name: str) -> Path:
    """Return the path of a file of the only actor."""
    (path,) = (home / "actors").glob(f"*/1/{name}")
    return path


@pytest.mark.parametrize(
    "name", ["adapter_config.json", "adapter_model.safetensors", "track.safetensors"]
)
@pytest.mark.parametrize("damage", ["cut", "gone", "garbage"])
def test_a_damaged_file_in_the_registry(home: Path, clips: Path, name: str, damage: str) -> None:
    path = stored_file(home, name)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-7] if damage == "cut" else b"{")
    assert_failed(render(clips, "two.mp4", "--drive", "self", "-o", "o.mp4"), name, "again")
    assert run("actors", "list").exit_code == 0
    assert run("actors", "delete", "two", "--yes").exit_code == 0


def damaged_tensor(data: bytes, name: str, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """Change one tensor of a safetensors file and keep its metadata."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = load(data)
    key = name or sorted(tensors)[0]
    tensors[key] = np.ascontiguousarray(change(tensors[key]))
    return save(tensors, header.get("__metadata__"))


def drop_last(array: np.ndarray) -> np.ndarray:
    return array[..., :-1]


def fill_with_nan(array: np.ndarray) -> np.ndarray:
    return np.full_like(array, np.nan)


@pytest.mark.parametrize(
    ("file", "tensor", "change"),
    [
        ("adapter_model.safetensors", "", drop_last),
        ("adapter_model.safetensors", "", fill_with_nan),
        ("texture.safetensors", "features", drop_last),
        ("texture.safetensors", "features", fill_with_nan),
        ("references.safetensors", "images", drop_last),
        ("references.safetensors", "vertices", drop_last),
        ("references.safetensors", "vertices", fill_with_nan),
        ("references.safetensors", "hulls", drop_last),
        ("references.safetensors", "key", drop_last),
        ("references.safetensors", "key", fill_with_nan),
        ("references.safetensors", "motion", drop_last),
        ("style.safetensors", "gain", drop_last),
        ("track.safetensors", "rotation", drop_last),
        ("track.safetensors", "rotation", fill_with_nan),
    ],
)
def test_tensors_that_do_not_fit(
    home: Path, clips: Path, file: str, tensor: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    registry = Registry(home)
    revision = registry.open("two")
    content = {name: revision.read(name) for name in revision.file_names()}
    content[file] = damaged_tensor(content[file], tensor, change)
    registry.create("two", revision.config, content)
    assert_failed(render(clips, "two.mp4", "--drive", "self", "-o", "o.mp4"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"[]",
        b"null",
        b"{}",
        b'{"format_version": "x"}',
        b'{"format_version": 9}',
        ("prior", None),
        ("prior", {"name": "nothing", "sha256": ""}),
        ("prior", {"name": "warp", "sha256": 5}),
        ("prior", {"name": "warp", "sha256": "0" * 64}),
        ("method", "magic"),
        ("method", [1]),
        ("options", []),
        ("options", {"rank": -3, "alpha": 1}),
        ("head", "flamingo"),
        ("source", {"path": 5, "sha256": "", "complete": True}),
    ],
    ids=str,
)
def test_an_invalid_adapter_config(
    home: Path, clips: Path, content: bytes | tuple[str, object]
) -> None:
    registry = Registry(home)
    revision = registry.open("two")
    stored = {name: revision.read(name) for name in revision.file_names()}
    if isinstance(content, tuple):
        config = json.loads(stored["adapter_config.json"]) | {content[0]: content[1]}
        content = json.dumps(config).encode()
    registry.create("two", revision.config, stored | {"adapter_config.json": content})
    assert_failed(render(clips, "two.mp4", "--drive", "self", "-o", "o.mp4"))


@pytest.mark.parametrize("content", [b"garbage" * 100, 1000, 5000])
@pytest.mark.parametrize(
    "command", [["actors", "list"], ["actors", "show", "two"], ["actors", "delete", "two", "--yes"]]
)
def test_a_damaged_index(home: Path, content: bytes | int, command: list[str]) -> None:
    index = home / "registry.sqlite"
    data = index.read_bytes()
    index.write_bytes(data[:content] if isinstance(content, int) else content)
    assert_failed(run(*command), "registry.sqlite")
    index.write_bytes(data)
    assert len(json.loads(run("actors", "list", "--json").stdout)["actors"]) == 1
