"""``dubfew consent`` and ``dubfew audit`` through the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import Result

from dubfew.cli.app import app
from dubfew.registry import Registry
from dubfew.registry.consent import ConsentRecord
from tests.commands import CommandRunner
from tests.consents import filled_consent

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    for name in ("DUBFEW_KEYS", "DUBFEW_PASSPHRASE", "DUBFEW_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Registry()


@pytest.fixture
def stored(registry: Registry) -> Registry:
    registry.create("mary", {"method": "lora"}, {"a": b"texture"})
    registry.open("mary").record_event(
        "render", watermark="0123456789", use="dubbing", language=None
    )
    return registry


def run(*arguments: object, code: int = 0) -> Result:
    result = CommandRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "unexpected" not in result.stderr
    return result


def run_json(*arguments: object, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


def record(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps(filled_consent(**changes)))
    return path


def test_the_example_is_a_record_of_the_schema(registry: Registry, tmp_path: Path) -> None:
    text = run("consent", "example").stdout
    Draft202012Validator(json.loads(run("consent", "schema").stdout)).validate(json.loads(text))
    found = run_json("consent", "check", record(tmp_path / "c.json"))
    assert found["subject"] == filled_consent()["subject"]
    assert len(found["sha256"]) == 64
    assert "valid_to         -" in run("consent", "check", tmp_path / "c.json").stdout
    assert not registry.home.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"minor": True}, "minor"),
        ({"valid_to": "2026-01-01"}, "ended"),
        ({"x": 1}, "'x' is unknown"),
    ],
)
def test_invalid_records_are_refused_with_the_reason(
    registry: Registry, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    result = run("consent", "check", record(tmp_path / "c.json", **changes), code=1)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_attaching_a_record(stored: Registry, tmp_path: Path) -> None:
    assert "none recorded" in run("actors", "show", "mary").stdout
    found = run_json("consent", "attach", "mary", record(tmp_path / "c.json"))
    assert found["revision"] == 2
    assert Registry().open("mary").consent.sha256 == found["consent_sha256"]
    shown = run("actors", "show", "mary").stdout
    assert re.search(rf"^consent.sha256 +{found['consent_sha256']}$", shown, re.M)
    assert "no actor" in run("consent", "attach", "eve", tmp_path / "c.json", code=1).stderr


def test_the_example_is_refused_until_it_is_filled_in(stored: Registry, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(run("consent", "example").stdout)
    for words in (("consent", "check", path), ("consent", "attach", "mary", path)):
        assert "subject is 'name of the person" in run(*words, code=1).stderr
    ended = record(path, valid_to="2026-01-02")
    assert "ended on 2026-01-02" in run("consent", "attach", "mary", ended, code=1).stderr
    assert [each.number for each in stored.revisions("mary")] == [1]


def test_an_actor_with_a_damaged_consent_record_is_shown(registry: Registry) -> None:
    registry.create("old", {"consent": {"any": "thing"}}, {"a": b"x"})
    assert "not usable" in run("actors", "show", "old").stdout
    assert run_json("actors", "show", "old")["config"]["consent"] == {"any": "thing"}


def test_suspending_an_actor(stored: Registry) -> None:
    assert run_json("actors", "suspend", "mary", "--reason", "a letter")["reason"] == "a letter"
    assert "a letter" in run("actors", "show", "mary").stdout
    assert "suspended" in run("actors", "export", "mary", "x", "--plain", code=1).stderr
    assert run("actors", "resume", "mary").stdout == "resumed mary\n"
    assert run_json("actors", "show", "mary")["suspended"] is None


def test_a_registry_without_a_log(registry: Registry) -> None:
    assert run_json("audit", "verify") == {
        "ok": True,
        "entries": 0,
        "head": "",
        "restored": "",
        "faults": [],
    }
    assert run("audit", "show").stdout == "no entries\n"
    run("audit", "find", "0", code=1)
    assert "no registry" in run("audit", "restart", code=1).stderr
    assert not registry.home.exists()


@pytest.mark.slow
def test_showing_the_log_and_finding_a_watermark(stored: Registry) -> None:
    first, second = run("audit", "show").stdout.splitlines()
    assert first.split()[0::2][:2] == ["1", "adapt"]
    assert second.endswith("render  mary  revision 1, use dubbing, watermark 0123456789")
    assert run("audit", "find", "0123456789").stdout == second + "\n"
    (found,) = run_json("audit", "find", "0123456789")["entries"]
    assert (found["seq"], found["id"]) == (2, "mary")
    assert "no entry of 99" in run("audit", "find", "99", code=1).stdout
    run("actors", "delete", "mary", "--yes")
    assert "mary" not in run("audit", "show").stdout
    assert "deleted actor" in run("audit", "find", "0123456789").stdout
    assert run_json("audit", "find", "0123456789")["entries"][0]["id"] is None


def test_a_damaged_log_is_reported_and_can_be_restarted(stored: Registry) -> None:
    head = run_json("audit", "verify")["head"]
    assert head.startswith("2:")
    log = stored.home / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"dubbing", b"trailer"))
    result = run("audit", "verify", code=1)
    assert "line 2 was changed" in result.stdout
    assert "2 faults" in result.stdout.splitlines()[-1]
    assert "a line was changed" in run("audit", "show").stdout
    assert "audit restart" in run("actors", "suspend", "mary", code=1).stderr
    assert "began" in run("audit", "restart").stdout
    run("audit", "verify")
    assert run_json("audit", "verify", "--head", head, code=1)["ok"] is False
    run("actors", "suspend", "mary")


def test_a_forged_line_cannot_control_the_terminal(stored: Registry) -> None:
    from dubfew.registry.audit import AuditEntry

    log = stored.home / "audit.jsonl"
    line = AuditEntry.create_next(None, "render", {"use": "\x1b[2J\u202e"}).to_line()
    log.write_bytes(log.read_bytes() + line)
    run("audit", "verify", code=1)
    assert all(line.isprintable() for line in run("audit", "show").stdout.splitlines())


@pytest.mark.slow
def test_commands_import_nothing_heavy(stored: Registry) -> None:
    stored.attach_consent("mary", ConsentRecord.from_record(filled_consent(), "test"))
    program = (
        "import sys; from dubfew.cli.app import app; app(sys.argv[1:], standalone_mode=False);"
        "print(sorted({'torch', 'numpy', 'jsonschema', 'fsspec'} & {*sys.modules}))"
    )
    for words in (["audit", "show"], ["audit", "verify"], ["actors", "list"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.stdout.endswith("[]\n"), done.stderr
