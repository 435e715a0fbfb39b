"""Tables that people write in spreadsheets: CSV with commas, semicolons or tabs."""

from __future__ import annotations

import csv
import io


def open_csv_table(text: str) -> csv.DictReader[str]:
    """Open the text of a CSV table with a head line.

    Spreadsheets separate cells by the list separator of their user's language, so the separator is
    the one that the head line has most of.

    Args:
        text: content of the file, without a byte order mark.

    Returns:
        A reader of the rows; cells behind the last column have the key None.

    Example:
        >>> list(open_csv_table("id;out\\na, b;c.mp4\\n"))
        [{'id': 'a, b', 'out': 'c.mp4'}]
    """
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    # newline="" leaves line breaks within quoted cells to the reader.
    return csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
