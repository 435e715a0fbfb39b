"""Folders of files on disk: bytes in, bytes out, whole or not at all.

Layout under the home folder::

    registry.sqlite            the index (index.py)
    registry.lock              held by the one process that writes
    staging/<random>/          a revision being written; leftovers are swept
    deletions/<actor folder>   an empty note: this actor's deletion has begun
    actors/<actor folder>/<revision>/<files>

An actor's folder has a random name, so that nothing outside the index says who it is.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dubfew.errors import RegistryError

# Writing tens of megabytes takes a second; a minute means that something hangs.
LOCK_SECONDS = 60.0


class Storage:
    """The files of all actors. Which of them count is for the index to say."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._actors = home / "actors"
        self._staging = home / "staging"
        self._deletions = home / "deletions"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other writer out; the operating system frees it when a process dies.

        Raises:
            RegistryError: another process kept it for a minute.
        """
        # What lies here identifies people, so other users of the machine are kept out.
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with FileLock(self.home / "registry.lock", timeout=LOCK_SECONDS):
                yield
        except Timeout:
            raise RegistryError(
                f"another dubfew process has been writing to {self.home} for "
                f"{LOCK_SECONDS:.0f} s: wait for it or end it, then run this again"
            ) from None

    def write(self, actor_folder: str, number: int, files: Mapping[str, bytes]) -> None:
        """Store a revision's files; they appear together. Call with the lock held."""
        staged = self._staging / secrets.token_hex(16)
        target = self._revision(actor_folder, number)
        staged.mkdir(parents=True)
        try:
            for name, content in files.items():
                with open(staged / name, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            _sync_folder(staged)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged, target)
        except OSError as error:
            _remove(staged)
            # A full disk's error names no file.
            raise OSError(error.errno, error.strerror, str(self.home)) from error
        except BaseException:
            _remove(staged)
            raise
        _sync_folder(target.parent)
        _sync_folder(self._actors)

    def read(self, actor_folder: str, number: int, name: str) -> bytes:
        """A stored file's content. Raises OSError when it is not there."""
        return (self._revision(actor_folder, number) / name).read_bytes()

    def sweep(self, known: Mapping[str, set[int]]) -> None:
        """Remove what killed processes left. Call with the lock held.

        Args:
            known: the revision numbers that the index has, per actor folder.
        """
        _remove(self._staging)
        for actor_folder in _entries(self._actors):
            numbers = {str(number) for number in known.get(actor_folder.name, ())}
            if not numbers:
                _remove(actor_folder)
                continue
            for revision in _entries(actor_folder):
                if revision.name not in numbers:
                    _remove(revision)

    def begin_deletion(self, actor_folder: str) -> None:
        """Note that an actor's deletion has begun, so that a crash cannot leave it half done."""
        self._deletions.mkdir(parents=True, exist_ok=True)
        (self._deletions / actor_folder).touch()
        _sync_folder(self._deletions)
        _sync_folder(self.home)

    def begun_deletions(self) -> list[str]:
        """Actor folders whose deletion has begun and is not finished."""
        return [note.name for note in _entries(self._deletions)]

    def remove(self, actor_folder: str) -> None:
        """Remove an actor's files."""
        _remove(self._actors / actor_folder)

    def end_deletion(self, actor_folder: str) -> None:
        """Forget the note: nothing is left to delete."""
        (self._deletions / actor_folder).unlink(missing_ok=True)
        _sync_folder(self._deletions)

    def _revision(self, actor_folder: str, number: int) -> Path:
        return self._actors / actor_folder / str(number)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` survive a power cut."""
    if os.name == "nt":  # Windows opens no folders and journals names itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
