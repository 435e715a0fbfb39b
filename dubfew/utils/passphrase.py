"""Passphrases from environment variables or from a prompt at the terminal."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable

from dubfew.errors import KeyMissingError

# Shortest new passphrase, in characters. A single dictionary word is guessed at once; eight mixed
# characters, or several words, resist for a while because scrypt makes every guess slow.
MIN_PASSPHRASE_LENGTH = 8

# Function that asks the user: takes the purpose of the passphrase and whether it is a new one.
PassphrasePrompt = Callable[[str, bool], str]
# Set by the command line; the library itself never asks.
_prompt: PassphrasePrompt | None = None


def set_passphrase_prompt(prompt: PassphrasePrompt | None) -> None:
    """Set the function that asks for passphrases which the environment does not contain.

    Args:
        prompt: the function, or None to raise an error instead of asking.
    """
    global _prompt
    _prompt = prompt


def get_passphrase(
    variable: str, purpose: str, *, is_new: bool = False, given: str | None = None
) -> bytes:
    """Get a passphrase from the caller, the environment or the prompt, in this order.

    Args:
        variable: environment variable that may contain the passphrase.
        purpose: words for the prompt and for errors, such as "the export of 'mary'".
        is_new: True if the passphrase is being chosen. Then it must not be short, and the prompt
            asks for it twice.
        given: passphrase that the caller has already.

    Returns:
        The passphrase as UTF-8, in Unicode form NFC: keyboards differ in how they compose letters.

    Raises:
        KeyMissingError: No passphrase was given, or a new one is too short.
    """
    # An empty passphrase counts as missing, wherever it is from.
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
    # surrogatepass: on Linux the environment may contain bytes that are not UTF-8.
    return unicodedata.normalize("NFC", given).encode("utf-8", "surrogatepass")
