"""Overwriting what is removed. What a disk keeps of it elsewhere, as SSDs and file systems with
snapshots do, is beyond a program's reach; see docs/privacy.md."""

from __future__ import annotations

import os
from pathlib import Path

from dubfew.utils.files import fsync_folder

OVERWRITE_BLOCK_BYTES = 1 << 20


def shred_file(path: Path) -> None:
    """Overwrite a file with random bytes and remove it. Raises OSError."""
    with open(path, "rb+", buffering=0) as file:
        _overwrite(file.fileno())
    path.unlink()
    fsync_folder(path.parent)


def replace_and_shred(new: Path, path: Path) -> None:
    """Rename ``new`` to ``path``; overwrite what lay there before. Raises OSError."""
    # Windows renames over no open file; there the old blocks are left to the disk.
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
    left = os.fstat(handle).st_size
    os.lseek(handle, 0, os.SEEK_SET)
    while left > 0:
        left -= os.write(handle, os.urandom(min(left, OVERWRITE_BLOCK_BYTES)))
    os.fsync(handle)
