"""Writing of matplotlib's figures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from dubfew.utils.files import write_atomic


def write_figure(path: Path, figure: Any) -> None:
    """Write a figure to a file, atomically.

    Args:
        path: file to write; its ending chooses the format, such as .png or .svg.
        figure: matplotlib's ``Figure``.

    Raises:
        OSError: The file cannot be written.
        ValueError: matplotlib does not know the format.
    """
    # Drawn in memory first, so that the file appears complete or not at all.
    file = io.BytesIO()
    figure.savefig(file, format=path.suffix[1:].lower())
    write_atomic(path, file.getvalue())
