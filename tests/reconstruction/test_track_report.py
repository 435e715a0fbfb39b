from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from dubfew.reconstruction.fitting.track_quality import frontal_eye_distance, measure_stability
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.svg_curves import MAX_CURVE_COLUMNS, render_curves_svg
from dubfew.reconstruction.track import FLAG_MOUTH_COVERED, FLAG_TURNED_AWAY
from dubfew.reconstruction.track_report import (
    OVERLAY_SIZE_PX,
    draw_overlays,
    select_report_rows,
    summarize_track,
    write_track_report,
)
from tests.pages import without_embedded_pictures
from tests.reconstruction.tracks import gray_video, known_track

HEAD = load_head_model()
VOID_TAGS = {"meta", "img"}


class Reader(HTMLParser):
    """Parse a page: fail on tags that are not closed in order, and collect the tables' rows."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: dict[str, str] = {}
        self.name = ""

    def handle_starttag(self, tag, attrs):
        if tag not in VOID_TAGS:
            self.open.append(tag)
        self.links = [value for key, value in attrs if key in ("src", "href")]
        assert all(link.startswith("data:") for link in self.links)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["th"]:
            self.name = data
        elif self.open[-1:] == ["td"]:
            self.rows[self.name] = data


@pytest.fixture(scope="module")
def flagged_track():
    """A track of two shots; some frames are turned away, some are covered."""
    flags = np.zeros(30, np.uint8)
    flags[5:8], flags[20] = FLAG_TURNED_AWAY, FLAG_TURNED_AWAY | FLAG_MOUTH_COVERED
    return replace(
        known_track(30, shift=2.0, shake=1.0),
        flags=flags,
        shot=np.repeat([0, 1], 15).astype(np.int32),
    )


@pytest.fixture(scope="module")
def page(flagged_track, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("report")
    video = gray_video(folder / "a & b.mp4")
    write_track_report(folder / "report.html", video, flagged_track)
    return (folder / "report.html").read_text()


@pytest.mark.slow
def test_page_is_valid_and_self_contained(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert "a &amp; b.mp4" in page
    assert "http" not in without_embedded_pictures(page)


@pytest.mark.slow
def test_figures_on_the_page(page, flagged_track):
    reader = Reader()
    reader.feed(page)
    size = float(frontal_eye_distance(flagged_track, HEAD)[0])
    # Half of the frames lie 2 px aside, half also 1 px below.
    error = (2 + np.sqrt(5)) / 2
    assert float(reader.rows["landmark error, px"]) == pytest.approx(error, rel=1e-3)
    assert float(reader.rows["landmark error, %"]) == pytest.approx(100 * error / size, rel=1e-3)
    jitter = float(reader.rows["jitter in them, detector, %"])
    assert jitter == pytest.approx(100 * 2 / size, rel=1e-3)
    assert float(reader.rows["jitter in them, track, %"]) == pytest.approx(0, abs=1e-3)
    assert reader.rows["frames"] == "30"
    assert reader.rows["frames that can be used"] == "26"
    assert reader.rows["shots"] == "2"
    assert reader.rows["turned away"] == "4"
    assert reader.rows["mouth covered"] == "1"
    assert "cut by the frame's edge" not in reader.rows


def test_every_curve_shows_every_frame_of_a_short_clip(page):
    lines = re.findall(r'<polyline class="line" points="([^"]+)"', page)
    # One error curve without gaps; jitter has one part for each shot, without its ends.
    assert [len(line.split()) for line in lines] == [30, 13, 13]


def test_images_show_the_mesh_on_the_frames_of_their_captions(page, flagged_track):
    images = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        for data in re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    ]
    captions = re.findall(r"<figcaption>([\d.]+) s", page)
    assert len(images) == len(captions) >= 8
    for image, caption in zip(images, captions, strict=True):
        assert max(image.shape[:2]) == OVERLAY_SIZE_PX
        brightness = 4 * round(float(caption) * 25)
        assert np.median(image[:10, :10]) == pytest.approx(brightness, abs=6)
        centre = image[
            OVERLAY_SIZE_PX // 4 : -OVERLAY_SIZE_PX // 4,
            OVERLAY_SIZE_PX // 4 : -OVERLAY_SIZE_PX // 4,
        ].astype(int)
        assert (centre[..., 2] - centre[..., 0] > 30).mean() > 0.03  # the mesh is blue


def test_a_track_of_a_part_is_drawn_on_the_right_frames(tmp_path):
    video = gray_video(tmp_path / "clip.mp4")
    track = known_track(10, start=15)
    (image,) = draw_overlays(video, track, HEAD, [5])
    assert np.median(image[:10, :10]) == pytest.approx(4 * 20, abs=3)


def test_worst_frames_are_shown():
    track = known_track(200)
    track.landmarks[137, :, 0] += 9
    assert 137 in select_report_rows(track, measure_stability(track, HEAD))


def test_figures_that_cannot_be_measured_are_none():
    track = known_track(2)
    figures = summarize_track(track, measure_stability(track, HEAD))
    assert figures["jitter in them, track, %"] is None
    assert figures["landmark error, px"] == pytest.approx(2, rel=1e-3)


def test_curves_of_long_clips_are_short_and_keep_peaks():
    track = known_track(1)
    long_track = replace(
        track.select(np.zeros(20_000, int)),
        times=np.arange(20_000) / 25,
        shot=np.zeros(20_000, np.int32),
    )
    values = np.zeros(20_000)
    values[11_234] = 7.0
    svg = render_curves_svg(long_track, {"error": values})
    (points,) = re.findall(r'points="([^"]+)"', svg)
    assert len(points.split()) == MAX_CURVE_COLUMNS
    assert ">7<" in svg
    assert len(svg) < 30_000


def test_the_frames_to_shade_can_be_given():
    track = known_track(10)

    def shades(shaded):
        svg = render_curves_svg(track, {"error": np.ones(len(track))}, shaded)
        return len(re.findall(r'class="flag"', svg))

    assert shades(np.zeros(len(track), bool)) == 0
    assert shades(np.arange(len(track)) % 4 == 1) == len(np.arange(1, len(track), 4))
