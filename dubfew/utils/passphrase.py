"""Passphrases: from the environment, or from whoever sits at the terminal."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable

from dubfew.errors import KeyMissingError

# A dictionary word falls to any guessing; four of them, or eight odd characters, do not at once.
MIN_LENGTH = 8

# Gets what the passphrase is for and whether it is a new one. The command line sets it.
Ask = Callable[[str, bool], str]
_ask: Ask | None = None


def ask_with(ask: Ask | None) -> None:
    """Let ``ask`` be called for passphrases that the environment does not have."""
    global _ask
    _ask = ask


def passphrase(
    variable: str, purpose: str, *, new: bool = False, given: str | None = None
) -> bytes:
    """A passphrase in Unicode form NFC, which makes all keyboards agree, as UTF-8.

    Args:
        variable: the environment variable that may hold it.
        purpose: what it is for, to ask with: "the export of 'mary'".
        new: it is chosen now, so it must not be short, and should be asked for twice.
        given: the passphrase, if the caller has it already.

    Raises:
        KeyMissingError: there is none, or a new one is too short.
    """
    if given is None:
        given = os.environ.get(variable)
    if given is None and _ask is not None:
        given = _ask(purpose, new)
    if not given:
        raise KeyMissingError(
            f"a passphrase is needed for {purpose} and none was given: set {variable}, or run "
            "this in a terminal, which asks for it"
        )
    if new and len(given) < MIN_LENGTH:
        raise KeyMissingError(
            f"the passphrase for {purpose} has {len(given)} characters: use at least {MIN_LENGTH}"
        )
    return unicodedata.normalize("NFC", given).encode("utf-8", "surrogatepass")
