"""Rules for the ids of actors and the names of stored files."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

from dubfew.errors import RegistryError
from dubfew.registry.confusables import uts39_skeleton

# Longest id, characters. Ids appear in listings and error messages, which have one line.
MAX_ACTOR_ID_LENGTH = 100

# Flat names in plain ASCII mean the same file on every system and in every zip.
_FILE_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

# Names that Windows takes for devices, in every folder and with any suffix.
_WINDOWS_DEVICE_PATTERN = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.I
)

# Case-folded Cyrillic and Greek letters whose upper or lower case looks like a Latin letter: the
# letters of modern alphabets in confusables.txt of Unicode Technical Standard 39. Tombstones are
# computed from the result, so the table must not change.
_LOOKALIKE_LETTERS = str.maketrans(
    "авеѕіјкмнорстухһԁԛԝαβεικνορτυχ\u0131",
    "abesijkmhopctyxhdqwabeiknoptyxi",
)

# Unicode categories that ids must not contain: control (Cc), invisible formatting (Cf), lone
# surrogates (Cs), line breaks (Zl and Zp).
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Exceptions from category Cf: words of Persian or Hindi and many emoji need joiners.
_JOINER_CHARACTERS = frozenset({"\u200c", "\u200d"})


def normalize_actor_id(actor: str) -> str:
    """Return an id in Unicode form NFC, the form in which it is stored.

    File systems disagree about the form of a name ("é" as one character or two), and an id is
    often a file's stem, so both forms must mean the same actor.

    Raises:
        RegistryError: The id is empty, longer than 100 characters, not printable on one line, a
            path, or the name of a Windows device.

    Example:
        >>> normalize_actor_id("Zoe\\u0308") == "Zo\\u00eb"
        True
    """
    name = unicodedata.normalize("NFC", actor)
    # Error messages show ids in ASCII: control characters must not reach a terminal.
    shown = ascii(name[:40])
    if not name.strip():
        raise RegistryError("the actor's id is empty: give it at least one visible character")
    if len(name) > MAX_ACTOR_ID_LENGTH:
        raise RegistryError(
            f"the actor's id {shown}... has {len(name)} characters: use at most "
            f"{MAX_ACTOR_ID_LENGTH}"
        )
    # An id becomes part of file names in many tools, although not in the registry.
    if name in {".", ".."} or "/" in name or "\\" in name:
        raise RegistryError(
            f"the actor's id {shown} looks like a path: use a name without / and \\"
        )
    # Invisible characters would make two ids look the same.
    for character in name:
        category = unicodedata.category(character)
        if category in _FORBIDDEN_CATEGORIES and character not in _JOINER_CHARACTERS:
            raise RegistryError(
                f"the actor's id {shown} contains the unprintable character "
                f"U+{ord(character):04X}: use printable characters only"
            )
    if _WINDOWS_DEVICE_PATTERN.fullmatch(name.strip()):
        raise RegistryError(
            f"the actor's id {shown} is a device's name on Windows: use another, such as "
            f"{'actor-' + name[:30]!a}"
        )
    return name


def lookalike_key(actor: str) -> str:
    """Return the comparison key of an id; ids that look alike have the same key.

    The key is the id in Unicode form NFKC, case folded, without joiners and outer spaces, with
    confusable Cyrillic and Greek letters replaced by Latin ones. Tombstones are computed from it,
    so it must not change. :func:`check_distinct` compares more closely.

    Example:
        >>> lookalike_key("Mary") == lookalike_key("m\\u0430ry")  # a Cyrillic a
        True
    """
    # Folding may give characters that NFKC changes again, hence twice.
    folded = unicodedata.normalize("NFKC", actor).casefold()
    folded = unicodedata.normalize("NFKC", folded).translate(_LOOKALIKE_LETTERS)
    return _without_joiners(folded)


def check_distinct(actor: str, others: Iterable[str]) -> None:
    """Refuse a new id that is confusable with an existing one.

    One of the two would be mistaken for the other, and a deletion might remove the wrong one.

    Args:
        actor: the new id.
        others: the existing ids.

    Raises:
        RegistryError: The id is confusable with one of the others.
    """
    keys = _lookalike_keys(actor)
    for other in others:
        if other != actor and not keys.isdisjoint(_lookalike_keys(other)):
            raise RegistryError(
                f"the actor's id {ascii(actor)[:60]} looks like {ascii(other)[:60]}, which exists: "
                "use that id, or one that differs visibly"
            )


def _lookalike_keys(actor: str) -> set[str]:
    """Return all comparison keys of an id, with and without case; sharing one is confusable."""
    plain = lookalike_key(actor)
    skeleton = uts39_skeleton(_without_joiners(actor))
    return {plain, uts39_skeleton(plain), skeleton, uts39_skeleton(skeleton.casefold())}


def _without_joiners(text: str) -> str:
    """Remove joiners and outer spaces, and make every inner space a single one."""
    return " ".join("".join(each for each in text if each not in _JOINER_CHARACTERS).split())


def check_file_names(names: list[str]) -> None:
    """Refuse names of stored files that a file system or an archive could interpret otherwise.

    Raises:
        RegistryError: A name is not plain ASCII, is a path or a Windows device, or two names
            differ in case only.
    """
    seen: set[str] = set()
    for name in names:
        if not _FILE_NAME_PATTERN.fullmatch(name):
            raise RegistryError(
                f"{name[:60]!a} cannot name a stored file: use 1 to 100 letters, digits, "
                "'.', '_' or '-', beginning with a letter or digit"
            )
        # Windows drops a final dot.
        if name.endswith(".") or _WINDOWS_DEVICE_PATTERN.fullmatch(name):
            raise RegistryError(
                f"{name!r} cannot name a stored file: Windows reads it as something else"
            )
        # File systems of Windows and macOS ignore case.
        if name.lower() in seen:
            raise RegistryError(f"{name!r} is there twice: name every stored file once")
        seen.add(name.lower())


def suggest_actor_id(actor: str, known: Iterable[str]) -> str | None:
    """Find the known id that was probably meant by one that does not exist.

    Args:
        actor: id that does not exist.
        known: ids that exist.

    Returns:
        The most similar id, whatever the case of its letters; None where none is similar.

    Example:
        >>> suggest_actor_id("Mary", ["mary", "john"])
        'mary'
    """
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(actor.casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None
