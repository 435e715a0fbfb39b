"""``dubfew serve`` and its keys, without the packages of the extra."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubfew.jobs.description import JOB_KINDS
from dubfew.jobs.pool import default_store_folder
from dubfew.jobs.store import JobStore
from dubfew.server.access import AccessError, identify_caller
from dubfew.server.options import ServeOptions
from dubfew.server.requests import (
    PLAIN_TEXT_OPTIONS,
    SERVED_KINDS,
    SERVER_OPTIONS,
    UPLOAD_OPTIONS,
    make_request_models,
)
from dubfew.utils.options import list_options
from tests.cli.jobs import run


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))


@pytest.mark.slow
def test_keys() -> None:
    made = json.loads(run("serve", "keys", "add", "studio", "--scope", "render", "--json").stdout)
    assert made["key"].startswith("dubfew_")
    caller = identify_caller(
        JobStore(default_store_folder()), ServeOptions(), f"Bearer {made['key']}", "any"
    )
    assert (caller.owner, caller.scopes) == ("studio", {"render"})
    assert run("serve", "keys", "list").stdout.startswith("studio  render  2")
    stored = b"".join(path.read_bytes() for path in default_store_folder().iterdir())
    assert made["key"].encode() not in stored
    assert "already" in run("serve", "keys", "add", "studio", "--scope", "adapt").stderr
    assert "no scope 'all'" in run("serve", "keys", "add", "x", "--scope", "all").stderr
    assert run("serve", "keys", "remove", "studio").exit_code == 0
    assert run("serve", "keys", "list").stdout == "no keys\n"


def test_beyond_this_machine_a_key_is_needed() -> None:
    pytest.importorskip("uvicorn")
    result = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert result.exit_code == 1
    assert "there is no key" in result.stderr


def test_without_a_key_nothing_is_answered_beyond_loopback(tmp_path: Path) -> None:
    """As when the last key is removed while the server runs."""
    with pytest.raises(AccessError):
        identify_caller(JobStore(tmp_path), ServeOptions(host="0.0.0.0"), None, "localhost")


@pytest.mark.slow
def test_a_port_that_is_taken() -> None:
    pytest.importorskip("fastapi_offline")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "choose another" in result.stderr


@pytest.mark.parametrize("kind", SERVED_KINDS)
def test_no_option_of_a_request_is_a_file_of_the_server(kind: str) -> None:
    pytest.importorskip("pydantic")
    import typing

    hint = make_request_models()[kind].model_fields["options"].annotation
    offered = set(typing.get_args(hint)[0].model_fields)
    assert {"draft", "consent"} <= offered or {"open", "language", "driver"} <= offered
    for option in list_options(JOB_KINDS[kind]):
        if option.name in offered and str in option.types and not option.choices:
            assert option.name in PLAIN_TEXT_OPTIONS | UPLOAD_OPTIONS
    assert not offered & SERVER_OPTIONS
