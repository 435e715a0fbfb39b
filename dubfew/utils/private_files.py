"""Files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

# Permissions of a private file: read and write for the owner, nothing for anybody else.
PRIVATE_FILE_MODE = 0o600


def write_private_file(
    path: Path,
    data: bytes,
    *,
    temporary: Path | None = None,
    replace: Callable[[Path, Path], object] = os.replace,
) -> None:
    """Write a file that only its owner may read; a reader sees the old file or the whole new one.

    The folder must exist. When the function returns, the content is on disk.

    Args:
        path: the file.
        data: its content.
        temporary: file in the same folder to write first. One that a killed process left is
            removed, so all writers of ``path`` must take turns. By default a new name, so that
            several processes may write at once.
        replace: function that moves the temporary file to ``path``. By default `os.replace`; a
            caller whose old content must not stay on the disk gives one that overwrites it.

    Raises:
        OSError: The file cannot be written; ``path`` is as it was.
    """
    if temporary is None:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    else:
        temporary.unlink(missing_ok=True)
    # O_BINARY: without it Windows would write every byte 10 of a key as 13, 10.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, PRIVATE_FILE_MODE)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
