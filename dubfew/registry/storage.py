"""Encrypted files on disk, stored and removed as whole revisions.

Layout under the home folder::

    registry.sqlite            the index (index.py)
    registry.lock              held by the one process that writes
    swept                      exists unless a process is writing, or was killed while it wrote
    staging/<actor folder>.<revision>/   a revision that is being written
    deletions/<actor folder>   note of a deletion that has begun; it holds the receipt to be
    receipts/<time>-<folder>.json        receipts of deletions (receipt.py)
    actors/<actor folder>/<revision>/<files>

An actor's folder has a random name, so that only the index connects it with the id. Every file is
encrypted (cipher.py) with the actor's key; folder, revision and name are the associated data.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from dubfew.errors import RegistryError
from dubfew.registry import cipher
from dubfew.registry.locations import DELETIONS_FOLDER_NAME
from dubfew.utils.files import fsync_folder

# Waiting time for another writer, seconds. Writing tens of megabytes takes a second, so after a
# minute something hangs.
LOCK_SECONDS = 60.0


class ActorStorage:
    """The files of all actors. A revision exists if the index has it.

    Args:
        home: the home folder, which need not exist yet.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.receipts_folder = home / "receipts"
        self._actors_folder = home / "actors"
        self._staging_folder = home / "staging"
        self._deletions_folder = home / DELETIONS_FOLDER_NAME
        self._swept_flag = home / "swept"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other writer out; the operating system frees the lock when a process dies.

        Raises:
            RegistryError: Another process held the lock for `LOCK_SECONDS`.
        """
        # The folder holds personal data, so other users of the machine are kept out.
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with FileLock(self.home / "registry.lock", timeout=LOCK_SECONDS):
                yield
        except Timeout:
            raise RegistryError(
                f"another dubfew process has been writing to {self.home} for "
                f"{LOCK_SECONDS:.0f} s: wait for it or end it, then run this again"
            ) from None

    def is_swept(self) -> bool:
        """Tell whether there are no leftovers, because the last writer ended properly."""
        return self._swept_flag.exists()

    @contextmanager
    def track_unfinished_write(self) -> Iterator[None]:
        """Mark a block of changes as unfinished until it ends without an exception.

        Call with the lock held. Without this mark every writer would have to search all folders
        for leftovers, which with ten thousand actors takes longer than everything else.
        """
        # Removed before the changes begin, created again when they are done.
        if self.is_swept():
            self._swept_flag.unlink()
            fsync_folder(self.home)
        yield
        with suppress(OSError):  # a full disk: the changes are made, and the next writer sweeps
            self._swept_flag.touch()

    @contextmanager
    def stage_revision(self, actor_folder: str, number: int) -> Iterator[Path]:
        """Yield a new folder that becomes the revision's when the block succeeds.

        After an exception the folder is removed. Call with the lock held. The folder is on disk
        before the block begins: after a crash its name tells whose key may belong to no actor.

        Args:
            actor_folder: name of the actor's folder.
            number: number of the revision.

        Raises:
            OSError: A file cannot be written.
        """
        staged = self._staging_folder / f"{actor_folder}.{number}"
        target = self.revision_folder(actor_folder, number)
        staged.mkdir(parents=True)
        try:
            fsync_folder(self._staging_folder)
            fsync_folder(self.home)
            yield staged
            # The files' names must be on disk before the folder takes its place.
            fsync_folder(staged)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged, target)
        except OSError as error:
            remove_folder(staged)
            if error.errno is None:
                raise
            # The error of a full disk does not name a file.
            raise OSError(error.errno, error.strerror, str(self.home)) from error
        except BaseException:
            remove_folder(staged)
            raise
        fsync_folder(target.parent)
        fsync_folder(self._actors_folder)
        fsync_folder(self.home)

    def read_file(self, actor_folder: str, number: int, name: str, key: bytes) -> bytes:
        """Decrypt a stored file.

        Args:
            actor_folder: name of the actor's folder.
            number: number of the revision.
            name: name of the file.
            key: the actor's key [32].

        Raises:
            OSError: The file does not exist or cannot be read.
            DecryptionError: The file is damaged, or the key is another.
        """
        with open(self.revision_folder(actor_folder, number) / name, "rb") as file:
            return b"".join(
                cipher.unseal_stream(key, file_context(actor_folder, number, name), file)
            )

    def sweep(
        self, known_revisions: Mapping[str, set[int]], forget_key: Callable[[str], None]
    ) -> list[str]:
        """Remove the leftovers of killed processes. Call with the lock held.

        Args:
            known_revisions: revision numbers in the index by the name of the actor's folder.
            forget_key: function that destroys a key; called for every leftover folder of an actor
                that the index does not have.

        Returns:
            The removed files and folders: paths below the home folder.
        """
        left = []
        # Revisions that were being written.
        for staged in _list_folder(self._staging_folder):
            folder = staged.name.partition(".")[0]
            if folder not in known_revisions:
                forget_key(folder)
            left.append(staged)
        # Folders without a row: of actors, and of revisions of a known actor. os.listdir, because
        # with ten thousand actors Path objects take most of the time.
        for name in sorted(os.listdir(self._actors_folder)) if self._actors_folder.is_dir() else ():
            folder = os.path.join(self._actors_folder, name)
            if name not in known_revisions:
                forget_key(name)
                left.append(Path(folder))
                continue
            # Whatever is not a known revision is a leftover, files included.
            numbers = {str(number) for number in known_revisions[name]}
            try:
                extra = sorted(set(os.listdir(folder)) - numbers)
            except NotADirectoryError:
                extra = []
            left += [Path(folder, each) for each in extra]
        # Keys first, above: a crash in between leaves files that nobody can decrypt.
        for each in left:
            remove_folder(each)
            fsync_folder(each.parent)
        return [each.relative_to(self.home).as_posix() for each in left]

    def actor_folders(self) -> set[str]:
        """Return the names of all actors' folders on disk."""
        return {entry.name for entry in _list_folder(self._actors_folder)}

    def list_actor_folder(self, actor_folder: str) -> set[str]:
        """Return the names in an actor's folder: the numbers of revisions."""
        return {entry.name for entry in _list_folder(self._actors_folder / actor_folder)}

    def revision_folder(self, actor_folder: str, number: int) -> Path:
        """Return the folder of a revision's files.

        Args:
            actor_folder: name of the actor's folder.
            number: number of the revision.
        """
        return self._actors_folder / actor_folder / str(number)

    def begin_deletion(self, actor_folder: str, note: bytes) -> None:
        """Write the note that the deletion of an actor has begun; it is on disk on return.

        Args:
            actor_folder: name of the actor's folder.
            note: the receipt to be, from which an interrupted deletion is finished.
        """
        # Write the note beside its place and rename it: a half-written note must not count.
        self._staging_folder.mkdir(exist_ok=True)
        staged = self._staging_folder / f"{actor_folder}.deletion"
        staged.unlink(missing_ok=True)
        with open(staged, "xb") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        self._deletions_folder.mkdir(exist_ok=True)
        os.replace(staged, self._deletions_folder / actor_folder)
        fsync_folder(self._deletions_folder)
        fsync_folder(self.home)

    def pending_deletions(self) -> dict[str, bytes]:
        """Return the notes of unfinished deletions by the name of the actor's folder."""
        return {note.name: note.read_bytes() for note in _list_folder(self._deletions_folder)}

    def is_deletion_pending(self, actor_folder: str) -> bool:
        """Tell whether the deletion of an actor has begun and is not finished."""
        return (self._deletions_folder / actor_folder).exists()

    def remove_actor(self, actor_folder: str) -> None:
        """Remove all files of an actor."""
        remove_folder(self._actors_folder / actor_folder)
        if self._actors_folder.is_dir():
            fsync_folder(self._actors_folder)

    def remove_revision(self, actor_folder: str, number: int) -> None:
        """Remove the files of one revision.

        Args:
            actor_folder: name of the actor's folder.
            number: number of the revision.
        """
        folder = self.revision_folder(actor_folder, number)
        remove_folder(folder)
        if folder.parent.is_dir():
            fsync_folder(folder.parent)

    def end_deletion(self, actor_folder: str) -> None:
        """Remove the note of a deletion that is finished."""
        (self._deletions_folder / actor_folder).unlink(missing_ok=True)
        fsync_folder(self._deletions_folder)


