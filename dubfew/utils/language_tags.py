"""Language tags (BCP 47): whether a tag names a language, and which tag was meant by a name."""

from __future__ import annotations

import difflib

from dubfew.errors import DubfewError

# Tags by the English name of the language and its own name, for users who write the name. The
# languages into which films are dubbed or subtitled most.
LANGUAGE_NAMES = {
    "ar": ("arabic", "العربية"),
    "bg": ("bulgarian", "български"),
    "bn": ("bengali", "বাংলা"),
    "ca": ("catalan", "català"),
    "cs": ("czech", "čeština"),
    "cy": ("welsh", "cymraeg"),
    "da": ("danish", "dansk"),
    "de": ("german", "deutsch"),
    "el": ("greek", "ελληνικά"),
    "en": ("english",),
    "es": ("spanish", "español"),
    "et": ("estonian", "eesti"),
    "eu": ("basque", "euskara"),
    "fa": ("persian", "farsi", "فارسی"),
    "fi": ("finnish", "suomi"),
    "fil": ("filipino",),
    "fr": ("french", "français"),
    "ga": ("irish", "gaeilge"),
    "gl": ("galician", "galego"),
    "he": ("hebrew", "עברית"),
    "hi": ("hindi", "हिन्दी"),
    "hr": ("croatian", "hrvatski"),
    "hu": ("hungarian", "magyar"),
    "id": ("indonesian",),
    "is": ("icelandic", "íslenska"),
    "it": ("italian", "italiano"),
    "ja": ("japanese", "日本語"),
    "ko": ("korean", "한국어"),
    "lt": ("lithuanian", "lietuvių"),
    "lv": ("latvian", "latviešu"),
    "ml": ("malayalam",),
    "ms": ("malay", "melayu"),
    "nb": ("bokmål",),
    "nl": ("dutch", "nederlands"),
    "no": ("norwegian", "norsk"),
    "pl": ("polish", "polski"),
    "pt": ("portuguese", "português"),
    "pt-BR": ("brazilian", "brazilian portuguese"),
    "ro": ("romanian", "română"),
    "ru": ("russian", "русский"),
    "sk": ("slovak", "slovenčina"),
    "sl": ("slovenian", "slovenščina"),
    "sr": ("serbian", "српски"),
    "sv": ("swedish", "svenska"),
    "sw": ("swahili", "kiswahili"),
    "ta": ("tamil", "தமிழ்"),
    "te": ("telugu", "తెలుగు"),
    "th": ("thai", "ไทย"),
    "tr": ("turkish", "türkçe"),
    "uk": ("ukrainian", "українська"),
    "ur": ("urdu", "اردو"),
    "vi": ("vietnamese", "tiếng việt"),
    "yue": ("cantonese", "粵語"),
    "zh": ("chinese", "mandarin", "中文"),
}


def check_language_tag(tag: str) -> None:
    """Check that a tag names a language that exists.

    Args:
        tag: language tag such as ``de`` or ``pt-BR``.

    Raises:
        DubfewError: There is no such language; the message has the tag that was probably meant.
    """
    # Imported here: most commands name no language.
    from langcodes import tag_is_valid

    if tag_is_valid(tag):
        return
    meant = suggest_language_tag(tag)
    question = f"did you mean {meant!r}? A" if meant else "a"
    raise DubfewError(
        f"--language {ascii(tag)[:60]} is no language code: {question} code is short, such as de, "
        "en or pt-BR"
    )


def suggest_language_tag(name: str) -> str | None:
    """Find the tag of a language by its name, which may have a typing error.

    Example:
        >>> suggest_language_tag("Germn")
        'de'
    """
    by_name = {each: tag for tag, names in LANGUAGE_NAMES.items() for each in names}
    close = difflib.get_close_matches(name.casefold(), by_name, n=1)
    return by_name[close[0]] if close else None
