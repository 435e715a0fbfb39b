"""An exported actor: one zip file (stored, not compressed) with a manifest.

``manifest.json`` holds ``format``, ``format_version``, ``actor``, ``revision``, ``created``,
``config`` and, per file, its size and SHA-256. The files lie beside it.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dubfew.errors import RegistryError
from dubfew.registry.names import check_file_names, normalize_actor_id
from dubfew.registry.revision import Revision
from dubfew.utils.format_version import check_format_version

ARCHIVE_FORMAT = "dubfew-actor"
ARCHIVE_FORMAT_VERSION = 1
ARCHIVE_MANIFEST_NAME = "manifest.json"

# What a broken or hostile zip makes zipfile raise.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,  # a seek to a negative offset; the bytes lie in memory, so no disk is meant
    OverflowError,
    RuntimeError,  # an encrypted member
    struct.error,
    ValueError,
)


@dataclass(frozen=True)
class ArchiveContent:
    """What an export holds, checked."""

    actor: str
    config: dict[str, Any]
    files: dict[str, bytes]


def pack_archive(revision: Revision, files: Mapping[str, bytes]) -> bytes:
    """The export of a revision. The same revision gives the same bytes."""
    manifest = {
        "format": ARCHIVE_FORMAT,
        "format_version": ARCHIVE_FORMAT_VERSION,
        "actor": revision.actor,
        "revision": revision.number,
        "created": revision.created,
        "config": revision.config,
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {
            ARCHIVE_MANIFEST_NAME: json.dumps(manifest, indent=1).encode(),
            **files,
        }.items():
            # ZipInfo's default date (1980) instead of now keeps the export reproducible.
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def unpack_archive(data: bytes, source: str) -> ArchiveContent:
    """Check an export wholly and return what it holds.

    Args:
        data: the file's bytes; the file may come from anybody.
        source: what to call it in an error.

    Raises:
        RegistryError: it is not an export, newer than this dubfew, or damaged.
    """
    members = _read_members(data, source)
    manifest = _parse_manifest(members.pop(ARCHIVE_MANIFEST_NAME, None), source)
    listed = manifest["files"]
    if set(listed) != set(members):
        odd = sorted(set(listed) ^ set(members))[0]
        raise _damaged_archive_error(
            source, f"{odd[:60]!a} is not both in the manifest and in the archive"
        )
    for name, content in members.items():
        entry = listed[name]
        digest = hashlib.sha256(content).hexdigest()
        if not isinstance(entry, dict) or entry.get("sha256") != digest:
            raise _damaged_archive_error(
                source, f"{name!r} has not the SHA-256 that the manifest names"
            )
    return ArchiveContent(manifest["actor"], manifest["config"], members)


def _read_members(data: bytes, source: str) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            check_file_names([info.filename for info in infos])
            # Stored members cannot grow when read, nor can they together exceed the file
            # unless they overlap: a small file cannot fill the memory.
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
                raise _damaged_archive_error(source, "it has compressed members")
            if sum(info.file_size for info in infos) > len(data):
                raise _damaged_archive_error(source, "its members are larger than the file")
            return {info.filename: archive.read(info) for info in infos}
    except _ZIP_ERRORS as error:
        raise _damaged_archive_error(
            source, f"not a readable zip: {ascii(str(error))[:100]}"
        ) from error


def _parse_manifest(content: bytes | None, source: str) -> dict[str, Any]:
    if content is None:
        raise _damaged_archive_error(source, f"it has no {ARCHIVE_MANIFEST_NAME}")
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged_archive_error(source, f"its {ARCHIVE_MANIFEST_NAME} is not JSON") from error
    if not isinstance(manifest, dict) or manifest.get("format") != ARCHIVE_FORMAT:
        raise _damaged_archive_error(
            source, f"its {ARCHIVE_MANIFEST_NAME} does not say format {ARCHIVE_FORMAT!r}"
        )
    check_format_version(
        manifest.get("format_version"), ARCHIVE_FORMAT_VERSION, source, RegistryError
    )
    for key, kind in (("actor", str), ("config", dict), ("files", dict)):
        if not isinstance(manifest.get(key), kind):
            raise _damaged_archive_error(
                source, f"its {ARCHIVE_MANIFEST_NAME} has no proper {key!r}"
            )
    manifest["actor"] = normalize_actor_id(manifest["actor"])
    return manifest


def _damaged_archive_error(source: str, problem: str) -> RegistryError:
    return RegistryError(
        f"{source} is not a sound export of an actor ({problem}): export the actor again"
    )
