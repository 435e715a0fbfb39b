"""Runs of two versions are measured, kept, and set side by side."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks import speed_table
from benchmarks.common import DEMO_CLIP
from benchmarks.speed_table import (
    BORDER_LEVEL,
    Run,
    compare_versions,
    parse_version,
    read_peak_memory,
    read_runs,
    resize_picture,
    run_measured,
    tabulate_runs,
)
from dubfew.media import Frame

posix = pytest.mark.skipif(not hasattr(os, "wait4"), reason="the memory of a child needs wait4")


def some_runs() -> list[Run]:
    old = [Run("render", 1, 0, "old", n, wall, 40, 1200) for n, wall in enumerate((9, 30, 20))]
    return [*old, Run("render", 1, 0, "new", 0, 5, 30, 600, is_whole=False)]


def test_rows_are_medians_and_lower_bounds_are_marked() -> None:
    new, old = tabulate_runs(some_runs())
    assert old == ["render", "1", 0, "old", 3, "20.0", "40.0", "1200", ""]
    assert new[4:7] == [1, "> 5.0", "> 30.0"]
    assert compare_versions(some_runs(), ["old", "new"]) == [
        ["render", "1", 0, "0.25", "0.75", "0.50"]
    ]


def test_a_log_that_was_cut_off_keeps_its_whole_lines(tmp_path) -> None:
    runs = some_runs()
    lines = [json.dumps(asdict(run)) for run in runs]
    (tmp_path / "runs.jsonl").write_text("\n".join(lines)[:-9])
    assert read_runs(tmp_path / "runs.jsonl") == runs[:-1]
    assert read_runs(tmp_path / "none.jsonl") == []


def test_a_smaller_picture_lies_in_a_frame_of_the_same_size() -> None:
    rgb = np.full((40, 60, 3), 200, np.uint8)
    frame = Frame.from_rgb(rgb, pix_fmt="yuv420p")
    small = resize_picture(frame, 0.5).to_rgb().astype(int)
    assert small.shape == rgb.shape
    assert abs(small[12:28, 18:42] - 200).max() < 4
    assert abs(small[:8] - BORDER_LEVEL).max() < 4
    assert resize_picture(frame, 1) is frame


def test_a_larger_picture_shows_the_upper_middle() -> None:
    rgb = np.full((40, 60, 3), 200, np.uint8)
    rgb[10:14, 28:32] = 20
    large = resize_picture(Frame.from_rgb(rgb, pix_fmt="yuv420p"), 2).to_rgb().astype(int)
    assert large.shape == rgb.shape
    # Of 20 rows from the fifth on, rows 10 to 13 are twice as high at twice their distance.
    dark = np.argwhere(large[..., 0] < 110)
    assert (dark.min(0) == [10, 26]).all()
    assert (dark.max(0) == [17, 33]).all()


def test_versions_have_an_interpreter(tmp_path) -> None:
    version = parse_version(f"old={tmp_path},/usr/bin/python3")
    assert (version.name, version.code, version.python) == ("old", tmp_path, "/usr/bin/python3")
    assert parse_version(f"new={tmp_path}").python == sys.executable


@posix
@pytest.mark.slow
def test_a_run_is_measured_and_stopped_at_its_limit() -> None:
    words = [sys.executable, "-c", "b = bytearray(5 * 10**7); print(len(b))"]
    wall, processor, _, is_whole, text = run_measured(words, os.environ, 60)
    assert (is_whole, text) == (True, "50000000\n")
    assert wall > 0
    assert processor > 0
    words = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert run_measured(words, os.environ, 0.1)[3] is False
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run_measured([sys.executable, "-c", "1 / 0"], os.environ, 60)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.slow
def test_memory_of_a_run_is_its_own_and_not_the_parent_s(tmp_path, monkeypatch) -> None:
    seen = tmp_path / "seen"

    def look(pid: int) -> float:
        peak = read_peak_memory(pid)
        if peak > 50:
            seen.touch()
        return peak

    monkeypatch.setattr(speed_table, "read_peak_memory", look)
    # The child ends once its memory was read, however slow this process is.
    child = "import os, sys, time; b = bytearray(6 * 10**7)\n"
    child += "while not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    held = np.ones(4 * 10**7)  # counts as the child's in what wait4 says
    megabytes = run_measured([sys.executable, "-c", child, seen], os.environ, 60)[2]
    assert held[-1] == 1
    assert 50 < megabytes < 200


@posix
def test_faces_that_a_version_cannot_learn_are_left_out(tmp_path, capsys, monkeypatch) -> None:
    asked = []

    def run(words, environment, limit):
        asked.append(str(words))
        if "actor-2.mp4" in str(words):
            raise RuntimeError("Traceback\ndubfew: error: no face found")
        return 1.0, 2.0, 3.0, True, ""

    monkeypatch.setattr(speed_table, "run_measured", run)
    monkeypatch.setattr(speed_table, "write_frames", lambda path, *rest, **named: path.touch())
    version = parse_version(f"old={tmp_path}")
    options = argparse.Namespace(
        version=[version], clip=DEMO_CLIP, audio=tmp_path, out=tmp_path, seconds=1, steps=None,
        faces=[1.0, 2.0], busy=[0], commands=["render"], repeat=1, minutes=1.0, limit=9.0,
    )  # fmt: skip
    speed_table.SpeedTable(options).fill()
    assert "face 2 is left out, old: dubfew: error: no face found" in capsys.readouterr().err
    assert [run.face for run in read_runs(tmp_path / "runs.jsonl")] == [1.0]
    assert "scene-1.mp4" in asked[-1]
