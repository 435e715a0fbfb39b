"""Language tags, and names that are written in their place."""

from __future__ import annotations

import pytest

from dubfew.errors import DubfewError
from dubfew.utils.language_tags import LANGUAGE_NAMES, check_language_tag


@pytest.mark.parametrize("tag", ["de", "de-AT", "deu", "pt-br", "cmn", "es-419", *LANGUAGE_NAMES])
def test_codes_are_accepted(tag: str) -> None:
    check_language_tag(tag)


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("German", "de"),
        ("german", "de"),
        ("Deutsch", "de"),
        ("french", "fr"),
        ("Portugese", "pt"),
        ("日本語", "ja"),
    ],
)
def test_names_lead_to_the_code(name: str, tag: str) -> None:
    with pytest.raises(DubfewError, match=f"no language code: did you mean '{tag}'"):
        check_language_tag(name)


def test_a_word_that_is_no_language() -> None:
    with pytest.raises(DubfewError, match="no language code: a code is short"):
        check_language_tag("zzzzz")
