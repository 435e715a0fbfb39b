"""Results of benchmarks as data, and the page that is made of them.

A result is one JSON file in ``benchmarks/results``: the command, the version of dubfew, the day,
the machine, and the tables. ``benchmarks/page_template.md`` is the text of docs/benchmarks.md;
``{{ NAME }}`` in it stands for the tables of one result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT
from dubfew.utils.files import write_atomic
from dubfew.utils.markdown import markdown_table

RESULTS_FOLDER = ROOT / "benchmarks" / "results"
TEMPLATE = ROOT / "benchmarks" / "page_template.md"
PAGE = ROOT / "docs" / "benchmarks.md"
# Place of a result's tables in the template.
PLACEHOLDER = re.compile(r"^\{\{ (\w+) \}\}$", re.M)
NOTICE = (
    "<!-- Written by `python -m benchmarks` from benchmarks/page_template.md and "
    "benchmarks/results. Do not edit. -->\n\n"
)


@dataclass(frozen=True)
class ResultTable:
    """One table.

    Attributes:
        title: heading above it; "" for none.
        columns: names of the columns.
        rows: cells, as text.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class BenchmarkResult:
    """What one command measured.

    Attributes:
        command: the command, as it is typed.
        version: commit of dubfew.
        day: day of the run, as in 2026-11-29; of a table that is older than this file's form, day
            of the commit that brought it.
        machine: facts about the machine; empty where they stand in the text.
        tables: the tables.
    """

    command: str
    version: str
    day: str
    machine: Mapping[str, str] = field(default_factory=dict)
    tables: list[ResultTable] = field(default_factory=list)

    def to_markdown(self) -> str:
        """Format command, version and tables."""
        facts = [f"version {self.version}", self.day]
        facts += [f"{name} {value}" for name, value in self.machine.items()]
        parts = [f"`{self.command}` ({', '.join(facts)}):"]
        for table in self.tables:
            if table.title:
                parts.append(f"#### {table.title}")
            parts.append(markdown_table(table.columns, table.rows))
        return "\n\n".join(parts)


def read_result(name: str, folder: Path = RESULTS_FOLDER) -> BenchmarkResult | None:
    """Read a result by its name; None where there is none yet."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    tables = [ResultTable(**table) for table in found.pop("tables")]
    return BenchmarkResult(**found, tables=tables)


def write_result(name: str, result: BenchmarkResult, folder: Path = RESULTS_FOLDER) -> None:
    """Write a result, one row a line, so that changes can be read."""
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False)
    # Cells of one row on one line.
    text = re.sub(r"\[\n\s+(\"[^\[\]{}]*?)\n\s+\]", _join_lines, text)
    write_atomic(folder / f"{name}.json", (text + "\n").encode())


def parse_tables(text: str) -> list[ResultTable]:
    """Read the tables of a text in Markdown, each with the nearest heading above it.

    Example:
        >>> parse_tables("## Speed\\n\\n| stage | ms |\\n|---|---|\\n| track | 12 |\\n")
        [ResultTable(title='Speed', columns=['stage', 'ms'], rows=[['track', '12']])]
    """
    tables: list[ResultTable] = []
    title = ""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if found := re.match(r"#+ (.*)", line):
            title = found[1]
        if line.startswith("|") and not (number and lines[number - 1].startswith("|")):
            block = [*_take_rows(lines[number:])]
            # The second row only separates the names from the cells.
            tables.append(ResultTable(title, block[0], block[2:]))
            title = ""
    return tables


def render_page(template: str, folder: Path = RESULTS_FOLDER) -> str:
    """Put the tables of all results into the text.

    Args:
        template: text with ``{{ NAME }}`` where the tables of a result belong.
        folder: folder of the results.

    Raises:
        FileNotFoundError: There is no result of that name.
    """

    def insert(found: re.Match[str]) -> str:
        result = read_result(found[1], folder)
        if result is None:
            raise FileNotFoundError(
                f"{folder / found[1]}.json is missing: python -m benchmarks --only {found[1]}"
            )
        return result.to_markdown()

    return NOTICE + PLACEHOLDER.sub(insert, template)


def _take_rows(lines: list[str]) -> Iterator[list[str]]:
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def _join_lines(found: re.Match[str]) -> str:
    return "[" + re.sub(r"\n\s+", " ", found[1]) + "]"
