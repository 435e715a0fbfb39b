"""The page itself, where Gradio is installed."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from dubfew.jobs.store import JobStore
from dubfew.page import running
from dubfew.page.options import PageOptions
from tests.cli.jobs import run

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
        for name in ("Learn", "Dub", "Actors", "Verify", "Compare", "Study"):
            assert f'"{name}"' in answer.text
        assert client.get("/", headers={"Host": "example.org"}).status_code == 400
        assert client.get("/", headers={"Origin": "https://example.org"}).status_code == 403
        assert client.get("/outputs/nothing").status_code == 404
        # Files of the machine are no files of the page.
        for path in ("/etc/passwd", str(tmp_path / "home" / "jobs" / "jobs.sqlite")):
            assert client.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_the_lines_of_the_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "guides" / "app.md"
    install, start = guide.read_text().split("```\n")[1].splitlines()
    assert install == "pip install 'dubfew[app]'"
    program, *words = shlex.split(start)
    assert program == "dubfew"
    shown: list[PageOptions] = []

    def show_page(options: PageOptions, *, on_ready: Callable[[str], None]) -> None:
        shown.append(options)
        on_ready("http://127.0.0.1:7860")

    monkeypatch.setattr(running, "show_page", show_page)
    result = run(*words)
    assert result.exit_code == 0
    assert shown == [PageOptions()]
    assert "open http://127.0.0.1:7860 in a browser" in result.stderr
