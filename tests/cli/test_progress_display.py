"""Progress on stderr."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest

from dubfew.cli.progress_display import (
    STAGE_WORDS,
    JsonProgress,
    PlainProgress,
    ProgressMode,
    describe_progress,
    show_progress,
)
from dubfew.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def render_job(count: int = 100) -> list[Progress]:
    reports = [Progress("load", 0)]
    reports += [
        Progress("render", n, count, fraction=n / count, seconds_left=float(count - n))
        for n in range(1, count)
    ]
    return [*reports, Progress("done", 1, 1, fraction=1.0, seconds_left=0.0)]


@pytest.mark.parametrize(
    ("mode", "as_json", "terminal", "shown"),
    [
        ("auto", False, True, "bar"),
        ("auto", False, False, "plain"),
        ("auto", True, True, "none"),
        ("none", False, True, "none"),
        ("plain", True, True, "plain"),
        ("json", False, True, "json"),
        ("bar", False, False, "bar"),
    ],
)
def test_the_display_suits_stderr_unless_one_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, mode: str, as_json: bool, terminal: bool, shown: str
) -> None:
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    with show_progress(ProgressMode(mode), as_json=as_json) as progress:
        for report in render_job():
            progress(report)
    text = stderr.getvalue()
    assert text.startswith("dubfew: starting\n") == (shown == "plain")
    assert text.startswith("{") == (shown == "json")
    assert (text == "") == (shown == "none")
    if shown == "bar":
        assert "100 %" in text
        assert "painting" in text or "done" in text


@pytest.mark.parametrize(
    ("seconds_per_report", "least", "most"), [(0.1, 2, 3), (3.0, 11, 13), (60.0, 101, 102)]
)
def test_plain_lines_are_few_and_end_at_100_percent(
    seconds_per_report: float, least: int, most: int
) -> None:
    lines: list[str] = []
    now = 0.0
    progress = PlainProgress(lines.append, lambda: now)
    for report in render_job():
        progress(report)
        now += seconds_per_report
    assert least <= len(lines) <= most
    assert lines[0] == "dubfew: starting"
    assert lines[-1] == "dubfew: done, 100 %"
    assert all(re.fullmatch(r"dubfew: painting, \d+ %, [\d:]+ left", line) for line in lines[1:-1])


def test_json_lines_have_each_percent_once() -> None:
    lines: list[str] = []
    progress = JsonProgress(lines.append)
    for report in render_job(1000):
        progress(report)
    events = [json.loads(line) for line in lines]
    assert len(events) == 102  # the start, 0 to 99 %, the end
    assert events[0]["stage"] == "load"
    assert events[50] | {"done": 0, "fraction": 0, "seconds_left": 0} == {
        "stage": "render",
        "words": "painting",
        "done": 0,
        "total": 1000,
        "values": {},
        "fraction": 0,
        "seconds_left": 0,
    }
    assert events[-1]["fraction"] == 1.0


def test_a_stage_without_a_plan_shows_its_own_share() -> None:
    assert describe_progress(Progress("compare", 5, 20)) == "comparing, 25 %"
    assert describe_progress(Progress("compare", 5)) == "comparing"


def test_words_have_no_jargon() -> None:
    assert not {"scan", "cut", "align"} & set(" ".join(STAGE_WORDS.values()).split())
