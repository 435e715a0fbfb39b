"""Bytes to and from any place that fsspec knows: files, S3-compatible storage and many more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dubfew.errors import MissingDependencyError, RegistryError
from dubfew.utils.files import check_output, write_atomic


def write(url: str, data: bytes) -> None:
    """Put ``data`` at ``url``; where the file system can, whole or not at all.

    Raises:
        RegistryError: it cannot be written there.
        MissingDependencyError: a package for this kind of place is missing.
    """
    try:
        system, path = _located(url)
        if _is_local(system):
            # fsspec would move a file from /tmp here, even into a folder.
            check_output(Path(path))
            write_atomic(Path(path), data)
            return
        with system.transaction, system.open(path, "wb") as file:
            file.write(data)
    except Exception as error:  # every file system raises errors of its own
        raise _explained(url, "written to", error) from error


def read(url: str, limit: int) -> bytes:
    """What lies at ``url``, at most ``limit`` bytes and one more.

    Raises:
        RegistryError: it cannot be read.
        MissingDependencyError: a package for this kind of place is missing.
    """
    try:
        system, path = _located(url)
        with system.open(path, "rb") as file:
            data: bytes = file.read(limit + 1)
        return data
    except Exception as error:  # every file system raises errors of its own
        raise _explained(url, "read", error) from error


def shown(url: str) -> str:
    """A URL without what may be secret in it: user, password and query."""
    return re.sub(r"//[^/@]*@", "//", url).partition("?")[0]


def _located(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    system, path = url_to_fs(url)
    return system, path


def _is_local(system: Any) -> bool:
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(system, LocalFileSystem)


def _explained(url: str, what: str, error: Exception) -> RegistryError | MissingDependencyError:
    found = " ".join(str(error).replace(url, shown(url)).split())[:200] or type(error).__name__
    if isinstance(error, ImportError):
        return MissingDependencyError(
            f"{shown(url)} needs a package that is not installed ({found}): "
            "pip install 'dubfew[remote]' for S3, or what fsspec names for other places"
        )
    return RegistryError(
        f"{shown(url)} cannot be {what} ({found}): check the address and your access to it"
    )
