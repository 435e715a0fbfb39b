"""From consent to erasure: what issue by issue is tested elsewhere, once in a row and by the
command line, on two seconds of a person that does not exist."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from dubfew.cli.app import app
from dubfew.utils.files import sha256_file
from tests.commands import CommandRunner
from tests.consents import filled_consent
from tests.footage import cut

pytestmark = pytest.mark.slow

FRAMES = 50  # fewer do not hold a watermark that can be read
ACTOR = "Quetzalcoatl-7319"
DUB = Path(str(files("dubfew.demo") / "dub.wav"))


def run(*arguments: object, code: int = 0) -> Any:
    """What a command says with ``--json``, or its one line of error."""
    result = CommandRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    if "error" in found:
        assert result.stderr.count("\n") == 1
        return result.stderr
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    for name in ("DUBFEW_KEYS", "DUBFEW_PASSPHRASE", "DUBFEW_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_consent_adapt_render_verify_delete_receipt_audit(home: Path, tmp_path: Path) -> None:
    clip = cut(tmp_path / "clip.mp4", 0, FRAMES)
    record = filled_consent() | {
        "uses": ["dubbing"],
        "languages": ["de"],
        "territories": ["AT"],
        "valid_to": None,
    }
    del record["projects"]
    consent = tmp_path / "consent.json"
    consent.write_text(json.dumps(record))
    sha256 = run("consent", "check", consent)["sha256"]
    home.mkdir()
    (home / "policy.json").write_text('{"require_consent": true}')

    # Learn: not without the record.
    learn = ["adapt", clip, "--actor", ACTOR, "--prior", "warp", "--steps", "0", "--start", "0"]
    learn += ["--seconds", "0.4"]
    assert "requires one" in run(*learn, code=1)
    assert run(*learn, "--consent", consent)["note"] == ""
    assert run("actors", "show", ACTOR)["config"]["consent"]["sha256"] == sha256

    # Render: only for what the record covers, and not while the actor is suspended.
    render = ["render", "--actor", ACTOR, "--audio", DUB, "-o", "out.mp4", "--territory", "AT"]
    assert "--use and --language" in run(*render, code=1)
    assert "language 'en'" in run(*render, "--use", "dubbing", "--language", "en", code=1)
    assert "use 'advertising'" in run(*render, "--use", "advertising", "--language", "de", code=1)
    purpose = ["--use", "dubbing", "--language", "de-AT"]
    run("actors", "suspend", ACTOR, "--reason", "a letter came")
    assert "is suspended since" in run(*render, *purpose, code=1)
    assert "is suspended since" in run("actors", "export", ACTOR, "x.dubfew", "--plain", code=1)
    assert not Path("out.mp4").exists()
    assert run("actors", "show", ACTOR)["suspended"]["reason"] == "a letter came"
    run("actors", "resume", ACTOR)
    made = run(*render, *purpose)

    # Verify: the output says under which consent, and its mark leads to the log.
    assert made["watermark"]
    seen = run("verify", "out.mp4")
    assert sha256 in json.dumps(seen)
    (entry,) = run("audit", "find", made["watermark"])["entries"]
    assert (entry["event"], entry["id"]) == ("render", ACTOR)
    assert entry["fields"] | {"actor": ""} == {
        "actor": "",
        "revision": 1,
        "output_sha256": sha256_file(Path("out.mp4")),
        "watermark": made["watermark"],
        "drive": "audio",
        "consent_sha256": sha256,
        "use": "dubbing",
        "language": "de-AT",
        "territory": "AT",
        "overrides": [],
    }

    # Delete: a receipt, and nothing that leads to the id, but the log stays whole.
    gone = run("actors", "delete", ACTOR, "--yes")
    receipt = Path(gone["receipt"])
    assert run("audit", "verify") | {"head": ""} == {
        "ok": True,
        "entries": 5,
        "head": "",
        "restored": "",
        "faults": [],
    }
    shown = run("audit", "show")["entries"]
    events = ["adapt", "suspend", "resume", "render", "delete"]
    assert [each["event"] for each in shown] == events
    assert {each["id"] for each in shown} == {None}
    assert len({each["fields"]["actor"] for each in shown}) == 1
    assert shown[-1]["fields"]["receipt_sha256"] == sha256_file(receipt)
    for folder in (home, tmp_path / "home-keys"):
        for path in folder.rglob("*"):
            assert ACTOR not in path.name
            assert path.is_dir() or ACTOR.encode() not in path.read_bytes()

    # Nobody changes that unseen.
    log = home / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"dubbing", b"dubbinG"))
    assert run("audit", "verify", code=1)["faults"] == ["line 4 was changed"]
