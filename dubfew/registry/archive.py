"""The archive inside an exported actor: one zip file, stored without compression, with a manifest.

``manifest.json`` holds ``format``, ``format_version``, ``actor``, ``revision``, ``created``,
``config`` and, for every other member, its size and SHA-256.
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

# Value of "format" in the manifest. It tells an export from any other zip file.
ARCHIVE_FORMAT = "dubfew-actor"
# Newest version of the layout that this dubfew reads and writes.
ARCHIVE_FORMAT_VERSION = 1
# Member that describes all others.
ARCHIVE_MANIFEST_NAME = "manifest.json"

# Exceptions that zipfile raises for broken or hostile files.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,  # a seek to a negative offset; the bytes are in memory, so no disk is involved
    OverflowError,
    RuntimeError,  # an encrypted member
    struct.error,
    ValueError,
)


@dataclass(frozen=True)
class ArchiveContent:
    """The checked content of an export.

    Attributes:
        actor: the actor's id, normalized.
        config: the revision's config.
        files: content of every stored file by name, without the config.
    """

    actor: str
    config: dict[str, Any]
    files: dict[str, bytes]


def pack_archive(revision: Revision, files: Mapping[str, bytes]) -> bytes:
    """Pack a revision into an archive; the same revision always gives the same bytes.

    Args:
        revision: actor, number, date and config for the manifest.
        files: content of the revision's files by name.
    """
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
        # The manifest comes first, so that any zip program shows it first.
        for name, content in {
            ARCHIVE_MANIFEST_NAME: json.dumps(manifest, indent=1).encode(),
            **files,
        }.items():
            # ZipInfo's default date (1980) instead of now keeps the export reproducible.
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def unpack_archive(data: bytes, source: str) -> ArchiveContent:
    """Check an archive completely and return its content.

    Args:
        data: the archive; its sender is not trusted.
        source: name of the export in error messages.

    Raises:
        RegistryError: The data is not an export, is damaged, or was written by a newer dubfew.
    """
    # Nothing is trusted before names, sizes, manifest and hashes have been checked.
    members = _read_members(data, source)
    manifest = _parse_manifest(members.pop(ARCHIVE_MANIFEST_NAME, None), source)
    listed = manifest["files"]
    # Manifest and zip must name the same files.
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
    """Read all members of a zip file by name, after checks that bound names and sizes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            check_file_names([info.filename for info in infos])
            # Stored members do not grow when read, and together they exceed the file only if
            # they overlap. With these two checks a small file cannot fill the memory.
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
    """Check the manifest's format, version and types, and normalize the actor's id."""
    if content is None:
        raise _damaged_archive_error(source, f"it has no {ARCHIVE_MANIFEST_NAME}")
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged_archive_error(source, f"its {ARCHIVE_MANIFEST_NAME} is not JSON") from error
    if not isinstance(manifest, dict) or manifest.get("format") != ARCHIVE_FORMAT:
        raise _damaged_archive_error(
            source, f"the format in its {ARCHIVE_MANIFEST_NAME} is not {ARCHIVE_FORMAT!r}"
        )
    check_format_version(
        manifest.get("format_version"), ARCHIVE_FORMAT_VERSION, source, RegistryError
    )
    # Types of the values; their content is checked where it is used.
    for key, kind in (("actor", str), ("config", dict), ("files", dict)):
        if not isinstance(manifest.get(key), kind):
            raise _damaged_archive_error(
                source, f"its {ARCHIVE_MANIFEST_NAME} has no proper {key!r}"
            )
    manifest["actor"] = normalize_actor_id(manifest["actor"])
    return manifest


def _damaged_archive_error(source: str, problem: str) -> RegistryError:
    """Build the error for an archive that is not as `pack_archive` writes it."""
    return RegistryError(
        f"{source} is not a sound export of an actor ({problem}): export the actor again"
    )
