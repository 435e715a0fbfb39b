"""The files of the container agree with each other and with the package."""

from __future__ import annotations

import re
import shlex
import sys
import wave
from pathlib import Path

import pytest

from dubfew.server.options import ServeOptions
from tests.cli.jobs import run
from tests.footage import cut

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILES = ("Dockerfile", "Dockerfile.cuda")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_installs_what_there_is(name: str) -> None:
    text = (ROOT / name).read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    (named,) = re.findall(r"'\.\[([\w,]+)\]'", (ROOT / "tools/install_image.sh").read_text())
    assert set(named.split(",")) <= extras.keys()
    assert "\nRUN sh install_image.sh /opt/dubfew" in text
    ignored = (ROOT / ".dockerignore").read_text()
    for copied in re.findall(r"^COPY ((?:[\w./]+ )+)\./", text, flags=re.M):
        for path in copied.split():
            assert (ROOT / path).exists()
            assert f"!{path}\n" in ignored


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_has_no_rights_and_its_own_port(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "\nUSER 10001" in text
    port = ServeOptions().port
    assert f"EXPOSE {port}" in text
    assert f"127.0.0.1:{port}/health" in text
    compose = (ROOT / "compose.yaml").read_text()
    assert f'"127.0.0.1:{port}:{port}"' in compose
    for line in ("read_only: true", "cap_drop: [ALL]", "no-new-privileges:true"):
        assert line in compose


@pytest.mark.slow
def test_the_commands_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What follows the name of the image or service are words for dubfew.
    guide = (ROOT / "docs" / "guides" / "containers.md").read_text()
    lines = "".join(guide.split("```\n")[1::2]).replace("\\\n", "").splitlines()
    found = [line.partition(" dubfew ")[2] for line in lines if " run " in line]
    assert [words.split()[0] for words in found] == ["serve", "dub"]
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    cut(tmp_path / "scene.mp4", 0, 16)
    with wave.open(str(tmp_path / "german.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 3840))
    added, dubbed = (run(*shlex.split(words)) for words in found)
    assert "dubfew_" in added.stdout
    assert dubbed.exit_code == 0
    assert (tmp_path / "scene-german.mp4").exists()
