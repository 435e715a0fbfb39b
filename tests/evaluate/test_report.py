"""The report: self-contained, escaped, and complete."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import ShapeError
from dubfew.evaluate.report import write_report, write_video_report
from dubfew.evaluate.training_curve import draw_training_curve
from tests.pages import without_embedded_pictures

VOID = {"meta", "img", "br", "line", "polyline"}


class Balance(HTMLParser):
    """Fails on a tag that is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def pictures(count: int, size: int = 24) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (size, size, 3), dtype=np.uint8) for _ in range(count)]


@pytest.fixture
def page(tmp_path: Path) -> str:
    write_report(
        tmp_path / "report.html",
        title="<b>Ada</b> & co",
        before=pictures(3),
        after=pictures(3),
        mouths_before=pictures(3),
        mouths_after=pictures(3),
        moments=["0.5 s", '"1.0" s', "1.5 s"],
        texture=pictures(1)[0],
        curve=[(0, 0.0, 24.1), (100, 12.0, 29.5), (200, 23.0, float("nan")), (300, 34.0, 31.2)],
        timings={"track": 3.0, "<train>": 60.0},
        numbers={
            "psnr": 31.234567,
            "actor": "<script>alert(1)</script>",
            "lag": None,
            "steps": 300,
        },
        note="Rendered from 4 s & nothing else.",
    )
    return (tmp_path / "report.html").read_text()


def test_no_external_resource(page: str):
    assert "http" not in without_embedded_pictures(page)
    assert "url(" not in page
    assert "<script" not in page
    assert "<link" not in page
    assert set(re.findall(r'src="([^;]*);', page)) == {"data:image/jpeg"}


def test_every_part_is_there(page: str):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert parser.seen.count("img") == 3 * 2 + 3 * 2 + 1
    assert parser.seen.count("circle") == 3  # the point that is not finite is left out
    for text in ("31.23", "60.0 s", "0.5 s", "300", "<td>-</td>", "prefers-color-scheme: dark"):
        assert text in page


def test_text_is_escaped(page: str):
    assert "&lt;b&gt;Ada&lt;/b&gt; &amp; co" in page
    assert "&lt;train&gt;" in page
    assert "&lt;script&gt;" in page
    assert "&quot;1.0&quot; s" in page


def test_parts_that_are_not_given_are_left_out(tmp_path: Path):
    write_report(tmp_path / "r.html", title="t", before=[], after=[])
    page = (tmp_path / "r.html").read_text()
    assert "<section" not in page
    assert "<svg" not in page


def test_uneven_pictures_are_refused(tmp_path: Path):
    with pytest.raises(ShapeError, match="frames"):
        write_report(tmp_path / "r.html", title="t", before=pictures(2), after=pictures(1))
    assert list(tmp_path.iterdir()) == []


def test_curve_stays_inside_its_frame():
    svg = draw_training_curve([(0, 0.0, 20.0), (50, 5.0, 20.0), (100, 9.0, 33.3)])
    points = re.search(r'points="([^"]*)"', svg)
    assert points
    xy = np.array([p.split(",") for p in points.group(1).split()], float)
    assert ((xy >= 0) & (xy <= (640, 240))).all()
    assert (np.diff(xy[:, 0]) > 0).all()
    assert xy[2, 1] < xy[0, 1]  # better is higher
    assert draw_training_curve([(0, 0.0, 20.0)]) == ""


@pytest.mark.slow
def test_report_of_a_real_clip(shared: Path, tmp_path: Path):
    clip = shared / "clips" / "grid_bbaf2n.mpg"
    write_video_report(clip, clip, tmp_path / "r.html", title="twice the same", count=2)
    assert (tmp_path / "r.html").read_text().count("<img") == 8
