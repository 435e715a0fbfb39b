"""Confusable ids: skeletons by Unicode Technical Standard 39.

The table of confusable characters is that of the package confusable-homoglyphs.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# Marks of writing direction, which the table puts around right-to-left letters. They are removed.
_DIRECTION_MARKS = str.maketrans("", "", "\u200e\u200f")


def uts39_skeleton(text: str) -> str:
    """Return the skeleton of a text: texts that look alike have the same skeleton.

    Example:
        >>> uts39_skeleton("m\\u0430ry") == uts39_skeleton("mary")  # a Cyrillic a
        True

    Source: Unicode Technical Standard 39, Unicode Security Mechanisms, sec. 4 (confusable
    detection), without its bidirectional part.
    """
    before, found = "", unicodedata.normalize("NFD", text)
    # One replacement may give characters that the table replaces again.
    while found != before:
        before, found = found, unicodedata.normalize("NFD", found.translate(_prototype_table()))
    return found


@lru_cache(maxsize=1)
def _prototype_table() -> dict[int, str]:
    """Map every confusable character to its prototype: one character or text for each class.

    UTS 39's file maps characters to prototypes. The package's table lists the pairs in both
    directions, so the direction has to be found again: only a prototype has several partners, or
    several characters.
    """
    # Imported here: the table takes a while to load, and only a new id needs it.
    from confusable_homoglyphs.confusables import confusables_data

    table = {
        character.translate(_DIRECTION_MARKS): [
            entry["c"].translate(_DIRECTION_MARKS) for entry in entries
        ]
        for character, entries in confusables_data.items()
    }
    found = {}
    for character, others in table.items():
        longer = [each for each in others if len(each) > 1]
        # Texts cannot be keys of str.translate, and some entries name themselves.
        if len(character) > 1 or character in others:
            continue
        if longer:
            found[ord(character)] = longer[0]
        elif len(others) == 1:
            # In a class of two either could be the prototype; the smaller one is taken.
            alone = len(table.get(others[0], ())) == 1
            found[ord(character)] = min(character, others[0]) if alone else others[0]
    return found
