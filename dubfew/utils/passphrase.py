"""Passphrases from environment variables or from a prompt at the terminal."""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Callable

from dubfew.errors import KeyMissingError

# Shortest new passphrase, in characters. A single dictionary word is guessed at once; eight mixed
# characters, or several words, resist for a while because scrypt makes every guess slow.
MIN_PASSPHRASE_LENGTH = 8

# Environment variable of every passphrase.
PASSPHRASE_VARIABLE = "DUBFEW_PASSPHRASE"
# Variable of the passphrase of exports alone, which was the only one for them before. It wins over
# the other one, because the recipient of an export must not learn the passphrase of the keys.
EXPORT_PASSPHRASE_VARIABLE = "DUBFEW_EXPORT_PASSPHRASE"

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
    purpose: str, *, is_export: bool = False, is_new: bool = False, given: str | None = None
) -> bytes:
    """Get a passphrase from the caller, the environment or the prompt, in this order.

    Args:
        purpose: words for the prompt and for errors, such as "the export of 'mary'".
        is_export: True if it protects an export, which has an environment variable of its own for
            users whose keys have a passphrase, too.
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
        given = _passphrase_from_environment(is_export)
    if given is None and _prompt is not None:
        given = _prompt(purpose, is_new)
    if not given:
        raise KeyMissingError(
            f"a passphrase is needed for {purpose} and none was given: set {PASSPHRASE_VARIABLE}, "
            "or run this in a terminal, which asks for it"
        )
    if is_new and len(given) < MIN_PASSPHRASE_LENGTH:
        raise KeyMissingError(
            f"the passphrase for {purpose} has {len(given)} characters: use at least "
            f"{MIN_PASSPHRASE_LENGTH}"
        )
    # surrogatepass: on Linux the environment may contain bytes that are not UTF-8.
    return unicodedata.normalize("NFC", given).encode("utf-8", "surrogatepass")


def _passphrase_from_environment(is_export: bool) -> str | None:
    """Return the passphrase that the environment contains, or None."""
    common = os.environ.get(PASSPHRASE_VARIABLE)
    own = os.environ.get(EXPORT_PASSPHRASE_VARIABLE) if is_export else None
    if own is None:
        return common
    if common is None:
        warnings.warn(
            f"{EXPORT_PASSPHRASE_VARIABLE} alone is the old way: set {PASSPHRASE_VARIABLE}, which "
            "is for keys and exports",
            FutureWarning,
            stacklevel=1,  # attributed to this module, whose warnings the command line shows
        )
    return own
