"""Folders of encrypted files on disk: bytes in, bytes out, whole or not at all.

Layout under the home folder::

    registry.sqlite            the index (index.py)
    registry.lock              held by the one process that writes
    swept                      there unless a process writes, or was killed while it wrote
    staging/<actor folder>.<revision>/   a revision being written; leftovers are swept
    deletions/<actor folder>   a note, the receipt to be: this actor's deletion has begun
    receipts/<when>-<what>.json          of what was deleted (receipt.py)
    actors/<actor folder>/<revision>/<files>

An actor's folder has a random name, so that nothing outside the index says who it is. Every file
is sealed (cipher.py) with the actor's key, for its place: folder, revision and name.
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

# Writing tens of megabytes takes a second; a minute means that something hangs.
LOCK_SECONDS = 60.0


class ActorStorage:
    """The files of all actors. Which of them count is for the index to say."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.receipts_folder = home / "receipts"
        self._actors_folder = home / "actors"
        self._staging_folder = home / "staging"
        self._deletions_folder = home / DELETIONS_FOLDER_NAME
        self._swept_flag = home / "swept"

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

    def is_swept(self) -> bool:
        """Whether nothing lies about: whoever wrote last finished it."""
        return self._swept_flag.exists()

    @contextmanager
    def track_unfinished_write(self) -> Iterator[None]:
        """What is changed in the block may be left half done, unless the block ends well. Call
        with the lock held.

        Sweeping looks at every folder, which with ten thousand actors takes longer than all else.
        """
        if self.is_swept():
            self._swept_flag.unlink()
            fsync_folder(self.home)
        yield
        with suppress(OSError):  # a full disk: what was to be done is done, the next one sweeps
            self._swept_flag.touch()

    @contextmanager
    def stage_revision(self, actor_folder: str, number: int) -> Iterator[Path]:
        """A folder that becomes the revision's when the block succeeds, and else is gone. Call
        with the lock held.

        It is on disk before the block begins: until the revision is in its place, it says whose
        key may be nobody's.
        """
        staged = self._staging_folder / f"{actor_folder}.{number}"
        target = self.revision_folder(actor_folder, number)
        staged.mkdir(parents=True)
        try:
            fsync_folder(self._staging_folder)
            fsync_folder(self.home)
            yield staged
            fsync_folder(staged)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged, target)
        except OSError as error:
            remove_folder(staged)
            if error.errno is None:
                raise
            # A full disk's error names no file.
            raise OSError(error.errno, error.strerror, str(self.home)) from error
        except BaseException:
            remove_folder(staged)
            raise
        fsync_folder(target.parent)
        fsync_folder(self._actors_folder)
        fsync_folder(self.home)

    def read_file(self, actor_folder: str, number: int, name: str, key: bytes) -> bytes:
        """A stored file's content.

        Raises:
            OSError: it is not there.
            DecryptionError: it is damaged.
        """
        with open(self.revision_folder(actor_folder, number) / name, "rb") as file:
            return b"".join(
                cipher.unseal_stream(key, file_context(actor_folder, number, name), file)
            )

    def sweep(
        self, known_revisions: Mapping[str, set[int]], forget_key: Callable[[str], None]
    ) -> list[str]:
        """Remove what killed processes left. Call with the lock held.

        Args:
            known_revisions: the revision numbers that the index has, per actor folder.
            forget_key: told of every actor folder that the index does not have.

        Returns:
            What was removed: paths below the home folder.
        """
        left = []
        for staged in _list_folder(self._staging_folder):
            folder = staged.name.partition(".")[0]
            if folder not in known_revisions:
                forget_key(folder)
            left.append(staged)
        # Names alone: with ten thousand actors, a path for each takes most of the time.
        for name in sorted(os.listdir(self._actors_folder)) if self._actors_folder.is_dir() else ():
            folder = os.path.join(self._actors_folder, name)
            if name not in known_revisions:
                forget_key(name)
                left.append(Path(folder))
                continue
            numbers = {str(number) for number in known_revisions[name]}
            try:
                extra = sorted(set(os.listdir(folder)) - numbers)
            except NotADirectoryError:
                extra = []
            left += [Path(folder, each) for each in extra]
        for each in left:
            remove_folder(each)
            fsync_folder(each.parent)
        return [each.relative_to(self.home).as_posix() for each in left]

    def actor_folders(self) -> set[str]:
        """Every folder of an actor that there is."""
        return {entry.name for entry in _list_folder(self._actors_folder)}

    def list_actor_folder(self, actor_folder: str) -> set[str]:
        """What lies in the folder of an actor: revisions, by number."""
        return {entry.name for entry in _list_folder(self._actors_folder / actor_folder)}

    def revision_folder(self, actor_folder: str, number: int) -> Path:
        """Where a revision's files are."""
        return self._actors_folder / actor_folder / str(number)

    def begin_deletion(self, actor_folder: str, note: bytes) -> None:
        """Note that an actor's deletion has begun, so that a crash cannot leave it half done."""
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
        """Actor folders whose deletion has begun and is not finished, with the notes."""
        return {note.name: note.read_bytes() for note in _list_folder(self._deletions_folder)}

    def is_deletion_pending(self, actor_folder: str) -> bool:
        """Whether the actor's deletion has begun and is not finished."""
        return (self._deletions_folder / actor_folder).exists()

    def remove_actor(self, actor_folder: str) -> None:
        """Remove an actor's files."""
        remove_folder(self._actors_folder / actor_folder)
        if self._actors_folder.is_dir():
            fsync_folder(self._actors_folder)

    def remove_revision(self, actor_folder: str, number: int) -> None:
        """Remove the files of one revision."""
        folder = self.revision_folder(actor_folder, number)
        remove_folder(folder)
        if folder.parent.is_dir():
            fsync_folder(folder.parent)

    def end_deletion(self, actor_folder: str) -> None:
        """Forget the note: nothing is left to delete."""
        (self._deletions_folder / actor_folder).unlink(missing_ok=True)
        fsync_folder(self._deletions_folder)


def file_context(actor_folder: str, number: int, name: str) -> bytes:
    """What a stored file is sealed for."""
    return f"{actor_folder}\0{number}\0{name}".encode()


class HashingWriter:
    """Hashes what passes into a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Add to the file."""
        self._digest.update(data)
        self._file.write(data)

    @property
    def sha256(self) -> str:
        """Of what was written, hexadecimal."""
        return self._digest.hexdigest()


def write_sealed_file(path: Path, content: bytes, key: bytes, context: bytes) -> str:
    """Write one encrypted file and return its SHA-256."""
    with open(path, "xb") as file:
        hashing = HashingWriter(file)
        cipher.seal_stream(key, context, io.BytesIO(content), hashing)
        file.flush()
        os.fsync(file.fileno())
    return hashing.sha256


def _list_folder(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, or a file, or nothing."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
