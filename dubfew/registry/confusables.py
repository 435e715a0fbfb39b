"""Which ids look alike, by the table of confusable characters of Unicode Technical Standard 39.

The table is that of confusable-homoglyphs; it is read when an actor is stored, never for a listing.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# Entries of right-to-left letters stand between marks of direction.
_DIRECTION_MARKS = str.maketrans("", "", "\u200e\u200f")


def uts39_skeleton(text: str) -> str:
    """The skeleton of a text: what looks like it has the same.

    Source: UTS 39, sec. 4 (confusable detection), without its bidirectional part.
    """
    before, found = "", unicodedata.normalize("NFD", text)
    while found != before:
        before, found = found, unicodedata.normalize("NFD", found.translate(_prototype_table()))
    return found


@lru_cache(maxsize=1)
def _prototype_table() -> dict[int, str]:
    """For a character the one that stands for all that look like it, where that is another.

    The table names for every character those on the other side of the arrow of UTS 39's file, in
    both directions. Only what stands for others has several names there, or is several characters.
    """
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
        if len(character) > 1 or character in others:
            continue
        if longer:
            found[ord(character)] = longer[0]
        elif len(others) == 1:
            # Of two that have nobody else, either could stand for the other: it has to be one.
            alone = len(table.get(others[0], ())) == 1
            found[ord(character)] = min(character, others[0]) if alone else others[0]
    return found
