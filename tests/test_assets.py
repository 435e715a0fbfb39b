"""Licensed files: added, found, checked, removed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dubfew.assets import (
    add_asset,
    asset_kinds,
    asset_path,
    environment_variable,
    find_asset,
    list_assets,
    remove_asset,
    require_asset,
)
from dubfew.cli.app import app
from dubfew.errors import AssetError
from tests.commands import CommandRunner


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    for kind in asset_kinds():
        monkeypatch.delenv(environment_variable(kind), raising=False)
    return tmp_path / "home"


def eyelid(path: Path, height: float = 0.004) -> Path:
    np.save(path, np.full((5023, 3), height))
    return path


KIND = "flame-eyelid-left"


def test_added_listed_removed(home: Path, tmp_path: Path) -> None:
    assert asset_path(KIND) is None
    added = add_asset(KIND, eyelid(tmp_path / "l_eyelid.npy"))
    assert added.path == home / "assets" / f"{KIND}.npy"
    assert added.name == "l_eyelid.npy"
    (tmp_path / "l_eyelid.npy").unlink()  # a copy was made
    assert find_asset(KIND) == added
    assert list_assets()[KIND] == added
    assert [kind for kind, found in list_assets().items() if found] == [KIND]
    remove_asset(KIND)
    assert asset_path(KIND) is None
    assert [p.name for p in (home / "assets").iterdir()] == ["assets.json"]
    with pytest.raises(AssetError, match="no flame-eyelid-left was added"):
        remove_asset(KIND)


def test_the_newer_file_takes_the_place_of_the_older(home: Path, tmp_path: Path) -> None:
    first = add_asset(KIND, eyelid(tmp_path / "a.npy"))
    second = add_asset(KIND, eyelid(tmp_path / "b.npy", 0.002).rename(tmp_path / "b.eyelid"))
    assert first.sha256 != second.sha256
    assert asset_path(KIND) == second.path
    assert {p.name for p in (home / "assets").iterdir()} == {"assets.json", second.path.name}


def test_what_is_given_goes_before_the_environment_before_what_was_added(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = add_asset(KIND, eyelid(tmp_path / "a.npy"))
    named, given = eyelid(tmp_path / "b.npy"), eyelid(tmp_path / "c.npy")
    assert require_asset(KIND) == added.path
    monkeypatch.setenv("DUBFEW_FLAME_EYELID_LEFT", str(named))
    assert require_asset(KIND) == named
    assert require_asset(KIND, given) == given
    monkeypatch.setenv("DUBFEW_FLAME_EYELID_LEFT", str(tmp_path / "absent"))
    with pytest.raises(AssetError, match="DUBFEW_FLAME_EYELID_LEFT"):
        asset_path(KIND)


def test_a_file_that_was_changed_is_not_taken(home: Path, tmp_path: Path) -> None:
    added = add_asset(KIND, eyelid(tmp_path / "a.npy"))
    with added.path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(AssetError, match="no longer"):
        asset_path(KIND)
    add_asset(KIND, tmp_path / "a.npy")
    assert asset_path(KIND) == added.path
    added.path.unlink()
    with pytest.raises(AssetError, match="no longer"):
        list_assets()


@pytest.mark.parametrize("kind", asset_kinds())
def test_a_file_of_another_kind_is_not_taken(kind: str, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("v 1 2 3\n")
    with pytest.raises(AssetError) as caught:
        add_asset(kind, path)
    assert "\n" not in str(caught.value)
    with pytest.raises(AssetError, match="not a file"):
        add_asset(kind, tmp_path / "absent")
    assert not (home / "assets").exists()


@pytest.mark.parametrize("kind", asset_kinds())
def test_what_is_missing_names_licence_and_command(kind: str, home: Path) -> None:
    with pytest.raises(AssetError, match="https://") as caught:
        require_asset(kind)
    assert f"dubfew assets add {kind} FILE" in str(caught.value)


@pytest.mark.parametrize(
    "index",
    [
        "",
        "[]",
        '{"format_version": 1}',
        '{"format_version": 1, "assets": {"flame": {"file": "../../x", "sha256": "", "bytes": 1}}}',
        '{"format_version": 1, "assets": {"flame": {"file": "x", "bytes": 1}}}',
        '{"format_version": 1, "assets": {"other": {"file": "x", "sha256": "", "bytes": 1}}}',
    ],
)
def test_a_damaged_index(index: str, home: Path) -> None:
    (home / "assets").mkdir(parents=True)
    (home / "assets" / "assets.json").write_text(index)
    with pytest.raises(AssetError, match="damaged"):
        list_assets()


def test_a_newer_index(home: Path) -> None:
    (home / "assets").mkdir(parents=True)
    (home / "assets" / "assets.json").write_text('{"format_version": 9, "assets": {}}')
    with pytest.raises(AssetError, match="update dubfew"):
        list_assets()


@pytest.mark.slow
def test_on_the_command_line(home: Path, tmp_path: Path) -> None:
    def run(*words: object, code: int = 0) -> str:
        result = CommandRunner().invoke(app, ["assets", *map(str, words)])
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.stderr

    eyelid(tmp_path / "l.npy")
    assert KIND in run("add", KIND, tmp_path / "l.npy")
    listed = json.loads(run("list", "--json"))
    assert listed[KIND]["bytes"] == (tmp_path / "l.npy").stat().st_size
    assert listed["mica"] is None
    assert "https://flame.is.tue.mpg.de" in run("list")
    run("remove", KIND)
    wrong = run("add", "flame", tmp_path / "l.npy", code=1)
    assert wrong.startswith("dubfew: error: ")
    assert wrong.count("\n") == 1
    assert "no kind of asset" in run("add", "smpl", tmp_path / "l.npy", code=1)
    run("add", KIND, code=2)
