"""Files written beside their place and renamed into it."""

from __future__ import annotations

import glob
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dubfew.errors import DubfewError

try:
    import fcntl
except ImportError:  # Windows: leftovers of killed processes stay
    fcntl = None  # type: ignore[assignment]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block succeeds.

    On any exception the temporary file is removed and ``path`` is as it was. What a killed
    process left of an earlier attempt is removed, too. The suffix is kept, because encoders
    choose a container by it.

    Raises:
        OSError: naming ``path``, never the temporary file.
    """
    path = Path(path)
    temporary: Path | None = None
    # Names may be 255 bytes long, so that a long stem has to be cut.
    prefix = f".{path.stem[:40]}.dubfew-"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_files(path.parent, prefix, path.suffix)
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        temporary = Path(name)
        with _lock_held(handle):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            # mkstemp makes files private to their owner; a plain new file is what users expect.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, path)
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def _lock_held(handle: int) -> Iterator[None]:
    """Keep a temporary file locked; the system frees it when the process dies."""
    if fcntl is None:
        os.close(handle)  # or Windows could not rename it
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks: nothing is swept there either
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _remove_stale_files(folder: Path, prefix: str, suffix: str) -> None:
    """Remove temporary files whose process is gone."""
    if fcntl is None:
        return
    for left in folder.glob(f"{glob.escape(prefix)}????????{glob.escape(suffix)}"):
        with suppress(OSError), open(left, "rb+") as file:  # an OSError: it is in use
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def check_output_path(path: Path, *inputs: Path | None) -> None:
    """Refuse a place that cannot be written to, before the work whose result belongs there.

    Args:
        path: the file to write.
        inputs: files that it must not replace.

    Raises:
        DubfewError: ``path`` is a folder or one of the inputs, or its folder cannot be used.
    """
    if path.is_dir():
        raise DubfewError(f"{path} is a folder: name the file to write")
    for source in inputs:
        if source is not None and source.exists() and path.exists() and path.samefile(source):
            raise DubfewError(f"{path} is what is read: write to another file with --out")
    check_writable_folder(path.parent)


def check_writable_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made or written to.

    Raises:
        DubfewError: it is a file or under one, or the permissions or the disk forbid it.
    """
    folder = folder.absolute()
    found = next(place for place in (folder, *folder.parents) if place.exists())
    if not found.is_dir():
        raise DubfewError(f"{found} is a file, not a folder: choose another place to write to")
    if not os.access(found, os.W_OK | os.X_OK):
        raise DubfewError(
            f"the folder {found} cannot be written to: check its permissions, or choose another"
        )


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``; a reader sees the old file or the whole new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def fsync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` survive a power cut."""
    if os.name == "nt":  # Windows opens no folders and journals names itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_size(path: Path) -> int:
    """Return a file's size in bytes, 0 where there is no file."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0
