"""``dubfew actors``: list, show, delete, exchange and keys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from dubfew.adapt import import_check
from dubfew.cli import console
from dubfew.cli.app import app
from dubfew.errors import KeyMissingError
from dubfew.registry import Registry
from dubfew.registry.envelope import DecryptionSecrets, decrypt_export
from dubfew.utils import passphrase
from tests.commands import CommandRunner

WORDS = "correct horse battery"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    for name in ("DUBFEW_KEYS", "DUBFEW_PASSPHRASE", "DUBFEW_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DUBFEW_PASSPHRASE", WORDS)
    for module in ("sealing", "tombstones"):
        monkeypatch.setattr(f"dubfew.registry.{module}.SCRYPT_LOG2_N", 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def stored(home: Path) -> Registry:
    registry = Registry()
    for number in range(3):
        registry.create("mary", {"method": "lora", "number": number}, {"a": b"texture" * 100})
    return registry


def run(*arguments: object, code: int = 0) -> Result:
    result = CommandRunner().invoke(app, ["actors", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def run_json(*arguments: object, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


def run_refused(*arguments: object) -> str:
    result = run(*arguments, code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("dubfew: error: ")
    assert result.stderr.count("\n") == 1
    assert "unexpected" not in result.stderr
    return result.stderr


@pytest.mark.slow
def test_a_listing_needs_no_key_and_imports_no_cipher(stored: Registry) -> None:
    shutil.rmtree(stored.keys)
    shutil.rmtree(stored.home / "actors")
    program = (
        "import sys; from dubfew.cli.app import app; app(sys.argv[1:], standalone_mode=False);"
        "print(sorted({'cryptography', 'fsspec', 'keyring', 'torch'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "actors", "list"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "mary" in done.stdout, done.stderr
    assert done.stdout.endswith("[]\n")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["delete", "forget"])
def test_delete_prints_where_the_receipt_is(stored: Registry, command: str) -> None:
    found = run_json(command, "mary", "--yes", "--receipt", "mine/receipt.json")
    assert (found["deleted"], found["revisions"]) == ("mary", 3)
    assert Path(found["receipt"]).read_bytes() == Path("mine/receipt.json").read_bytes()
    assert run_json("list") == {"actors": []}
    stored.create("john", {}, {})
    assert "receipts" in run(command, "john", "--yes").stdout
    assert "no actor" in run_refused(command, "john", "--yes")


def test_a_script_must_say_yes_to_a_deletion(stored: Registry) -> None:
    assert "--yes" in run("delete", "mary", code=2).stderr
    assert len(stored.revisions("mary")) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "said"), [("Mary\n", "'Mary' is not 'mary'"), ("", "nothing was entered")]
)
def test_a_terminal_asks_for_the_id_before_a_deletion(
    stored: Registry, monkeypatch: pytest.MonkeyPatch, typed: str, said: str
) -> None:
    monkeypatch.setattr("dubfew.cli.actors.is_interactive", lambda: True)
    result = CommandRunner().invoke(app, ["actors", "delete", "mary"], input=typed)
    assert result.exit_code == 1
    assert "3 revisions" in result.stderr
    assert said in result.stderr
    assert len(stored.revisions("mary")) == 3
    done = CommandRunner().invoke(app, ["actors", "delete", "mary", "--json"], input="mary\n")
    assert json.loads(done.stdout)["deleted"] == "mary"


@pytest.mark.slow
def test_an_id_that_is_almost_right_is_named(stored: Registry) -> None:
    assert "did you mean 'mary'?" in run_refused("show", "Mary")
    assert "did you mean 'mary'?" in run_refused("delete", "marry", "--yes")
    assert "did you mean" not in run_refused("show", "john")


@pytest.mark.slow
def test_the_old_name_of_the_passphrase_is_still_read(
    stored: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DUBFEW_PASSPHRASE", raising=False)
    monkeypatch.setenv("DUBFEW_EXPORT_PASSPHRASE", WORDS)
    with pytest.warns(FutureWarning, match="set DUBFEW_PASSPHRASE"):
        run("export", "mary", "old.dubfew")
    monkeypatch.delenv("DUBFEW_EXPORT_PASSPHRASE")
    monkeypatch.setenv("DUBFEW_PASSPHRASE", WORDS)
    assert Path("old.dubfew").read_bytes() != b""
    # Opened with the new name: both name the same passphrase.
    assert decrypt_export(Path("old.dubfew").read_bytes(), "old", DecryptionSecrets())


def test_the_end_of_the_input_at_a_passphrase_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", end)
    with pytest.raises(KeyMissingError, match="nothing was entered"):
        console.prompt_passphrase("the export of 'mary'", True)


@pytest.mark.slow
def test_verify_and_prune(stored: Registry) -> None:
    assert "1 actors, 3 revisions, 6 files" in run("verify").stdout
    assert run_json("prune", "mary", "--keep", 1)["removed"] == [1, 2]
    assert "removed 0 revisions" in run("prune", "mary", "--keep", 1).stdout
    assert run_json("verify")["ok"]
    next(stored.home.glob("actors/*/3/a")).unlink()
    found = run_json("verify", code=1)
    assert not found["ok"]
    assert found["faults"] == [{"actor": "mary", "found": "revision 3: the file 'a' is missing"}]
    assert "1 faults" in run("verify", code=1).stdout


@pytest.mark.slow
def test_a_revision_is_chosen(stored: Registry) -> None:
    assert run_json("use", "mary", 2)["revision"] == 2
    assert "revision 1" in run("use", "mary", 1).stdout
    assert run_json("list")["actors"][0]["revision"] == 1
    found = run_json("show", "mary", "--revision", 3)
    assert (found["revision"], found["default_revision"]) == (3, 1)
    assert "only 1, 2, 3" in run_refused("use", "mary", 4)


@pytest.mark.slow
def test_an_actor_is_renamed(stored: Registry) -> None:
    found = run_json("rename", "mary", "anna")
    assert (found["actor"], found["former_actor"], found["revision"]) == ("anna", "mary", 3)
    assert "no actor 'mary'" in run_refused("rename", "mary", "zoe")
    run("delete", "anna", "--yes")
    stored.create("zoe", {}, {})
    assert "--allow-deleted" in run_refused("rename", "zoe", "anna")
    run("rename", "zoe", "anna", "--allow-deleted")


@pytest.fixture
def anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the check whether imported actors can be rendered, which other tests cover."""
    monkeypatch.setattr(import_check, "check_imported_actor", lambda *facts, **context: None)


