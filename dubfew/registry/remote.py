"""Bytes to and from any place that fsspec knows: files, S3-compatible storage and many more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dubfew.errors import MissingDependencyError, RegistryError
from dubfew.utils.files import check_output_path, write_atomic


def write_url(url: str, data: bytes) -> None:
    """Put ``data`` at ``url``; where the file system can, whole or not at all.

    Raises:
        RegistryError: it cannot be written there.
        MissingDependencyError: a package for this kind of place is missing.
    """
    try:
        system, path = _resolve_url(url)
        if _is_local_filesystem(system):
            # fsspec would move a file from /tmp here, even into a folder.
            check_output_path(Path(path))
            write_atomic(Path(path), data)
            return
        with system.transaction, system.open(path, "wb") as file:
            file.write(data)
    except Exception as error:  # every file system raises errors of its own
        raise _remote_error(url, "written to", error) from error


def read_url(url: str, max_bytes: int) -> bytes:
    """What lies at ``url``, at most ``max_bytes`` bytes and one more.

    Raises:
        RegistryError: it cannot be read.
        MissingDependencyError: a package for this kind of place is missing.
    """
    try:
        system, path = _resolve_url(url)
        with system.open(path, "rb") as file:
            data: bytes = file.read(max_bytes + 1)
        return data
    except Exception as error:  # every file system raises errors of its own
        raise _remote_error(url, "read", error) from error


def redact_url(url: str) -> str:
    """A URL without what may be secret in it: user, password and query."""
    return re.sub(r"//[^/@]*@", "//", url).partition("?")[0]


def _resolve_url(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    system, path = url_to_fs(url)
    return system, path


def _is_local_filesystem(system: Any) -> bool:
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(system, LocalFileSystem)


def _remote_error(
    url: str, action: str, error: Exception
) -> RegistryError | MissingDependencyError:
    found = " ".join(str(error).replace(url, redact_url(url)).split())[:200] or type(error).__name__
    if isinstance(error, ImportError):
        return MissingDependencyError(
            f"{redact_url(url)} needs a package that is not installed ({found}): "
            "pip install 'dubfew[remote]' for S3, or what fsspec names for other places"
        )
    return RegistryError(
        f"{redact_url(url)} cannot be {action} ({found}): check the address and your access to it"
    )
