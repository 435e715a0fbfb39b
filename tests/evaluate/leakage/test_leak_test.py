"""The whole test on made-up people whom a toy embedding tells apart by colour."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import Result

from dubfew.cli.app import app
from dubfew.registry import Registry
from dubfew.registry.keys import KeyStore
from tests.commands import CommandRunner

pytestmark = pytest.mark.slow

QUICK = ("--prior", "warp", "--steps", "0", "--embedding", "colour")


def bench(*arguments: str) -> Result:
    return CommandRunner().invoke(app, ["bench", "leak", *arguments])


def given(people: dict[str, Path], actors: Sequence[str]) -> list[str]:
    strangers = [name for name in people if name not in actors]
    return [str(people[name]) for name in actors] + [
        word for name in strangers for word in ("--stranger", str(people[name]))
    ]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_deletion_that_works(people: dict[str, Path], home: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    done = bench(*given(people, ["red", "green"]), *QUICK, "--sheet", str(sheet), "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["verdict"] == "cannot tell"  # two actors of four people
    assert found["same_pictures"] is True
    assert found["faces"] == ["synthetic", "blue", "plain"]
    for actor in found["actors"]:
        assert actor["files_read"] == {"store": 0, "copy": 0}
        assert actor["refused"] == {"store": ["ActorNotFoundError"], "copy": ["KeyMissingError"]}
        assert actor["distance"]["after"] == actor["distance"]["before"]
        # What is stored shows, in a stranger's face and in the actor's own.
        assert actor["distance"]["adapter"] < actor["distance"]["unpainted"]
        assert actor["lean"]["adapter"] > 0.2 > actor["lean"]["after"]
        assert actor["lean"]["texture"] > 0.2
        assert actor["scene"]["adapter"] < actor["scene"]["before"]
    assert found["leans"]["adapter"]["named"] > found["leans"]["after"]["named"]
    assert found["leans"]["others"]["mean"] < 0
    assert sheet.stat().st_size > 10_000
    assert not home.exists()  # the user's registry was not asked for


def test_a_deletion_that_leaves_the_key_is_found(
    people: dict[str, Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeyStore, "destroy_key", lambda self, folder: None)
    done = bench(*given(people, ["red"]), *QUICK)
    assert done.exit_code == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith("after deletion: leak: red could be opened; ")
    leans = {line[:58].strip(): line[58:67] for line in done.stdout.splitlines()}
    # Who can open the copy can paint with it.
    assert leans["what was left after the deletion"] == leans["all that is stored"]


def test_what_cannot_be_tested_is_said_before_any_work(people: dict[str, Path], home: Path) -> None:
    for arguments, why in (
        ([], "nobody to test"),
        ([str(people["red"])], "3 or more besides each actor"),
        (["--actor", "nobody"], "no actor"),
        ([*given(people, ["red"]), "--embedding", "no"], "no face embedding 'no'"),
        ([*given(people, ["red"]), *QUICK, "--prior", "none"], "no prior 'none'"),
        ([*given(people, ["red"]), "--sheet", str(people["red"] / "s.png")], "not a folder"),
    ):
        done = bench(*arguments)
        assert done.exit_code == 1
        assert why in done.output
        assert len(done.output.strip().splitlines()) == 1
    assert bench(*given(people, ["red"]), "--sheet", "s.jpg").exit_code == 2
    assert not Registry(home).list()
