"""Uploads that are not complete yet: their files and what is known of them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from dubfew.errors import DubfewError
from dubfew.jobs.records import JobNotFoundError, QuotaError, StoredUpload
from dubfew.jobs.store import ID_BYTES, JobStore
from dubfew.utils.files import write_atomic

# Suffixes of an upload's files until it is complete: its bytes so far, what is known, and its lock.
PART_SUFFIX, FACTS_SUFFIX, LOCK_SUFFIX = ".part", ".facts", ".lock"
_ID_PATTERN = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}")
# Bytes that are hashed at a time.
BLOCK_BYTES = 1 << 20


class UploadConflictError(DubfewError):
    """Bytes were sent for another place than the upload has come to."""


class UploadBusyError(DubfewError):
    """Another request is writing to the upload."""


@dataclass(frozen=True)
class PartialUpload:
    """An upload that is not complete.

    Attributes:
        id: its id, which the complete upload keeps.
        owner: who sends it.
        length: bytes that it will have.
        ending: ending of the file's name, such as ".mp4".
    """

    id: str
    owner: str
    length: int
    ending: str


class PartialUploads:
    """The incomplete uploads of a store; they are deleted with its other old files.

    Args:
        store: the queue, which records complete uploads.
        max_stored: most bytes that an owner may have in the store, incomplete uploads included.
    """

    def __init__(self, store: JobStore, max_stored: int) -> None:
        self._store, self._max_stored = store, max_stored

    def create(self, owner: str, length: int, ending: str) -> PartialUpload:
        """Begin an upload.

        Args:
            owner: who sends it.
            length: bytes that it will have.
            ending: ending of the file's name.

        Raises:
            QuotaError: The owner has too many bytes.
        """
        promised = sum(each.length for each in self._list() if each.owner == owner)
        stored = self._store.count_upload_bytes(owner) + promised
        if stored + length > self._max_stored:
            raise QuotaError(
                f"{stored / 1e6:.0f} MB are stored, of {self._max_stored / 1e6:g} MB at most: "
                "delete an upload"
            )
        made = PartialUpload(secrets.token_hex(ID_BYTES), owner, length, ending)
        # The bytes first: what has facts has a file.
        part = self._path(made.id, PART_SUFFIX)
        part.touch(0o600, exist_ok=False)
        write_atomic(self._path(made.id, FACTS_SUFFIX), json.dumps(asdict(made)).encode())
        if length == 0:
            self._complete(made)
        return made

    def offset(self, upload: str, owner: str) -> tuple[int, int]:
        """Return the bytes that an upload has, and will have.

        Args:
            upload: its id, complete or not.
            owner: who must have sent it.

        Raises:
            JobNotFoundError: There is no such upload, or another owner sends it.
        """
        found = self._find(upload, owner)
        if found is None:
            complete = self._store.get_upload(upload, owner)
            return complete.bytes, complete.bytes
        return self._path(found.id, PART_SUFFIX).stat().st_size, found.length

    @contextmanager
    def append(self, upload: str, owner: str, offset: int) -> Iterator[PartWriter]:
        """Open an upload to write more of it; at the end it is complete if nothing is missing.

        What was written stays, also where the connection breaks.

        Args:
            upload: its id.
            owner: who must have begun it.
            offset: place of the first new byte, which must be where it has come to.

        Raises:
            JobNotFoundError: There is no such upload, or it is complete.
            UploadBusyError: Another request is writing to it.
            UploadConflictError: It has come to another place.
        """
        found = self._find(upload, owner)
        if found is None:
            complete = self._store.get_upload(upload, owner)
            raise UploadConflictError(f"upload {complete.id} is complete")
        # Requests are read in one thread and written in others.
        lock = FileLock(self._path(upload, LOCK_SUFFIX), thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UploadBusyError(f"another request is writing to upload {upload}") from None
        try:
            part = self._path(upload, PART_SUFFIX)
            size = part.stat().st_size
            if size != offset:
                raise UploadConflictError(f"upload {upload} has {size} bytes, not {offset}")
            with open(part, "ab") as file:
                writer = PartWriter(file, found.length - size)
                try:
                    yield writer
                finally:
                    file.flush()
                    os.fsync(file.fileno())
            if writer.missing == 0:
                self._complete(found)
        finally:
            lock.release()

    def delete(self, upload: str, owner: str) -> None:
        """Delete an upload, complete or not.

        Raises:
            JobNotFoundError: There is no such upload, or another owner sent it.
        """
        if self._find(upload, owner) is None:
            self._store.delete_upload(self._store.get_upload(upload, owner).id)
        else:
            self._remove(upload)

    def _complete(self, found: PartialUpload) -> StoredUpload:
        """Hand an upload over to the store."""
        part, digest = self._path(found.id, PART_SUFFIX), hashlib.sha256()
        with open(part, "rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
        path = self._store.uploads_folder() / f"{found.id}{found.ending}"
        os.rename(part, path)
        made = self._store.add_upload(
            found.owner, path, path.name, found.length, digest.hexdigest()
        )
        self._remove(found.id)
        return made

    def _remove(self, upload: str) -> None:
        for suffix in (FACTS_SUFFIX, PART_SUFFIX, LOCK_SUFFIX):
            self._path(upload, suffix).unlink(missing_ok=True)

    def _find(self, upload: str, owner: str) -> PartialUpload | None:
        """Read what is known of an incomplete upload; None without one of this owner."""
        if not _ID_PATTERN.fullmatch(upload):
            raise JobNotFoundError(f"no upload {upload[:40]!a}: it may have been deleted")
        found = self._read(self._path(upload, FACTS_SUFFIX))
        return found if found is not None and found.owner == owner else None

    def _list(self) -> list[PartialUpload]:
        facts = self._store.uploads_folder().glob(f"*{FACTS_SUFFIX}")
        return [found for path in facts if (found := self._read(path)) is not None]

    def _read(self, path: Path) -> PartialUpload | None:
        try:
            found = PartialUpload(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return found if self._path(found.id, PART_SUFFIX).exists() else None

    def _path(self, upload: str, suffix: str) -> Path:
        return self._store.uploads_folder() / f"{upload}{suffix}"


class PartWriter:
    """Writes the next bytes of an upload.

    Args:
        file: file of the bytes so far.
        missing: bytes that it lacks.
    """

    def __init__(self, file: BinaryIO, missing: int) -> None:
        self._file, self.missing = file, missing

    def write(self, data: bytes) -> None:
        """Write some bytes.

        Raises:
            UploadConflictError: They are more than the upload lacks; nothing of them is written.
        """
        if len(data) > self.missing:
            raise UploadConflictError(f"the upload lacks {self.missing} bytes, and more came")
        self._file.write(data)
        self.missing -= len(data)
