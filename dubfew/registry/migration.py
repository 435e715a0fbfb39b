"""Encryption of registries from before encryption, whose files are plain."""

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

    The function may be killed at any point and called again: each file is replaced by its encrypted
    form in one step, and the index keeps the hash of the plain file, which tells the two apart,
    until all files of the revision are encrypted.

    Args:
        index: the index, migrated up to this step.
        storage: the files.
        keys: the key store; actors without a key get one.
        salt: the registry's salt, for the marks.

    Raises:
        RegistryError: A key cannot be read or written.
        OSError: A file cannot be read or written.
    """
    for row in index.revisions():
        if row.mark:
            continue
        folder = storage.revision_folder(row.folder, row.number)
        # An earlier, killed attempt may have created the key.
        key = keys.load_key(row.folder) if keys.has_key(row.folder) else keys.create_key(row.folder)
        files = index.files(row.folder, row.number)
        # A mark is a hash of plain content, and until here the index has those hashes.
        mark = compute_content_mark(((file.name, file.sha256) for file in files), salt)
        done = [_encrypt_file(folder, file, row, key) for file in files]
        encrypted = row._replace(
            content_bytes=sum(file.bytes for file in files),
            stored_bytes=sum(file_size(folder / file.name) for file in files),
            mark=mark,
        )
        index.mark_encrypted(encrypted, done)


def _encrypt_file(folder: Path, file: FileRow, row: RevisionRow, key: bytes) -> FileRow:
    """Encrypt one file in its place and return its new index entry.

    A file that is encrypted already is left as it is, as is one that is missing or damaged.
    """
    path = folder / file.name
    context = file_context(row.folder, row.number, file.name)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return file
    # The hash in the index is that of the plain file, so this one is not encrypted yet.
    if hashlib.sha256(content).hexdigest() == file.sha256:
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        sha256 = write_sealed_file(temporary, content, key, context)
        replace_and_shred(temporary, path)
        return replace(file, sha256=sha256)
    try:
        # Encrypted by an earlier attempt, unless it does not open.
        cipher.unseal_bytes(key, context, content)
    except DecryptionError:
        return file  # it was damaged before; reading it and verify report that
    return replace(file, sha256=hashlib.sha256(content).hexdigest())