def file_context(actor_folder: str, number: int, name: str) -> bytes:
    """Return the associated data of a stored file: its place in the registry.

    Args:
        actor_folder: name of the actor's folder.
        number: number of the revision.
        name: name of the file.

    Example:
        >>> file_context("c17f", 1, "texture")
        b'c17f\\x001\\x00texture'
    """
    return f"{actor_folder}\0{number}\0{name}".encode()


class HashingWriter:
    """A file to write that hashes everything on the way.

    Args:
        file: the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Append ``data`` to the file."""
        self._digest.update(data)
        self._file.write(data)

    @property
    def sha256(self) -> str:
        """SHA-256 of everything written, hexadecimal."""
        return self._digest.hexdigest()


def write_sealed_file(path: Path, content: bytes, key: bytes, context: bytes) -> str:
    """Encrypt content into a new file.

    Args:
        path: the file, which must not exist.
        content: the bytes to encrypt.
        key: the actor's key [32].
        context: associated data, see :func:`file_context`.

    Returns:
        SHA-256 of the encrypted file, hexadecimal.

    Raises:
        OSError: The file exists or cannot be written.
    """
    with open(path, "xb") as file:
        # The hash is taken while writing, so that the file is not read again.
        hashing = HashingWriter(file)
        cipher.seal_stream(key, context, io.BytesIO(content), hashing)
        file.flush()
        os.fsync(file.fileno())
    return hashing.sha256


def _list_folder(folder: Path) -> list[Path]:
    """Return the sorted content of a folder, empty where it does not exist."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def remove_folder(folder: Path) -> None:
    """Remove a folder with its content, or a file or link; do nothing where nothing exists."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
