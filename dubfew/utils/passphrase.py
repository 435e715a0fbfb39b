"""Passphrases: from the environment, or from whoever sits at the terminal."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable

from dubfew.errors import KeyMissingError

# A dictionary word falls to any guessing; four of them, or eight odd characters, do not at once.
MIN_PASSPHRASE_LENGTH = 8

# Gets what the passphrase is for and whether it is a new one. The command line sets it.
PassphrasePrompt = Callable[[str, bool], str]
_prompt: PassphrasePrompt | None = None


def set_passphrase_prompt(prompt: PassphrasePrompt | None) -> None:
    """Let ``prompt`` be called for passphrases that the environment does not have."""
    global _prompt
    _prompt = prompt


def get_passphrase(
    variable: str, purpose: str, *, is_new: bool = False, given: str | None = None
) -> bytes:
    """A passphrase in Unicode form NFC, which makes all keyboards agree, as UTF-8.

    Args:
        variable: the environment variable that may hold it.
        purpose: what it is for, to ask with: "the export of 'mary'".
        is_new: it is chosen now, so it must not be short, and should be asked for twice.
        given: the passphrase, if the caller has it already.

    Raises:
        KeyMissingError: there is none, or a new one is too short.
    """
    if given is None:
        given = os.environ.get(variable)
    if given is None and _prompt is not None:
        given = _prompt(purpose, is_new)
    if not given:
        raise KeyMissingError(
            f"a passphrase is needed for {purpose} and none was given: set {variable}, or run "
            "this in a terminal, which asks for it"
        )
    if is_new and len(given) < MIN_PASSPHRASE_LENGTH:
        raise KeyMissingError(
            f"the passphrase for {purpose} has {len(given)} characters: use at least "
            f"{MIN_PASSPHRASE_LENGTH}"
        )
    return unicodedata.normalize("NFC", given).encode("utf-8", "surrogatepass")
