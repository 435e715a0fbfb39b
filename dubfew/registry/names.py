"""What an actor and a stored file may be called."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from dubfew.errors import RegistryError
from dubfew.registry.confusables import uts39_skeleton

MAX_ACTOR_ID_LENGTH = 100

# Flat and plain, so that a name means the same file on every system and in every zip.
_FILE_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

# Windows takes these for devices, in every folder and with any ending.
_WINDOWS_DEVICE_PATTERN = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.I
)

# Letters of Cyrillic and Greek, case folded, whose capital or small form looks like one of Latin:
# from confusables.txt of Unicode Technical Standard 39, the letters of modern alphabets.
_LOOKALIKE_LETTERS = str.maketrans(
    "авеѕіјкмнорстухһԁԛԝαβεικνορτυχ\u0131",
    "abesijkmhopctyxhdqwabeiknoptyxi",
)

# Cc control, Cf invisible formatting, Cs lone surrogates, Zl and Zp line breaks.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Joiners are Cf too, but words of Persian or Hindi and many emoji need them.
_JOINER_CHARACTERS = frozenset({"\u200c", "\u200d"})


def normalize_actor_id(actor: str) -> str:
    """The id under which ``actor`` is stored: the same text, in Unicode form NFC.

    File systems disagree about the form of a name ("é" as one character or two), and an id
    is often a file's stem, so both forms have to mean the same actor.

    Raises:
        RegistryError: empty, longer than 100 characters, not printable on one line, a path, or
            the name of a device of Windows.
    """
    name = unicodedata.normalize("NFC", actor)
    shown = ascii(name[:40])
    if not name.strip():
        raise RegistryError("the actor's id is empty: give it at least one visible character")
    if len(name) > MAX_ACTOR_ID_LENGTH:
        raise RegistryError(
            f"the actor's id {shown}... has {len(name)} characters: use at most "
            f"{MAX_ACTOR_ID_LENGTH}"
        )
    if name in {".", ".."} or "/" in name or "\\" in name:
        raise RegistryError(
            f"the actor's id {shown} looks like a path: use a name without / and \\"
        )
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
    """What ids that look alike have in common, as do "mary", "Mary", and one with a Cyrillic a.

    Unicode form NFKC, case folded, joiners and outer spaces away, look-alike letters of Cyrillic
    and Greek as Latin ones. Only for comparing; ids are stored as they were given. Tombstones are
    made from it, so it stays as it is; :func:`check_distinct` looks closer.
    """
    folded = unicodedata.normalize("NFKC", actor).casefold()
    folded = unicodedata.normalize("NFKC", folded).translate(_LOOKALIKE_LETTERS)
    return " ".join("".join(each for each in folded if each not in _JOINER_CHARACTERS).split())


def check_distinct(actor: str, others: Iterable[str]) -> None:
    """Refuse a new id that looks like one that exists: one of the two would be taken for the
    other, and in a deletion the wrong one would stay.

    Raises:
        RegistryError: it does.
    """
    wanted = _lookalike_keys(actor)
    for other in others:
        if other != actor and not wanted.isdisjoint(_lookalike_keys(other)):
            raise RegistryError(
                f"the actor's id {ascii(actor)[:60]} looks like {ascii(other)[:60]}, who exists: "
                "use that id, or one that differs visibly"
            )


def _lookalike_keys(actor: str) -> set[str]:
    """What an id looks like, in its own case and in none; ids that share one look alike."""
    plain = lookalike_key(actor)
    own = " ".join("".join(each for each in actor if each not in _JOINER_CHARACTERS).split())
    seen = uts39_skeleton(own)
    return {plain, uts39_skeleton(plain), seen, uts39_skeleton(seen.casefold())}


def check_file_names(names: list[str]) -> None:
    """Refuse names that some file system or archive could read as something else.

    Raises:
        RegistryError: not plain ASCII, a path, or two names that differ in case only.
    """
    seen: set[str] = set()
    for name in names:
        if not _FILE_NAME_PATTERN.fullmatch(name):
            raise RegistryError(
                f"{name[:60]!a} cannot name a stored file: use 1 to 100 letters, digits, "
                "'.', '_' or '-', beginning with a letter or digit"
            )
        if name.endswith(".") or _WINDOWS_DEVICE_PATTERN.fullmatch(name):
            raise RegistryError(
                f"{name!r} cannot name a stored file: Windows reads it as something else"
            )
        if name.lower() in seen:
            raise RegistryError(f"{name!r} is there twice: name every stored file once")
        seen.add(name.lower())
