"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format a table in GitHub's Markdown.

    Args:
        headers: headings of the columns.
        rows: values of each row, which `cell` formats.
    """
    lines = ["| " + " | ".join(headers) + " |", "|---" * len(headers) + "|"]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: object) -> str:
    """Format one value of a table: None as a dash, floats with three to five digits."""
    if value is None:
        return "-"
    if isinstance(value, float):
        decimals = 3 if abs(value) < 2 else 2 if abs(value) < 100 else 1
        return f"{value:.{decimals}f}"
    return str(value)
