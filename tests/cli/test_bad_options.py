"""Options whose values cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.jobs import QUICK, assert_failed, render, run

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (2, ["--seconds", "-1"]),
        (2, ["--seconds", "nan"]),
        (2, ["--seconds", "inf"]),
        (0, ["--seconds", "1e308"]),
        (0, ["--seconds", "1e-9"]),
        (2, ["--steps", "-5"]),
        (2, ["--steps", "1.5"]),
        (2, ["--seed", "99999999999999999999999"]),
        (2, ["--method", "magic"]),
        (1, ["--prior", "nothing"]),
        (1, ["--prior", "folder.mp4"]),
        (1, ["--device", "cuda"]),
        (1, ["--device", "gpu"]),
        (1, ["--consent", "missing.json"]),
        (1, ["--consent", "good.mp4"]),
        (1, ["--actor", ""]),
        (1, ["--actor", "a/b"]),
        (1, ["--actor", "x" * 101]),
    ],
)
def test_values_of_adapt_options(
    home: Path, clips: Path, monkeypatch: pytest.MonkeyPatch, code: int, options: list[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    if options[1].endswith(".mp4"):
        options = [options[0], str(clips / options[1])]
    result = run("adapt", clips / "two.mp4", *QUICK, *options)
    if code == 1:
        assert_failed(result)
    assert result.exit_code == code
    assert json.loads(run("actors", "list", "--json").stdout)["actors"][0]["actor"] == "two"


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (2, ["--drive", "magic"]),
        (2, ["--fit", "stretch"]),
        (2, ["--crf", "99"]),
        (1, ["--revision", "77"]),
        (1, ["--codec", "magic"]),
        (1, ["--preset", "magic"]),
        (1, ["--lossless", "--codec", "prores"]),
        (1, ["--device", "cuda"]),
        (1, ["-o", "o.xyz"]),
        (1, ["-o", "o"]),
        (1, ["-o", ""]),
        (1, ["-o", "x" * 300 + ".mp4"]),
        (1, ["-o", "/proc/none/o.mp4"]),
    ],
)
def test_values_of_render_options(
    home: Path, clips: Path, monkeypatch: pytest.MonkeyPatch, code: int, options: list[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = render(clips, "two.mp4", "--drive", "self", "-o", "o.mp4", *options)
    if code == 1:
        assert_failed(result)
    assert result.exit_code == code


@pytest.mark.parametrize("actor", ["nobody", "", "../two", "x" * 300, "*"])
def test_an_unknown_actor(home: Path, clips: Path, actor: str) -> None:
    assert_failed(render(clips, "two.mp4", actor=actor))


def test_an_identity_source_that_is_not_registered(home: Path, clips: Path) -> None:
    track = ("track", clips / "two.mp4", "-o", "t.safetensors", "--identity", "mica")
    assert_failed(run(*track), "not of head lite: --head flame")
    assert_failed(run(*track, "--head", "flame"), "dubfew assets add flame")
    assert not Path("t.safetensors").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["adap", "x.mp4", "--json"],
        ["adapt", "x.mp4", "--json", "--speed", "3"],
        ["adapt", "x.mp4", "--json", "--steps", "-5"],
        ["adapt", "x.mp4", "--json", "--draft", "--steps", "3"],
        ["actors", "show", "--json"],
        ["actors", "shwo", "--json"],
    ],
)
def test_wrong_usage_is_json_where_that_is_asked_for(words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert (error["type"], error["exit_code"]) == ("UsageError", 2)
    assert error["message"] in " ".join(result.stderr.split())
    assert run(*(word for word in words if word != "--json")).stdout == ""
