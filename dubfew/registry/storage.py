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

from dubfew.errors import RegistryError
from dubfew.utils.files import sync_folder

# Writing tens of megabytes takes a second; a minute means that something hangs.
LOCK_SECONDS = 60.0


class Storage:
    """The files of all actors. Which of them count is for the index to say."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.receipts = home / "receipts"
        self._actors = home / "actors"
        self._staging = home / "staging"
        self._deletions = home / "deletions"
        self._swept = home / "swept"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other writer out; the operating system frees it when a process dies.

        Raises:
            RegistryError: another process kept it for a minute.
        """
        from filelock import FileLock, Timeout  # late, for the speed of listing

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
        return self._swept.exists()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What is changed in the block may be left half done, unless the block ends well. Call
        with the lock held.

        Sweeping looks at every folder, which with ten thousand actors takes longer than all else.
        """
        if self.is_swept():
            self._swept.unlink()
            sync_folder(self.home)
        yield
        with suppress(OSError):  # a full disk: what was to be done is done, the next one sweeps
            self._swept.touch()

    @contextmanager
    def staged(self, actor_folder: str, number: int) -> Iterator[Path]:
        """A folder that becomes the revision's when the block succeeds, and else is gone. Call
        with the lock held.

        It is on disk before the block begins: until the revision is in its place, it says whose
        key may be nobody's.
        """
        staged = self._staging / f"{actor_folder}.{number}"
        target = self.revision_folder(actor_folder, number)
        staged.mkdir(parents=True)
        try:
            sync_folder(self._staging)
            sync_folder(self.home)
            yield staged
            sync_folder(staged)
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
        sync_folder(target.parent)
        sync_folder(self._actors)
        sync_folder(self.home)

    def read(self, actor_folder: str, number: int, name: str, key: bytes) -> bytes:
        """A stored file's content.

        Raises:
            OSError: it is not there.
            DecryptionError: it is damaged.
        """
        from dubfew.registry import cipher  # late, for the speed of listing

        with open(self.revision_folder(actor_folder, number) / name, "rb") as file:
            return b"".join(cipher.unseal(key, place(actor_folder, number, name), file))

    def sweep(self, known: Mapping[str, set[int]], forget_key: Callable[[str], None]) -> list[str]:
        """Remove what killed processes left. Call with the lock held.

        Args:
            known: the revision numbers that the index has, per actor folder.
            forget_key: told of every actor folder that the index does not have.

        Returns:
            What was removed: paths below the home folder.
        """
        left = []
        for staged in _entries(self._staging):
            folder = staged.name.partition(".")[0]
            if folder not in known:
                forget_key(folder)
            left.append(staged)
        # Names alone: with ten thousand actors, a path for each takes most of the time.
        for name in sorted(os.listdir(self._actors)) if self._actors.is_dir() else ():
            folder = os.path.join(self._actors, name)
            if name not in known:
                forget_key(name)
                left.append(Path(folder))
                continue
            numbers = {str(number) for number in known[name]}
            try:
                extra = sorted(set(os.listdir(folder)) - numbers)
            except NotADirectoryError:
                extra = []
            left += [Path(folder, each) for each in extra]
        for each in left:
            remove_folder(each)
            sync_folder(each.parent)
        return [each.relative_to(self.home).as_posix() for each in left]

    def actor_folders(self) -> set[str]:
        """Every folder of an actor that there is."""
        return {entry.name for entry in _entries(self._actors)}

    def entries(self, actor_folder: str) -> set[str]:
        """What lies in the folder of an actor: revisions, by number."""
        return {entry.name for entry in _entries(self._actors / actor_folder)}

    def revision_folder(self, actor_folder: str, number: int) -> Path:
        """Where a revision's files are."""
        return self._actors / actor_folder / str(number)

    def begin_deletion(self, actor_folder: str, note: bytes) -> None:
        """Note that an actor's deletion has begun, so that a crash cannot leave it half done."""
        self._staging.mkdir(exist_ok=True)
        staged = self._staging / f"{actor_folder}.deletion"
        staged.unlink(missing_ok=True)
        with open(staged, "xb") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        self._deletions.mkdir(exist_ok=True)
        os.replace(staged, self._deletions / actor_folder)
        sync_folder(self._deletions)
        sync_folder(self.home)

    def begun_deletions(self) -> dict[str, bytes]:
        """Actor folders whose deletion has begun and is not finished, with the notes."""
        return {note.name: note.read_bytes() for note in _entries(self._deletions)}

    def is_deleting(self, actor_folder: str) -> bool:
        """Whether the actor's deletion has begun and is not finished."""
        return (self._deletions / actor_folder).exists()

    def remove(self, actor_folder: str) -> None:
        """Remove an actor's files."""
        remove_folder(self._actors / actor_folder)
        if self._actors.is_dir():
            sync_folder(self._actors)

    def remove_revision(self, actor_folder: str, number: int) -> None:
        """Remove the files of one revision."""
        folder = self.revision_folder(actor_folder, number)
        remove_folder(folder)
        if folder.parent.is_dir():
            sync_folder(folder.parent)

    def end_deletion(self, actor_folder: str) -> None:
        """Forget the note: nothing is left to delete."""
        (self._deletions / actor_folder).unlink(missing_ok=True)
        sync_folder(self._deletions)


def place(actor_folder: str, number: int, name: str) -> bytes:
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


def write_sealed(path: Path, content: bytes, key: bytes, context: bytes) -> str:
    """Write one encrypted file and return its SHA-256."""
    from dubfew.registry import cipher  # late, for the speed of listing

    with open(path, "xb") as file:
        hashing = HashingWriter(file)
        cipher.seal(key, context, io.BytesIO(content), hashing)
        file.flush()
        os.fsync(file.fileno())
    return hashing.sha256


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, or a file, or nothing."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
