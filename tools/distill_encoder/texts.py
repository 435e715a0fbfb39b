"""Texts for synthesizers: sentences, word lists and commands in many languages."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from dubfew.speech.espeak import load_sentences

# Locale of the word lists for language codes of espeak-ng that are not locales themselves.
_LOCALES = {
    "cmn": "zh",
    "en-gb": "en_GB",
    "en-gb-x-rp": "en_GB",
    "en-us": "en",
    "pt-br": "pt_BR",
}
# Words of the GRID corpus' commands (Cooke et al. 2006), one of each in turn.
_COMMAND_WORDS = (
    ("bin", "lay", "place", "set"),
    ("blue", "green", "red", "white"),
    ("at", "by", "in", "with"),
    tuple("abcdefghijklmnopqrstuvxyz"),
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ("again", "now", "please", "soon"),
)
# Shares of texts: commands among English texts, and sentences among others. What is left is prose
# in English and word lists in other languages.
_COMMAND_SHARE, _SENTENCE_SHARE = 0.12, 0.4
# Characters of a word list: about four seconds of speech. A Chinese character is a syllable.
_LIST_CHARACTERS, _SYLLABIC_LIST_CHARACTERS = 55, 22
_SYLLABIC_LANGUAGES = ("cmn", "ja", "ko")
# Commas of languages that have one of their own.
_COMMAS = {"ja": "\N{IDEOGRAPHIC COMMA}", "cmn": "\N{FULLWIDTH COMMA}"}
# Lengths of prose sentences in characters: one to seven seconds.
_PROSE_CHARACTERS = (25, 110)


def make_text(language: str, rng: np.random.Generator) -> str:
    """Make a text of some seconds.

    Args:
        language: espeak-ng's language code.
        rng: source of randomness.
    """
    share = rng.random()
    sentences = load_sentences()
    if language.startswith("en"):
        if share < _COMMAND_SHARE:
            return " ".join(str(rng.choice(words)) for words in _COMMAND_WORDS)
        prose = _english_prose()
        return prose[rng.integers(len(prose))]
    if share < _SENTENCE_SHARE and language in sentences:
        return sentences[language][rng.integers(len(sentences[language]))]
    words = _words(language)
    syllabic = language in _SYLLABIC_LANGUAGES
    length = _SYLLABIC_LIST_CHARACTERS if syllabic else _LIST_CHARACTERS
    text = ""
    while len(text) < length:
        comma = _COMMAS.get(language) or str(rng.choice([" ", " ", " ", ", "]))
        text += words[rng.integers(len(words))] + comma
    return text.strip(" ," + "".join(_COMMAS.values()))


@cache
def _english_prose() -> list[str]:
    """Collect the plain sentences of Python's own manual, and those that dubfew has."""
    from pydoc_data.topics import topics

    manual = re.sub(r"\s+", " ", " ".join(topics.values()))
    low, high = _PROSE_CHARACTERS
    return load_sentences()["en-us"] + [
        sentence
        for sentence in re.split(r"(?<=[.;:])\s+", manual)
        if low < len(sentence) < high
        and sentence.count(" ") > 4
        and re.fullmatch(r"[A-Za-z ,.'\-;:]+", sentence)
    ]


@cache
def _words(language: str) -> list[str]:
    """List names of countries, languages, months, days and currencies in a language."""
    from babel import Locale

    locale = Locale.parse(_LOCALES.get(language, language.replace("-", "_")))
    names = [
        *locale.territories.values(),
        *locale.languages.values(),
        *locale.months["format"]["wide"].values(),
        *locale.days["format"]["wide"].values(),
        *locale.currencies.values(),
    ]
    return [name for name in names if len(name) < 30 and not re.search(r"[0-9(){}\[\]]", name)]
