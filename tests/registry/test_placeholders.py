"""Consent records that were not filled in."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

import pytest

from dubfew.errors import ConsentError
from dubfew.registry.consent import ConsentRecord, example_consent
from dubfew.registry.placeholders import find_placeholder
from tests.consents import filled_consent


def test_a_filled_record_has_no_placeholder() -> None:
    names = {"subject": "Test Choir of the Unknown", "contact": "Contact Studio, Example Street"}
    for changes in ({}, names):
        assert find_placeholder(filled_consent(**changes), example_consent()) is None


@pytest.mark.parametrize("key", ["subject", "rights_holder", "contact", "evidence_sha256"])
def test_each_entry_of_the_example_is_found(key: str) -> None:
    found = find_placeholder(filled_consent(**{key: example_consent()[key]}), example_consent())
    assert found is not None
    assert found.startswith(key)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "TODO"},
        {"subject": "<name>"},
        {"subject": "???"},
        {"rights_holder": "tbd"},
        {"rights_holder": "todo: ask the agency"},
        {"contact": "legal@example.com"},
        {"projects": ["A film", "title of the production"]},
        {"evidence_sha256": "0" * 64},
        {"evidence_sha256": "0123456789abcdef" * 4},
        {"evidence_sha256": "deadbeef" * 8},
        {"evidence_sha256": "12" * 32},
        {"evidence_sha256": hashlib.sha256(b"").hexdigest()},
    ],
)
def test_texts_and_hashes_that_say_nothing_are_found(changes: dict[str, Any]) -> None:
    assert find_placeholder(filled_consent(**changes), example_consent()) is not None


def test_hashes_of_documents_are_not_taken_for_invented() -> None:
    for number in range(200):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        assert find_placeholder(filled_consent(evidence_sha256=digest), example_consent()) is None


def test_a_new_record_may_begin_later_but_not_have_ended() -> None:
    record = ConsentRecord.from_record(
        filled_consent(valid_from="2026-07-01", valid_to="2026-07-31"), "test"
    )
    record.check_new(date(2026, 6, 15), "test")
    with pytest.raises(ConsentError, match="ended on 2026-07-31"):
        record.check_new(date(2026, 8, 1), "test")
