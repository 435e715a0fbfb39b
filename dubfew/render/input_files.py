"""Files that the options of a render name as inputs."""

from __future__ import annotations

from pathlib import Path

from dubfew.render.options import RenderOptions
from dubfew.utils.files import check_input_file

# Options that name a file to read.
_INPUT_OPTIONS = ("video", "proxy", "audio", "driver", "into", "motion")


def list_input_files(options: RenderOptions) -> dict[str, Path]:
    """List the files that a user named as inputs, by option."""
    return {
        name: Path(value)
        for name in _INPUT_OPTIONS
        if isinstance(value := getattr(options, name), str | Path)
    }


def check_input_files(options: RenderOptions) -> None:
    """Check that the inputs of a render exist, before anything large is imported.

    Args:
        options: options of a render.

    Raises:
        MediaError: A file does not exist or is empty.
    """
    for path in list_input_files(options).values():
        check_input_file(path)
