"""Cells are measured once, and the benchmarks on them run from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from benchmarks import ablations, adapt_cost, adapt_curve, footage_length, methods, steps
from benchmarks.cells import (
    NO_PRIOR_VARIANT,
    PRODUCT_VARIANT,
    Cell,
    CellBenchmark,
    is_measured_step,
    list_patches,
)
from dubfew.adapt import trainer
from dubfew.adapt.methods import METHODS
from dubfew.progress import no_progress
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.adapt.toys import toy_prior
from tests.benchmarks.conftest import Toys
from tests.data.people import toy_footage

pytestmark = pytest.mark.slow


@pytest.fixture
def bench(toys: Toys, tmp_path: Path) -> CellBenchmark:
    return CellBenchmark(tmp_path, [toys.clip], prior=toys.prior, prepared=toys.prepared, tests=3)


@pytest.mark.parametrize(
    "benchmark", [ablations, adapt_cost, adapt_curve, footage_length, methods, steps]
)
def test_they_start(benchmark, capsys):
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(["--help"])
    assert stopped.value.code == 0
    assert "--quick" in capsys.readouterr().out


def test_a_cell_is_measured_once(bench: CellBenchmark, toys: Toys, tmp_path: Path):
    cell = Cell(toys.clip, 20, 6)
    (first,) = bench.measure([cell])
    assert first is not None
    judged = [point["step"] for point in first["curve"] if "psnr" in point]
    assert judged == [0, 5, 6]
    assert first["curve"][0]["heldout"] > 0
    assert first["curve"][0]["seconds"] == 0
    assert first["zero"]["psnr"] != first["warp"]["psnr"]
    assert first["bytes"]["texture"] > 0
    original, own = bench.sheet_rows(cell, "own")
    assert own.faces[0].shape == original.faces[0].shape == (64, 64, 3)
    # Another process, which finds what this one left.
    again = CellBenchmark(tmp_path, [toys.clip], prior=toys.prior, prepared=toys.prepared, tests=3)
    with patch.object(CellBenchmark, "_run", side_effect=AssertionError):
        assert again.measure([cell]) == [first]


def test_what_decides_a_cell_names_it(bench: CellBenchmark, toys: Toys):
    cell = Cell(toys.clip, 20, 6)
    others = [
        replace(cell, known=21),
        replace(cell, steps=7),
        replace(cell, variant=NO_PRIOR_VARIANT),
        replace(cell, method="full"),
        replace(cell, options={"rank": 4}),
        replace(cell, stops=False),
        replace(cell, tail=True),
    ]
    keys = [bench.key(each) for each in (cell, *others)]
    assert len(set(keys)) == len(keys)
    assert bench.key(replace(cell, options={"rank": 16})) == keys[0]


def test_a_failed_cell_is_reported(bench: CellBenchmark, toys: Toys):
    assert bench.measure([Cell(toys.clip, 59, 1)]) == [None]
    assert "too few" in next(iter(bench.failed.values()))


def test_watching_does_not_change_what_is_learned(bench: CellBenchmark, toys: Toys):
    def run(watch):
        method = METHODS.load("full")
        return trainer.train_adapter(
            toy_prior(),
            toy_footage(20),
            load_head_model(),
            method,
            method.default_options,
            steps=3,
            device="cpu",
            seed=0,
            progress=no_progress,
            on_step=watch,
        )

    seen: list[int] = []
    watched, alone = run(lambda step, renderer, texture: seen.append(step)), run(None)
    assert seen == [0, 1, 2, 3]
    # Sums of floats may be added in another order; another step would differ by far more.
    np.testing.assert_allclose(watched.texture.numpy(), alone.texture.numpy(), rtol=0, atol=1e-7)


def test_without_stopping_learning_goes_on(toys: Toys):
    assert (
        list_patches(Cell(toys.clip, 20, 1000, stops=False))[
            "dubfew.adapt.trainer.PATIENCE_VALIDATIONS"
        ]
        > 1000 / trainer.VALIDATE_EVERY_STEPS
    )  # type: ignore[operator]
    assert [step for step in (0, 4, 5, 25, 30, 275, 325, 350) if is_measured_step(step)] == [
        0,
        5,
        25,
        275,
        350,
    ]


@pytest.mark.parametrize("name", ablations.ABLATION_VARIANTS)
def test_every_ablation_patches_something_that_is_there(name: str, toys: Toys):
    for target, value in list_patches(
        Cell(toys.clip, 20, 0, ablations.ABLATION_VARIANTS[name])
    ).items():
        with patch(target, value):
            pass


def test_ablations_run(toys: Toys, tmp_path: Path, capsys):
    names = "prior,random,mesh,alignment,light"
    assert ablations.main([*toys.options(tmp_path), "--steps", "1", "--only", names]) == 0
    data = json.loads((tmp_path / "ablations.json").read_text())
    found = {name: results[0] for name, results in data["results"].items()}
    assert list(found) == [
        "product",
        *(n for n in ablations.ABLATION_VARIANTS if n in names.split(",")),
    ]
    product = found.pop("product")
    assert found["prior"]["zero"]["psnr"] == pytest.approx(product["warp"]["psnr"], abs=0.02)
    for name, result in found.items():
        if name != "prior":
            assert result["warp"]["psnr"] != product["warp"]["psnr"], name
        assert result["zero"]["psnr"] != product["zero"]["psnr"], name
    assert found["random"]["warp"]["psnr"] < product["warp"]["psnr"]
    assert "| no light matching |" in capsys.readouterr().out
    assert (tmp_path / "sheets" / "ablations-toy.png").exists()


def test_unknown_ablations_are_refused(toys: Toys, tmp_path: Path):
    with pytest.raises(SystemExit):
        ablations.main([*toys.options(tmp_path), "--only", "nonsense"])


def test_the_others_run_and_share_their_cells(toys: Toys, tmp_path: Path, capsys):
    assert steps.main([*toys.options(tmp_path), "--steps", "2", "--baseline-steps", "2"]) == 0
    with patch.object(CellBenchmark, "_run", side_effect=AssertionError):
        assert adapt_curve.main([*toys.options(tmp_path), "--steps", "2"]) == 0
    two = {name: methods.METHOD_RUNS[name] for name in ("texture", "LoRA, rank 4")}
    with patch.object(methods, "METHOD_RUNS", two):
        assert methods.main([*toys.options(tmp_path), "--steps", "1"]) == 0
    with patch.object(footage_length, "QUICK_LENGTHS", (25,)):
        assert footage_length.main([*toys.options(tmp_path), "--steps", "1"]) == 0
    text = capsys.readouterr().out
    assert "no prior, no references" in text
    assert "| LoRA, rank 4 |" in text
    assert "Up to 25 frames: mean of 1 clips (toy.mp4)" in text
    for name in ("steps", "adapt_curve", "methods", "footage_length"):
        assert json.loads((tmp_path / f"{name}.json").read_text())["machine_before"]


def test_without_references_nothing_of_them_is_seen(bench: CellBenchmark, toys: Toys):
    plain = Cell(toys.clip, 20, 0, NO_PRIOR_VARIANT)
    alone = replace(plain, variant=steps.NO_REFERENCES_VARIANT)
    known, blind = bench.measure([plain, alone])
    assert known is not None
    assert blind is not None
    assert blind["zero"]["psnr"] < known["zero"]["psnr"] - 1


def points(*psnr: float, every: int = 25) -> list[dict]:
    return [
        {
            "step": every * k,
            "seconds": 6.0 * k,
            "heldout": value,
            "psnr": value + 1,
            "ssim": 0.9,
            "sharpness": 1.0,
        }
        for k, value in enumerate(psnr)
    ]


def test_the_stop_is_that_of_learning():
    assert adapt_curve.find_stop(points(1, 2, 3)) == (50, 50)
    late = points(1, 3, 2, 2, 2, 2, 2, 9)
    assert adapt_curve.find_stop(late) == (25, 75)  # the first look 30 steps after the gain
    row = adapt_curve.format_stop_row("clip", late)
    assert row[2:5] == ["4.00 (25)", "10.00 (175)", "10.00 (175)"]
    assert "-6.00" in row


def test_the_stop_follows_a_real_run(toys: Toys, tmp_path: Path):
    bench = CellBenchmark(tmp_path, [toys.clip], prior=toys.prior, prepared=toys.prepared, tests=2)
    with (
        patch.object(trainer, "VALIDATE_EVERY_STEPS", 1),
        patch.object(trainer, "PATIENCE_VALIDATIONS", 2),
    ):
        went_on, stopped = bench.measure([Cell(toys.clip, 20, 8, stops=s) for s in (False, True)])
    assert went_on is not None
    assert stopped is not None
    assert went_on["last"] == 8
    with patch.multiple(adapt_curve, VALIDATE_EVERY_STEPS=1, PATIENCE_VALIDATIONS=2):
        assert adapt_curve.find_stop(went_on["curve"]) == (stopped["steps"], stopped["last"])


def test_curves_by_the_clock():
    assert [row["step"] for row in adapt_curve.list_ticks(points(1, 2, 3))] == [0, 25, 50]
    means = adapt_curve.mean_tick_rows([points(1, 2, 3), points(5)])
    assert means[0][:2] == [0, 4.0]
    assert means[-1][0] == 20
    assert means[-1][1] == 5.0
    assert means[-1][-1] == 1


def test_marks():
    ours, theirs = points(30, 31), points(20, 28, 30.5)
    table = steps.format_mark_table(
        {"ours": ours, "theirs": theirs}, (31, 31.5, 32, 40), "{} dB".format
    )
    assert "| 31 dB | 0 (0 s) | 50 (12 s) | at start / 50 |" in table
    assert "| 31.5 dB | 25 (6 s) | 50 (12 s) | 2.0 |" in table
    assert "| 32 dB | 25 (6 s) | - | >2.0 |" in table
    assert "40 dB" not in table
    mean = steps.mean_curve([ours, theirs])
    assert [point["psnr"] for point in mean] == [26, 30.5]


def test_lengths():
    assert footage_length.known_frames_for(100, 135) == 100
    assert footage_length.known_frames_for(500, 502) == most(502)
    assert footage_length.known_frames_for(250, 135) is None
    figures = {"psnr": 30.0, "ssim": 0.9, "sharpness": 1.0}
    rows = {"warp": figures, "no prior": figures, "prior": {**figures, "psnr": 31.0}}
    tables = footage_length.format_length_tables({25: {"a": rows, "b": rows}, 50: {"a": rows}})
    assert tables[0] == "## Up to 25 frames: mean of 2 clips (a, b)"
    assert tables[1].count("+1.00") == 1
    assert tables[3].count("+1.00") == 2


def most(frames: int) -> int:
    from benchmarks.windows import max_known_frames

    return max_known_frames(frames)


def test_cost_table():
    runs = [
        {
            "footage": "4 s",
            "part": "all",
            "frames": 100,
            "steps": 50,
            "bytes": 9,
            "peak_mb": 500.0,
            "choose_s": 0.0,
            "total_s": 60.0,
        },
        {
            "footage": "300 s",
            "part": "chosen",
            "frames": 250,
            "steps": 50,
            "bytes": 9,
            "peak_mb": 550.0,
            "choose_s": 30.0,
            "total_s": 90.0,
        },
    ]
    text = adapt_cost.format_document("clip.mp4", runs, "machine")
    assert "| 300 s | chosen | 250 | 50 | 9 | 550.0 | 30.00 | 90.00 |" in text
    assert "1.10" in text


def test_the_product_is_a_variant_that_changes_nothing():
    assert replace(PRODUCT_VARIANT, label="") == replace(ablations.Variant(""), label="")
