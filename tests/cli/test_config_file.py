"""Options from a file, and the project that has one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dubfew import api
from dubfew.cli.config_file import take_config
from dubfew.registry.consent import read_consent
from tests.cli.jobs import run


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Options of renders that were asked for; none is done."""
    seen: list[Any] = []

    def render(actor: str, options: Any, **rest: Any) -> Any:
        seen.append(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "render", render)
    return seen


@pytest.fixture
def config(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "dubfew.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.slow
def test_options_of_the_file_and_of_the_words(config: Any, rendered: list[Any]) -> None:
    path = config(
        '[render]\ncrf = 18\nopen = 0.5\nlossless = false\nwatermark = false\nuse = "-x"\n'
        "from = 1\nlike_source = true\n[adapt]\nsteps = 3\n[nonsense]\na = 1\n"
    )
    run("render", "mary", "--config", path, "--open", "0.7", "--preview")
    run("render", "mary", f"--config={path}", "--watermark", "--preview")
    one, two = rendered
    assert (one.crf, one.open, one.lossless, one.watermark) == (18, 0.7, False, False)
    assert (one.from_seconds, one.use, one.like_source, one.preview) == (1, "-x", True, True)
    assert (two.open, two.watermark) == (0.5, True)


def test_the_variable_names_a_file(
    config: Any, rendered: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUBFEW_CONFIG", str(config("[render]\ncrf = 30\n")))
    run("render", "mary")
    assert rendered[0].crf == 30


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[render]\ncfr = 18\n", "no option 'cfr'"),
        ("[render]\ncrf = [1, 2]\n", "is a list"),
        ("[render]\nlossless = 1\n", "give true or false"),
        ("[render]\ncrf = true\n", "give a text or a number"),
        ("[render]\ncrf = 900\n", "--crf"),
        ("render = 1\n", "is no table"),
        ("[render\n", "no TOML file"),
    ],
)
def test_what_is_wrong_is_said(config: Any, rendered: list[Any], text: str, words: str) -> None:
    result = run("render", "mary", "--config", config(text), "--json")
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert words in error["message"]
    assert rendered == []


@pytest.mark.slow
def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = run("actors", "list", "--config", tmp_path / "none.toml")
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr
    assert run("actors", "list", "--config").exit_code == 2


def test_tables_of_commands_in_groups(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    path = config("[actors.list]\njson = true\n")
    assert json.loads(run("actors", "list", "--config", path).stdout) == {"actors": []}


def test_words_behind_two_hyphens_stay() -> None:
    assert take_config(["a", "--", "--config", "b"]) == (["a", "--", "--config", "b"], None)


@pytest.mark.slow
def test_every_option_of_a_table_is_known(tmp_path: Path, rendered: list[Any]) -> None:
    """The project that `init` writes."""
    project = tmp_path / "film"
    result = run("init", project)
    assert result.exit_code == 0
    assert (project / "scenes").is_dir()
    read_consent(project / "consent.json")
    text = (project / "dubfew.toml").read_text()
    # With the options that stand in comments, too.
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    whole = "\n".join(line for line in lines if " = " in line or line.startswith("["))
    (project / "all.toml").write_text(whole)
    assert run("render", "mary", "--config", project / "all.toml").exit_code == 1
    assert (rendered[0].use, rendered[0].codec, rendered[0].like_source) == (
        "dubbing",
        "prores_ks",
        True,
    )
    again = run("init", project)
    assert again.exit_code == 1
    assert "exists already" in again.stderr


def test_the_file_of_the_guide(config: Any, rendered: list[Any]) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "guides" / "command-line.md"
    text = guide.read_text().split("```toml\n")[1].split("```")[0]
    run("render", "mary", "--config", config(text))
    assert (rendered[0].codec, rendered[0].use) == ("prores_ks", "dubbing")
