"""The page itself, where Gradio is installed."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from dubfew.jobs.store import JobStore
from dubfew.page.options import PageOptions

gradio = pytest.importorskip("gradio")
testing = pytest.importorskip("starlette.testclient")


@pytest.mark.slow
def test_the_page_is_for_this_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    from dubfew.page.running import make_page_application

    application = make_page_application(JobStore(tmp_path / "home" / "jobs"), PageOptions())
    with testing.TestClient(application, base_url="http://127.0.0.1") as client:
        answer = client.get("/")
        assert answer.status_code == 200
        assert "connect-src 'self'" in answer.headers["content-security-policy"]
        assert "fonts.googleapis" not in answer.text
        assert client.get("/", headers={"Host": "example.org"}).status_code == 400
        assert client.get("/", headers={"Origin": "https://example.org"}).status_code == 403
        assert client.get("/outputs/nothing").status_code == 404
        # Files of the machine are no files of the page.
        for path in ("/etc/passwd", str(tmp_path / "home" / "jobs" / "jobs.sqlite")):
            assert client.get(f"/gradio_api/file={path}").status_code in (403, 404)


@pytest.mark.slow
def test_the_lines_of_the_guide(tmp_path: Path) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "guides" / "app.md"
    install, start = guide.read_text().split("```\n")[1].splitlines()
    assert install == "pip install 'dubfew[app]'"
    program, *words = shlex.split(start)
    assert program == "dubfew"
    # Any free port: another program of this machine may have the usual one.
    command = [sys.executable, "-m", "dubfew", *words, "--port", "0"]
    environment = {**os.environ, "DUBFEW_HOME": str(tmp_path / "home")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as page:
        try:
            assert page.stderr is not None
            pattern = r"open (http://127\.0\.0\.1:\d+) in"
            found = next(match for line in page.stderr if (match := re.search(pattern, line)))
            with urlopen(found[1], timeout=60) as answer:
                assert answer.status == 200
                text = answer.read().decode()
            for name in ("Learn", "Dub", "Actors", "Verify", "Compare", "Study"):
                assert f'"{name}"' in text
        finally:
            page.send_signal(signal.SIGINT)
        assert page.wait(60) == 1  # interrupted, as every command says
