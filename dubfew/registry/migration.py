"""Encrypting what an older dubfew stored in plain files."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from dubfew.errors import DecryptionError
from dubfew.registry import cipher
from dubfew.registry.index import FileRow, RegistryIndex, RevisionRow
from dubfew.registry.keys import KeyStore
from dubfew.registry.shredding import replace_and_shred
from dubfew.registry.storage import ActorStorage, file_context, write_sealed_file
from dubfew.registry.tombstones import compute_content_mark
from dubfew.utils.files import file_size


def encrypt_plain_files(
    index: RegistryIndex, storage: ActorStorage, keys: KeyStore, salt: str
) -> None:
    """Encrypt the files of every revision that has no mark yet. Call with the lock held.

    It may be killed anywhere and called again: a file is replaced by its encrypted form in one
    step, and which of the two it is can be told from the hash of the plain one, which the index
    keeps until all files of the revision are done.
    """
    for row in index.revisions():
        if row.mark:
            continue
        folder = storage.revision_folder(row.folder, row.number)
        key = keys.load_key(row.folder) if keys.has_key(row.folder) else keys.create_key(row.folder)
        files = index.files(row.folder, row.number)
        # Marks are of plain content; before this point the index has its hashes.
        mark = compute_content_mark(((file.name, file.sha256) for file in files), salt)
        done = [_encrypt_file(folder, file, row, key) for file in files]
        encrypted = row._replace(
            content_bytes=sum(file.bytes for file in files),
            stored_bytes=sum(file_size(folder / file.name) for file in files),
            mark=mark,
        )
        index.mark_encrypted(encrypted, done)


def _encrypt_file(folder: Path, file: FileRow, row: RevisionRow, key: bytes) -> FileRow:
    """Encrypt one file in its place, unless that is done. What is missing or damaged stays so."""
    path = folder / file.name
    context = file_context(row.folder, row.number, file.name)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return file
    if hashlib.sha256(content).hexdigest() == file.sha256:
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        sha256 = write_sealed_file(temporary, content, key, context)
        replace_and_shred(temporary, path)
        return replace(file, sha256=sha256)
    try:
        cipher.unseal_bytes(key, context, content)
    except DecryptionError:
        return file  # it was damaged before: reading it and verify say so
    return replace(file, sha256=hashlib.sha256(content).hexdigest())