@pytest.mark.slow
@pytest.mark.usefixtures("anybody")
def test_export_and_import(stored: Registry) -> None:
    run("export", "mary", "mary.dubfew")
    assert "not encrypted" in run("export", "mary", "mary.zip", "--plain").stdout
    assert run_json("import", "mary.dubfew", "--actor", "anna")["actor"] == "anna"
    run("delete", "mary", "--yes")
    assert "--allow-deleted" in run_refused("import", "mary.dubfew")
    assert run_json("import", "mary.dubfew", "--allow-deleted")["revision"] == 1
    result = run("export", "anna", "x", "--plain", "--recipient", "dubfew-key-", code=2)
    assert "exclude each other" in result.output


@pytest.mark.slow
def test_files_that_exist_are_not_replaced_unasked(stored: Registry) -> None:
    taken = [Path(name) for name in ("mine.bin", "mary.dubfew", "receipt.json")]
    for path in taken:
        path.write_bytes(b"precious")
    writing = [
        ("export", "mary", "mine.bin"),
        ("export", "mary", "-o", "mine.bin"),
        ("export", "mary"),
        ("push", "mary", "mine.bin"),
        ("delete", "mary", "--yes", "--receipt", "receipt.json"),
    ]
    for words in writing:
        assert "--overwrite" in run_refused(*words)
    assert {path.read_bytes() for path in taken} == {b"precious"}
    for words in writing:
        run(*words, "--overwrite")
    assert b"precious" not in {path.read_bytes() for path in taken}


@pytest.mark.slow
def test_what_is_at_a_url_is_not_replaced_unasked(stored: Registry) -> None:
    run("push", "mary", "memory://taken/mary")
    assert "--overwrite" in run_refused("push", "mary", "memory://taken/mary", "--revision", 2)
    run("push", "mary", "memory://taken/mary", "--revision", 2, "--overwrite")


@pytest.mark.slow
@pytest.mark.usefixtures("anybody")
def test_export_to_a_public_key(stored: Registry) -> None:
    public = run_json("keygen", "-o", "identity")["public"]
    run("export", "mary", "mary.dubfew", "--recipient", public)
    assert "--identity" in run_refused("import", "mary.dubfew")
    assert run_json("import", "mary.dubfew", "--identity", "identity")["revision"] == 4
    assert "there already" in run_refused("keygen", "identity")


@pytest.mark.slow
@pytest.mark.usefixtures("anybody")
def test_push_and_pull(stored: Registry) -> None:
    assert "revision 2" in run("push", "mary", "memory://cli/mary", "--revision", 2).stdout
    assert run_json("pull", "memory://cli/mary", "--actor", "anna")["actor"] == "anna"
    assert "cannot be read" in run_refused("pull", "memory://cli/nothing")


@pytest.mark.slow
def test_keys_are_shown_and_protected_in_another_way(
    stored: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_json("keys") == {"keys": str(stored.keys), "wrapping": "file"}
    monkeypatch.delenv("DUBFEW_PASSPHRASE")
    assert "DUBFEW_PASSPHRASE" in run_refused("keys", "--wrapping", "passphrase")
    monkeypatch.setenv("DUBFEW_PASSPHRASE", WORDS)
    assert run_json("keys", "--wrapping", "passphrase")["wrapping"] == "passphrase"
    assert run_json("show", "mary")["config"] == {"method": "lora", "number": 2}
    assert "'magic'" in run_refused("keys", "--wrapping", "magic")


def test_a_new_passphrase_is_asked_for_twice(
    stored: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DUBFEW_PASSPHRASE")
    monkeypatch.setattr(passphrase, "_prompt", console.prompt_passphrase)
    typed = iter([WORDS, WORDS + "x", WORDS, WORDS, WORDS])
    prompts = []

    def getpass(prompt: str) -> str:
        prompts.append(prompt)
        return next(typed)

    monkeypatch.setattr("getpass.getpass", getpass)
    with pytest.raises(KeyMissingError, match="differ"):
        stored.export("mary", Path("x"))
    stored.export("mary", Path("x"))
    stored.import_file(Path("x"))
    assert prompts[0] == "Passphrase for the export of 'mary': "
    assert len(prompts) == 5
