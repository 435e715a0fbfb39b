"""Reading and writing bytes at any URL that fsspec knows: files, S3-compatible storage and more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dubfew.errors import MissingDependencyError, OutputExistsError, RegistryError
from dubfew.utils.files import check_output_path, write_atomic


def check_url(url: str, *, overwrite: bool = False) -> None:
    """Check that nothing is replaced at a URL, before the data for it is made.

    Args:
        url: address or path that fsspec understands.
        overwrite: True to allow that what is there is replaced.

    Raises:
        OutputExistsError: There is something at the URL and ``overwrite`` is False.
        RegistryError: The URL cannot be looked up.
        MissingDependencyError: The package for this kind of URL is not installed.
    """
    try:
        system, path = _resolve_url(url)
        if _is_local_filesystem(system):
            # fsspec writes to /tmp and moves the file; if path is a folder, into it.
            check_output_path(Path(path), overwrite=overwrite)
            return
        exists = not overwrite and system.isfile(path)
    except OutputExistsError:
        raise
    except Exception as error:  # every file system raises errors of its own
        raise _remote_error(url, "written to", error) from error
    if exists:
        raise OutputExistsError(
            f"{redact_url(url)} exists already: name another place, or allow its replacement with "
            "--overwrite"
        )


def write_url(url: str, data: bytes) -> None:
    """Write data to a URL, whole or not at all where the file system can do that.

    Args:
        url: address or path that fsspec understands.
        data: the bytes to write.

    Raises:
        RegistryError: The URL cannot be written to.
        MissingDependencyError: The package for this kind of URL is not installed.
    """
    try:
        system, path = _resolve_url(url)
        if _is_local_filesystem(system):
            write_atomic(Path(path), data)
            return
        with system.transaction, system.open(path, "wb") as file:
            file.write(data)
    except Exception as error:  # every file system raises errors of its own
        raise _remote_error(url, "written to", error) from error


def read_url(url: str, max_bytes: int) -> bytes:
    """Read the data at a URL.

    Args:
        url: address or path that fsspec understands.
        max_bytes: largest allowed size. One byte more is read, so that the caller notices a
            larger file without reading all of it.

    Raises:
        RegistryError: The URL cannot be read.
        MissingDependencyError: The package for this kind of URL is not installed.
    """
    try:
        system, path = _resolve_url(url)
        with system.open(path, "rb") as file:
            data: bytes = file.read(max_bytes + 1)
        return data
    except Exception as error:  # every file system raises errors of its own
        raise _remote_error(url, "read", error) from error


def redact_url(url: str) -> str:
    """Remove user, password and query from a URL, because they may be secret.

    Example:
        >>> redact_url("https://me:word@host/x?signature=abc")
        'https://host/x'
    """
    return re.sub(r"//[^/@]*@", "//", url).partition("?")[0]


def _resolve_url(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(url)
    return system, path


def _is_local_filesystem(system: Any) -> bool:
    """Whether a file system is the machine's own."""
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(system, LocalFileSystem)


def _remote_error(
    url: str, action: str, error: Exception
) -> RegistryError | MissingDependencyError:
    """Build an error of one line from any exception, without the secrets of the URL."""
    # Libraries put the URL into their messages, with its password.
    found = " ".join(str(error).replace(url, redact_url(url)).split())[:200] or type(error).__name__
    if isinstance(error, ImportError):
        return MissingDependencyError(
            f"{redact_url(url)} needs a package that is not installed ({found}): "
            "pip install 'dubfew[remote]' for S3, or what fsspec names for other places"
        )
    return RegistryError(
        f"{redact_url(url)} cannot be {action} ({found}): check the address and your access to it"
    )
