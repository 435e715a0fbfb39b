"""The page of a review: pairs of original and take, earlier takes, and markers in timelines."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.batch.state import DONE, BatchState, RowRecord
from dubfew.batch.table import BatchRow
from dubfew.errors import DubfewError
from dubfew.jobs.description import JobDescription
from dubfew.media import Audio, AudioSource, Frame, VideoInfo, VideoWriter, probe, read_frames
from dubfew.media.in_memory import write_audio
from dubfew.review import pairs
from dubfew.review.make import make_review
from dubfew.review.markers import mark_timelines
from dubfew.utils.files import sha256_file

FPS = Fraction(25)
FRAMES = 6


def write_video(path: Path, spot: int | None = None, sound: Path | None = None) -> Path:
    """Gray frames; with a bright square of 40 px whose left edge is at ``spot``, 80 px down."""
    audio = None if sound is None else AudioSource(sound)
    info = VideoInfo(path, 320, 240, FPS)
    with VideoWriter(path, info, audio=audio, preset="ultrafast", timecode="01:00:00:00") as writer:
        for number in range(FRAMES):
            rgb = np.full((240, 320, 3), 90, np.uint8)
            if spot is not None:
                rgb[80:120, spot : spot + 40] = 200
            writer.write(Frame.from_rgb(rgb, number, FPS))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A batch with one output, an earlier take of it, and a failure."""
    out = tmp_path / "out"
    (out / "takes").mkdir(parents=True)
    # Silence, and a loud last frame.
    samples = np.zeros(round(FRAMES / 25 * 48000), np.float32)
    samples[-1800:] = 0.5 * np.sin(np.arange(1800))
    write_audio(tmp_path / "sound.wav", Audio(samples, 48000))
    scene = write_video(tmp_path / "scene.mp4")
    write_video(out / "one.mp4", 160, tmp_path / "sound.wav")
    write_video(out / "takes" / "one-0a1b2c3d.mp4", 40)
    job = JobDescription(actor="mary", video=scene, audio=tmp_path / "sound.wav")
    rows = [BatchRow(name, "", job, Path(f"{name}.mp4")) for name in ("one", "two")]
    state = BatchState(out)
    state.folder.mkdir()
    state.write_rows(rows)
    state.write(rows[0], RowRecord(DONE, "", {"frames": 6, "edited_frames": 6, "note": "<b>; dim"}))
    return out


def test_each_mouth_is_followed_and_centered():
    """Two mouths that move in opposite directions, one of them not painted for a while."""
    count = 40
    places = [(60 + 3 * number, 240 - 3 * number) for number in range(count)]
    found = []
    for number, (first, second) in enumerate(places):
        before = np.full((240, 320, 3), 90, np.uint8)
        after = before.copy()
        after[60:90, first - 20 : first + 20] = 200
        if not 10 <= number < 14:
            after[150:180, second - 20 : second + 20] = 40
        found.append(pairs._find_painted(before, after))
    assert [len(parts) for parts in found] == [1 if 10 <= n < 14 else 2 for n in range(count)]
    one, other = pairs._follow_mouths(found, 320 / 240)
    for number in range(3, count - 3):
        first, second = places[number]
        assert one.path[number] == pytest.approx((first / 320, 75 / 240), abs=0.02)
        assert other.path[number] == pytest.approx((second / 320, 165 / 240), abs=0.02)
    assert 40 / 320 < one.size < 0.35
    # A flicker elsewhere is no mouth.
    found[20].append((0.9, 0.9, 0.02))
    assert len(pairs._follow_mouths(found, 320 / 240)) == 2


def read_data(folder: Path) -> dict:
    text = (folder / "review" / "review.js").read_text()
    return json.loads(text.removeprefix("const REVIEW = ").rstrip(";\n"))


@pytest.mark.slow
def test_a_page_shows_original_and_takes(folder):
    result = make_review(folder)
    assert (result.shots, result.takes, result.failed) == (1, 2, ("two",))
    assert result.page == folder / "review" / "index.html"
    (shot,) = read_data(folder)["shots"]
    assert (shot["id"], shot["actors"], shot["notes"]) == ("one", ["mary"], ["<b>", "dim"])
    assert shot["timecode"] == "01:00:00:00"
    newest, earlier = shot["takes"]
    assert newest["sha256"] == sha256_file(folder / "one.mp4")
    assert (newest["frames"], newest["fps"], newest["width"]) == (FRAMES, [25, 1], 320)
    # The middle of the square, and more than its edge.
    (mouth,) = newest["mouths"]
    assert mouth["path"][3] == pytest.approx([180 / 320, 100 / 240], abs=0.02)
    assert earlier["mouths"][0]["path"][3] == pytest.approx([60 / 320, 100 / 240], abs=0.02)
    assert 40 / 320 < mouth["size"] < 0.4
    assert newest["peaks"][-1] > 90 > 5 > newest["peaks"][0]
    assert earlier["peaks"] == []
    pair = folder / "review" / newest["video"]
    assert (probe(pair).width, probe(pair).frames) == (640, FRAMES)
    picture = next(read_frames(pair)).to_rgb()
    assert picture[100, 180].mean() == pytest.approx(90, abs=4)
    assert picture[100, 320 + 180].mean() == pytest.approx(200, abs=4)
    # What is there is not made again, unless an earlier version has made it.
    stamp = pair.stat().st_mtime_ns
    make_review(folder)
    assert pair.stat().st_mtime_ns == stamp
    facts = pair.with_suffix(".json")
    facts.write_text('{"boxes": []}')
    make_review(folder)
    assert "mouths" in json.loads(facts.read_text())


def test_a_folder_without_a_batch(tmp_path):
    with pytest.raises(DubfewError, match="no folder of 'dubfew batch'"):
        make_review(tmp_path)


def test_decisions_become_markers(folder):
    otio = pytest.importorskip("opentimelineio")
    time, span = otio.opentime.RationalTime, otio.opentime.TimeRange
    clip = otio.schema.Clip(
        "one",
        otio.schema.ExternalReference("one.mp4", span(time(90000, 25), time(6, 25))),
        span(time(90002, 25), time(3, 25)),
        {"dubfew": {"id": "one"}},
    )
    track = otio.schema.Track("V", [clip], kind=otio.schema.TrackKind.Video)
    timeline = otio.schema.Timeline("program", [track])
    path = folder / "decisions.json"
    entry = {
        "verdict": "retake",
        "output_sha256": sha256_file(folder / "one.mp4"),
        "notes": [{"frame": 4, "text": "late"}],
    }
    content = {"format": "dubfew-review", "format_version": 1, "shots": {"one": entry}}
    path.write_text(json.dumps(content))
    with pytest.raises(DubfewError, match="no conformed timeline"):
        mark_timelines(folder, path)
    otio.adapters.write_to_file(timeline, str(folder / "program.otio"))
    (marked,), count = mark_timelines(folder, path)
    assert (marked.name, count) == ("program-reviewed.otio", 2)
    found = otio.adapters.read_from_file(str(marked)).tracks[0][0].markers
    assert [(each.name, each.color) for each in found] == [("retake", "ORANGE"), ("late", "ORANGE")]
    assert [each.marked_range.start_time.value for each in found] == [90002, 90004]
