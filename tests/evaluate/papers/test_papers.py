"""Protocols, published tables, and runs that go on where they stopped."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dubfew.errors import DubfewError
from dubfew.evaluate import folders
from dubfew.evaluate.compare import EvaluationResult
from dubfew.evaluate.metrics import METRICS
from dubfew.evaluate.papers import run
from dubfew.evaluate.papers.protocols import FIRST_FRAME, PROTOCOLS, VARIANTS, load_published
from dubfew.evaluate.papers.run import (
    ProtocolCell,
    compare_systems,
    run_protocol,
    split_for_protocol,
)
from dubfew.evaluate.papers.workers import CellOutcome, CellWorker
from dubfew.evaluate.perceptual.frechet import FeatureStatistics, frechet_distance
from dubfew.media import Frame, VideoInfo, VideoWriter, read_frames


def gray(path: Path, frames: int, fps: int = 25) -> Path:
    """A video whose frame k has the level k."""
    with VideoWriter(path, VideoInfo(path, 64, 64, Fraction(fps)), lossless=True) as writer:
        for index in range(frames):
            picture = np.full((64, 64, 3), index, np.uint8)
            writer.write(Frame.from_rgb(picture, index, Fraction(fps)))
    return path


def find(table: str, system: str, place: str) -> dict[str, float]:
    published = load_published()[table]
    (row,) = (r for r in published["rows"] if (r["system"], r["set"]) == (system, place))
    return dict(zip(published["columns"], row["values"], strict=True))


def test_published_numbers():
    assert find("003.1", "Ours", "HDTF 1000")["fid"] == 5.44
    assert find("003.1", "DiffDub", "CelebV-HQ")["lips (MOS)"] is None
    assert find("001.1", "DINet", "MEAD-Neutral")["lpips"] == 0.0459
    assert find("002.1", "SIDGAN", "HDTF")["identity"] == 0.17
    # Table I of IPTalker has LSE-C before LSE-D.
    assert find("004.1", "IPTalker", "VFHQ")["lse_d"] == 8.6708
    for table in load_published().values():
        assert all(len(row["values"]) == len(table["columns"]) for row in table["rows"])


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_can_be_run(name: str):
    protocol = PROTOCOLS[name]
    assert set(protocol.measures) <= set(METRICS.names)
    assert protocol.published in load_published()
    assert protocol.drive in ("self", "audio")


def levels(path: Path) -> list[int]:
    return [round(frame.to_rgb().mean()) for frame in read_frames(path)]


def test_the_test_is_the_end_and_the_known_frames_lie_before_it(tmp_path: Path):
    clip = gray(tmp_path / "clip.mkv", 120)
    known, test, shortened = split_for_protocol(clip, tmp_path, 50, 30)
    assert not shortened
    assert levels(test) == pytest.approx(range(90, 120), abs=1)
    assert levels(known) == pytest.approx(range(40, 90), abs=1)


def test_the_first_frame_of_the_test_alone(runs: list, tmp_path: Path):
    clip = gray(tmp_path / "clip.mkv", 60)
    known, test, shortened = split_for_protocol(clip, tmp_path, FIRST_FRAME, 40)
    assert (levels(known), shortened) == (pytest.approx([20], abs=1), False)
    assert levels(test) == pytest.approx(range(20, 60), abs=1)
    # Nothing is trained from it.
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.mp4").write_bytes(b"a")
    run_protocol("002.1", data, tmp_path / "out")
    assert [(s["known"], s["steps"]) for s in runs] == [(1, 0), (100, None), (100, 0)]


@pytest.mark.slow
def test_clips_that_are_too_short(tmp_path: Path):
    known, test, shortened = split_for_protocol(gray(tmp_path / "a.mkv", 90), tmp_path, 1000, 250)
    assert shortened
    assert (len(levels(known)), len(levels(test))) == (60, 30)
    with pytest.raises(DubfewError, match="50 frames"):
        split_for_protocol(gray(tmp_path / "b.mkv", 50), tmp_path, 1000, 250)
    with pytest.raises(DubfewError, match="30 frames a second"):
        split_for_protocol(gray(tmp_path / "c.mkv", 60, fps=30), tmp_path, 30, 30)


# Features of the original and of the output of two clips: few vectors of more numbers.
FEATURES = {
    clip: [np.random.default_rng((seed, side)).normal(side + seed, 1, (6, 9)) for side in (0, 1)]
    for seed, clip in enumerate(("p", "q"))
}


def feature_statistics(rows: np.ndarray) -> FeatureStatistics:
    statistics = FeatureStatistics(rows.shape[1])
    statistics.add(rows)
    return statistics


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """Settings of the cells that were run; no actor is learned."""
    seen: list[Mapping[str, Any]] = []

    def run_cell(
        protocol: Any, clip: Path, setting: Mapping[str, Any], progress: Any
    ) -> ProtocolCell:
        if clip.stem == "bad":
            raise DubfewError("no face")
        seen.append(setting)
        values = {"psnr": 30.0 + len(seen), "ssim": 0.9, "fid": None, "fvd": None}
        place = (clip.name, setting["known"], setting["variant"])
        if clip.stem not in FEATURES:
            return ProtocolCell(*place, values, True)
        pair = tuple(feature_statistics(rows) for rows in FEATURES[clip.stem])
        return ProtocolCell(*place, {**values, "fid": 1.0}, True, {"fid": pair})

    monkeypatch.setattr(run, "_run_cell", run_cell)
    return seen


def test_a_run_goes_on_and_says_whose_rows_are_whose(runs: list, tmp_path: Path):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for name in ("a", "b", "bad"):
        (data / f"{name}.mp4").write_bytes(name.encode())
    text = run_protocol("003.1", data, out)
    conditions = len(VARIANTS) * len(PROTOCOLS["003.1"].known_frames)
    assert len(runs) == 2 * conditions
    ours, published = text.split("## Published")
    assert "own clips, 100 known" in ours
    assert "do not compare with the published ones" in ours
    assert "failed: bad.mp4, 100, dubfew: no face" in ours
    assert "StyleSync-G" in published
    assert "StyleSync-G" not in ours
    assert (out / "003.1.md").read_text() == text
    assert len(list(csv.reader((out / "003.1.csv").open()))) == 1 + 2 * conditions
    # The same again runs nothing; another number of steps runs the trained variant anew.
    run_protocol("003.1", data, out)
    assert len(runs) == 2 * conditions
    run_protocol("003.1", data, out, steps=5)
    assert len(runs) == 3 * conditions
    assert "own clips" not in run_protocol("003.1", data, out, steps=5, is_dataset=True)
    # A result that was cut off is made again.
    cell = next((out / "003.1").glob("a-*.json"))
    cell.write_text(cell.read_text()[:30])
    run_protocol("003.1", data, out, steps=5)
    assert len(runs) == 3 * conditions + 1


def test_workers_measure_what_is_missing_and_what_they_lose_is_named(
    runs: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for name in ("a", "b"):
        (data / f"{name}.mp4").write_bytes(name.encode())
    asked = []

    def run_jobs(cells: Any, num_workers: int | None, *, make_worker: Any) -> Any:
        asked.append((len(cells), num_workers, make_worker))
        # As they end, which is not the order of the table; the first one is lost.
        for number in reversed(range(1, len(cells))):
            cell = cells[number]
            run.measure_cell(Path(cell.clip), cell.setting, Path(cell.file))
            yield number, CellOutcome()
        yield 0, CellWorker().describe_loss("the machine is gone")

    monkeypatch.setattr(run, "CLIP_EXECUTORS", SimpleNamespace(load=lambda name: run_jobs))
    text = run_protocol("001.1", data, out, engine="ray", jobs=3)
    assert "failed: a.mp4, 100, dubfew: the machine is gone" in text
    assert asked == [(4, 3, CellWorker)]
    assert len(runs) == 3
    # The one that was lost is all that is left to do, here in this process.
    again = run_protocol("001.1", data, out)
    assert len(runs) == 4
    assert "failed" not in again


@pytest.mark.slow
def test_a_worker_process_says_why_a_clip_cannot_be_measured(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    gray(data / "a.mkv", 90)
    with pytest.raises(DubfewError, match="face"):
        run_protocol("001.1", data, tmp_path / "out", engine="local", jobs=1)


def test_features_of_all_clips_are_pooled_also_when_a_run_goes_on(runs: list, tmp_path: Path):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for name in FEATURES:
        (data / f"{name}.mp4").touch()
    texts = [run_protocol("003.1", data, out) for _ in range(2)]
    tables = [[line for line in text.splitlines() if line.startswith("|")] for text in texts]
    assert tables[0] == tables[1]
    conditions = len(VARIANTS) * len(PROTOCOLS["003.1"].known_frames)
    assert len(runs) == 2 * conditions
    both = [np.concatenate([rows[side] for rows in FEATURES.values()]) for side in (0, 1)]
    expected = frechet_distance(*map(feature_statistics, both))
    (row,) = (
        line for line in texts[0].splitlines() if line.startswith("| dubfew | own clips, 100 known")
    )
    assert float(row.split("|")[6]) == pytest.approx(expected, rel=1e-3)
    # It is not the mean of the clips, 1.
    assert expected > 2
    # Values whose features are lost are measured again.
    next((out / "003.1").glob("p-*.npz")).unlink()
    run_protocol("003.1", data, out)
    assert len(runs) == 2 * conditions + 1
    assert (out / "003.1.svg").read_text().startswith("<?xml")


def test_clips_are_drawn_by_the_seed(runs: list, tmp_path: Path):
    for name in "abcdefgh":
        (tmp_path / f"{name}.mp4").touch()
    chosen = []
    for seed in (0, 0, 1):
        runs.clear()
        run_protocol("003.5", tmp_path, tmp_path / f"out{len(chosen)}", subjects=3, seed=seed)
        chosen.append({setting["clip"] for setting in runs})
    assert chosen[0] == chosen[1] != chosen[2]
    assert len(chosen[0]) == 3


def test_an_unknown_protocol(tmp_path: Path):
    with pytest.raises(DubfewError, match=r"'005.1': there are 003.1"):
        run_protocol("005.1", tmp_path, tmp_path)


def test_systems_are_compared_on_what_all_of_them_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for folder, clips in (("originals", "abc"), ("one", "abc"), ("two", "ab")):
        (tmp_path / folder).mkdir()
        for clip in clips:
            (tmp_path / folder / f"{clip}.mp4").touch()

    def measure(reference: Path, output: Path, **options: Any) -> EvaluationResult:
        assert reference.stem == output.stem
        level = {"one": 30.0, "two": 20.0}[output.parent.name] + "abc".index(output.stem)
        return EvaluationResult(
            *[9, level, 0.9, level, 0.9, 1.0, 1.0, 0.8, 0.0, 0.9, 1.0, 0], more={"seam": None}
        )

    real = folders.evaluate_folder
    monkeypatch.setattr(run, "evaluate_folder", lambda *a, **k: real(*a, measure=measure, **k))
    systems = {name: tmp_path / name for name in ("one", "two")}
    text = compare_systems(tmp_path / "originals", systems, tmp_path / "out")
    # Clip c is left out: its 32 dB would raise the mean of the one system alone.
    assert "| psnr | 30.5 (30 to 31) | 20.5 (20 to 21) |" in text
    assert "| seam" not in text
    assert "Means over 2 clips" in text
    rows = list(csv.DictReader((tmp_path / "out" / "peers.csv").open()))
    assert [(r["system"], r["clip"]) for r in rows] == [
        ("one", "a"), ("one", "b"), ("two", "a"), ("two", "b"),
    ]  # fmt: skip


def test_outputs_without_an_original_are_named(tmp_path: Path):
    for folder, clip in (("originals", "a"), ("outputs", "x")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{clip}.mp4").touch()
    with pytest.raises(DubfewError, match=r"no original for x\.mp4"):
        folders.pair_files(tmp_path / "originals", tmp_path / "outputs")
    with pytest.raises(DubfewError, match="has no videos"):
        folders.pair_files(tmp_path / "originals", tmp_path)
