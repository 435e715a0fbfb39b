"""Summary of a batch: one page, the jobs to look at first on top."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dubfew.batch.state import DONE, BatchState, RowRecord
from dubfew.utils.html import html_section, write_html_page

if TYPE_CHECKING:
    from dubfew.batch.run import RowPlan


def rank_row(record: RowRecord | None) -> tuple[float, ...]:
    """Rank a job: the smaller, the sooner it needs eyes.

    Failures come first, then outputs of which few frames were painted, then those with most notes.

    Args:
        record: what became of the job, or None.
    """
    if record is None or record.state != DONE:
        return (0.0, 0.0, 0.0)
    return (1.0, painted_share(record.result), -float(len(list_notes(record.result))))


def painted_share(result: Mapping[str, Any]) -> float:
    """Return the share of an output's frames in which a mouth was painted, 0 to 1."""
    return float(result.get("edited_frames") or 0) / max(float(result.get("frames") or 0), 1.0)


def list_notes(result: Mapping[str, Any]) -> list[str]:
    """List what a render said of its output."""
    return [note for note in str(result.get("note") or "").split("; ") if note]


def write_summary(
    path: Path,
    plans: Sequence[RowPlan],
    records: Mapping[str, RowRecord | None],
    state: BatchState,
) -> None:
    """Write the page.

    Args:
        path: page to write.
        plans: all jobs.
        records: what became of each, by its id.
        state: names of the logs.

    Raises:
        OSError: The page cannot be written.
    """
    ordered = sorted(plans, key=lambda plan: rank_row(records[plan.row.id]))
    rows = "".join(_make_line(path.parent, plan, records[plan.row.id], state) for plan in ordered)
    head = "".join(f"<th>{name}</th>" for name in ("Job", "State", "Painted", "Time", "Notes"))
    done = sum(1 for each in records.values() if each is not None and each.state == DONE)
    table = f"<table class=jobs><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    style = "<style>table.jobs{max-width:none}table.jobs td{text-align:left;padding-right:1rem;"
    style += "vertical-align:top}</style>"
    write_html_page(
        path,
        f"Batch: {done} of {len(plans)} done",
        [style + html_section("Jobs, those to look at first on top", table)],
    )


def _make_line(folder: Path, plan: RowPlan, record: RowRecord | None, state: BatchState) -> str:
    """One line of the table."""
    row, name = plan.row, html.escape(plan.row.id)
    links = []
    if (folder / row.out).exists():
        links.append(_link(row.out.as_posix(), "output"))
    if (folder / "reports" / f"{row.id}.html").exists():
        links.append(_link(f"reports/{row.id}.html", "report"))
    log = state.log_path(row)
    if log.exists():
        # Relative links still work when the folder is moved or sent to somebody.
        links.append(_link(Path(os.path.relpath(log, folder)).as_posix(), "log"))
    painted, took = "", ""
    notes = [record.error] if record is not None and record.error else []
    # The record of a failure has no result to describe.
    if record is not None and record.state == DONE:
        painted = f"{painted_share(record.result):.0%}"
        took = f"{record.seconds:.0f} s"
        notes += list_notes(record.result)
    state_word = "not done" if record is None else record.state
    cells = [
        f"{name}<br>{' '.join(links)}",
        state_word + (" (changed since)" if plan.reason == "changed" and not plan.is_due else ""),
        painted,
        took,
        "<br>".join(map(html.escape, notes)),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _link(target: str, text: str) -> str:
    return f'<a href="{html.escape(quote(target))}">{text}</a>'
