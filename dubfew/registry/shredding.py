"""Removal of files after their content is overwritten.

A program cannot reach the copies that a disk keeps elsewhere, as SSDs and file systems with
snapshots do; see docs/privacy.md.
"""

from __future__ import annotations

import os
from pathlib import Path

from dubfew.utils.files import fsync_folder

# Random bytes that are written at a time. Larger blocks take more memory and are hardly faster.
OVERWRITE_BLOCK_BYTES = 1 << 20


def shred_file(path: Path) -> None:
    """Overwrite a file with random bytes and remove it.

    Raises:
        OSError: The file cannot be written or removed.
    """
    with open(path, "rb+", buffering=0) as file:
        _overwrite(file.fileno())
    path.unlink()
    fsync_folder(path.parent)


def replace_and_shred(new: Path, path: Path) -> None:
    """Rename a file to the place of another, and overwrite the content of that one.

    Args:
        new: the file to rename.
        path: its new name. If there is a file, it is overwritten after it has lost its name.

    Raises:
        OSError: The file cannot be renamed, or the old one not be written.
    """
    # Windows does not rename over an open file; there the old content is left on the disk.
    old = os.open(path, os.O_WRONLY) if os.name != "nt" and path.exists() else None
    try:
        os.replace(new, path)
        fsync_folder(path.parent)
        if old is not None:
            _overwrite(old)
    finally:
        if old is not None:
            os.close(old)


def _overwrite(handle: int) -> None:
    """Overwrite an open file with random bytes and sync it to disk."""
    left = os.fstat(handle).st_size
    os.lseek(handle, 0, os.SEEK_SET)
    while left > 0:
        left -= os.write(handle, os.urandom(min(left, OVERWRITE_BLOCK_BYTES)))
    os.fsync(handle)
