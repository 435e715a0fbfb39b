"""docs/benchmarks.md is what its text and the stored results make; runs that are done count."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from benchmarks import __main__ as runner
from benchmarks import results_page
from benchmarks.common import ROOT
from benchmarks.results_page import (
    PAGE,
    PLACEHOLDER,
    RESULTS_FOLDER,
    TEMPLATE,
    BenchmarkResult,
    ResultTable,
    parse_tables,
    read_result,
    render_page,
    write_result,
)

# A benchmark that writes one table, and notes each run.
SCRIPT = """
import pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
with open(out.parent / "runs", "a") as file:
    file.write("x")
(out / "toy.md").write_text("# Toy\\n\\n## Speed\\n\\n| a | |\\n|---|---|\\n| 1 | |\\n")
sys.exit(1)
"""


def test_the_page_is_up_to_date() -> None:
    """Else: python -m benchmarks --page-only."""
    assert PAGE.read_text("utf-8") == render_page(TEMPLATE.read_text("utf-8"))


def test_every_table_of_the_page_is_a_result_with_its_command() -> None:
    template = TEMPLATE.read_text("utf-8")
    assert "\n|" not in template
    shown = PLACEHOLDER.findall(template)
    assert sorted(shown) == sorted(path.stem for path in RESULTS_FOLDER.glob("*.json"))
    for name in shown:
        result = read_result(name)
        assert result is not None
        assert re.fullmatch(r"[0-9a-f]{7}\+?", result.version)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", result.day)
        (module,) = re.findall(r"^python -m benchmarks\.(\w+)", result.command)
        assert (ROOT / "benchmarks" / f"{module}.py").is_file()
        for table in result.tables:
            assert {len(row) for row in table.rows} == {len(table.columns)}


def test_a_result_is_stored_and_shown(tmp_path: Path) -> None:
    tables = [ResultTable("Speed", ["", "ms"], [["track", "1 [2]"], ["**all**", ""]])]
    result = BenchmarkResult("python -m benchmarks.toy", "abc1234", "2026-11-29", {}, tables)
    write_result("toy", result, tmp_path)
    assert read_result("toy", tmp_path) == result
    assert '["**all**", ""]' in (tmp_path / "toy.json").read_text()
    text = render_page("before\n\n{{ toy }}\n\nafter\n", tmp_path)
    assert "`python -m benchmarks.toy` (version abc1234, 2026-11-29):\n\n#### Speed\n" in text
    assert parse_tables(text) == tables
    with pytest.raises(FileNotFoundError, match="--only nothing"):
        render_page("{{ nothing }}", tmp_path)


@pytest.mark.parametrize("name", sorted(runner.PLAN))
def test_a_planned_benchmark_can_be_imported(name: str) -> None:
    module = runner.PLAN[name].arguments.split()[0]
    assert callable(importlib.import_module(f"benchmarks.{module}").main)


@pytest.mark.slow
def test_what_is_of_this_version_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (tmp_path / "benchmarks" / "toy.py").write_text(SCRIPT)
    (tmp_path / "benchmarks" / "bad.py").write_text("raise SystemExit(2)")
    template = tmp_path / "template.md"
    template.write_text("{{ toy }}\n")
    for name, value in (
        ("ROOT", tmp_path),
        ("RESULTS_FOLDER", results),
        ("TEMPLATE", template),
        ("PAGE", tmp_path / "page.md"),
        ("PLAN", {name: runner.PlannedBenchmark(f"{name} {{footage}}", name) for name in ("toy",)}),
        ("describe_version", lambda: "abc1234"),
        ("read_result", lambda name, folder: results_page.read_result(name, folder)),
        ("write_result", lambda name, result: results_page.write_result(name, result, results)),
        ("render_page", lambda text: results_page.render_page(text, results)),
    ):
        monkeypatch.setattr(runner, name, value)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert runner.main(["--footage", str(tmp_path)]) == 0
    assert runner.main(["--footage", str(tmp_path)]) == 0
    assert (tmp_path / "runs").read_text() == "x"
    assert runner.main(["--footage", str(tmp_path), "--again"]) == 0
    assert (tmp_path / "runs").read_text() == "xx"
    monkeypatch.setattr(runner, "describe_version", lambda: "def5678")
    day = results_page.read_result("toy", results).day
    assert runner.main(["--footage", str(tmp_path), "--since", day]) == 0
    assert (tmp_path / "runs").read_text() == "xx"
    page = (tmp_path / "page.md").read_text()
    assert "`python -m benchmarks.toy CLIPS` (version abc1234" in page
    assert page.endswith("#### Speed\n\n| a |  |\n|---|---|\n| 1 |  |\n")
    monkeypatch.setattr(runner, "PLAN", {"bad": runner.PlannedBenchmark("bad", "bad")})
    assert runner.main(["--footage", str(tmp_path)]) == 1
