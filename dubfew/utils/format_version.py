"""The one gate for format versions: files of a newer dubfew are refused, not misread."""

from __future__ import annotations

from dubfew.errors import ArtefactError, DubfewError


def check_format_version(
    found: object,
    newest: int,
    name: str,
    error: type[DubfewError] = ArtefactError,
) -> int:
    """Check the version that a stored file names.

    Args:
        found: value of ``format_version`` in the file.
        newest: newest version that this dubfew reads.
        name: what the error message calls the file.
        error: class of the error.

    Returns:
        The version, from 1 to ``newest``.

    Raises:
        DubfewError: the value is no whole number above 0, or the version is newer; of the class
            ``error``.

    Example:
        >>> check_format_version(1, 2, "prior 'lite'")
        1
    """
    if type(found) is not int or found < 1:
        raise error(f"{name} has format version {str(found)[:20]!a}: expected a number from 1 on")
    if found > newest:
        raise error(
            f"{name} was written by a newer dubfew: its format version is {str(found)[:20]}, this "
            f"one reads up to {newest}: update dubfew"
        )
    return found
