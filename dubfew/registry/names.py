"""What an actor and a stored file may be called."""

from __future__ import annotations

import re
import unicodedata

from dubfew.errors import RegistryError

MAX_ACTOR_LENGTH = 100

# Flat and plain, so that a name means the same file on every system and in every zip.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

# Cc control, Cf invisible formatting, Cs lone surrogates, Zl and Zp line breaks.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Joiners are Cf too, but words of Persian or Hindi and many emoji need them.
_JOINERS = frozenset({"\u200c", "\u200d"})


def actor_id(actor: str) -> str:
    """The id under which ``actor`` is stored: the same text, in Unicode form NFC.

    File systems disagree about the form of a name ("é" as one character or two), and an id
    is often a file's stem, so both forms have to mean the same actor.

    Raises:
        RegistryError: empty, longer than 100 characters, or not printable on one line.
    """
    name = unicodedata.normalize("NFC", actor)
    shown = ascii(name[:40])
    if not name.strip():
        raise RegistryError("the actor's id is empty: give it at least one visible character")
    if len(name) > MAX_ACTOR_LENGTH:
        raise RegistryError(
            f"the actor's id {shown}... has {len(name)} characters: use at most {MAX_ACTOR_LENGTH}"
        )
    if name in {".", ".."} or "/" in name or "\\" in name:
        raise RegistryError(
            f"the actor's id {shown} looks like a path: use a name without / and \\"
        )
    for character in name:
        category = unicodedata.category(character)
        if category in _FORBIDDEN_CATEGORIES and character not in _JOINERS:
            raise RegistryError(
                f"the actor's id {shown} contains the unprintable character "
                f"U+{ord(character):04X}: use printable characters only"
            )
    return name


def check_file_names(names: list[str]) -> None:
    """Refuse names that some file system or archive could read as something else.

    Raises:
        RegistryError: not plain ASCII, a path, or two names that differ in case only.
    """
    seen: set[str] = set()
    for name in names:
        if not _FILE_NAME.fullmatch(name):
            raise RegistryError(
                f"{name[:60]!a} cannot name a stored file: use 1 to 100 letters, digits, "
                "'.', '_' or '-', beginning with a letter or digit"
            )
        if name.lower() in seen:
            raise RegistryError(f"{name!r} is there twice: name every stored file once")
        seen.add(name.lower())
