"""The manual page has every command."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.write_man import render_manual

pytestmark = pytest.mark.slow


def test_every_command_and_option() -> None:
    page = render_manual()
    for words in (
        "dubfew render",
        r"dubfew actors delete",
        "dubfew serve",
        "dubfew serve keys add",
    ):
        assert f"\n.SS {words}\n" in page
    assert r"\-\-like\-source" in page
    assert not any(line.startswith("'") for line in page.splitlines())


def test_man_reads_it(tmp_path: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("there is no groff")
    path = tmp_path / "dubfew.1"
    path.write_text(render_manual())
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "dubfew actors delete" in re.sub(".\b", "", done.stdout)
