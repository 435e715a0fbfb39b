"""Consent records: reading, checking and keeping them with an actor.

A record is a JSON object that follows ``consent.schema.json`` (docs/consent.md). It is kept in a
revision's config, encrypted like the rest: ``config["consent"]`` is ``{"sha256", "record"}``.
``sha256`` is the hash of the record's canonical form (RFC 8785), so it does not depend on the
layout of the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from dubfew.errors import ConsentError
from dubfew.registry import strict_json
from dubfew.registry.placeholders import find_placeholder
from dubfew.utils.format_version import check_format_version

# The JSON Schema, a file of this package.
CONSENT_SCHEMA_NAME = "consent.schema.json"
# Newest version of records that this dubfew reads.
CONSENT_FORMAT_VERSION = 1
# Largest record that is read, bytes: twice a record with all lists full. Larger files are refused
# before they are parsed.
MAX_CONSENT_BYTES = 1 << 16
# End of every error about a malformed record.
EXAMPLE_ADVICE = "'dubfew consent example' shows a record"


@dataclass(frozen=True)
class ConsentRecord:
    """A consent record that follows the schema.

    Attributes:
        subject: person whose likeness it is.
        rights_holder: person or organization that may allow the use.
        basis: legal basis: "consent", "contract", "licence" or "law".
        uses: allowed uses, at least one.
        languages: allowed languages (BCP 47), at least one; "*" is all.
        territories: allowed countries (ISO 3166-1), or None for all.
        projects: allowed productions, or None for all.
        valid_from: first day on which it is valid, UTC.
        valid_to: last day on which it is valid, UTC, or None: until it is withdrawn.
        contact: address for questions and for a withdrawal.
        evidence_sha256: SHA-256 of the signed document, hexadecimal.
        minor: whether the subject is a minor.
        sha256: SHA-256 of the canonical record, hexadecimal.
        record: the parsed record.
    """

    subject: str
    rights_holder: str
    basis: str
    uses: tuple[str, ...]
    languages: tuple[str, ...]
    territories: tuple[str, ...] | None
    projects: tuple[str, ...] | None
    valid_from: date
    valid_to: date | None
    contact: str
    evidence_sha256: str
    minor: bool
    sha256: str
    record: dict[str, Any]

    @classmethod
    def from_record(cls, record: object, source: str) -> ConsentRecord:
        """Check a record and return it.

        Args:
            record: the parsed JSON.
            source: name of the record in error messages.

        Raises:
            ConsentError: The record does not follow the schema, or ends before it begins.
        """
        checked = _validate_record(record, source)
        ends = checked["valid_to"]
        # The schema has checked types and forms, so nothing can fail here.
        consent = cls(
            subject=checked["subject"],
            rights_holder=checked["rights_holder"],
            basis=checked["basis"],
            uses=tuple(checked["uses"]),
            languages=tuple(checked["languages"]),
            territories=_optional_tuple(checked, "territories"),
            projects=_optional_tuple(checked, "projects"),
            valid_from=date.fromisoformat(checked["valid_from"]),
            valid_to=None if ends is None else date.fromisoformat(ends),
            contact=checked["contact"],
            evidence_sha256=checked["evidence_sha256"],
            minor=checked["minor"],
            sha256=hashlib.sha256(strict_json.canonical_json(checked)).hexdigest(),
            record=checked,
        )
        # The schema cannot compare two dates.
        if consent.valid_to is not None and consent.valid_to < consent.valid_from:
            raise ConsentError(
                f"{source} is valid to {consent.valid_to}, before it begins on "
                f"{consent.valid_from}: correct one of the two"
            )
        return consent

    def to_config_entry(self) -> dict[str, Any]:
        """Return the value of "consent" in a revision's config."""
        return {"sha256": self.sha256, "record": self.record}

    def check_age(self, label: str) -> None:
        """Check that the subject is of age.

        Args:
            label: start of the error message, such as the actor's id.

        Raises:
            ConsentError: The subject is a minor.
        """
        if self.minor:
            raise ConsentError(
                f"{label}: the subject of the consent record is a minor, and dubfew neither "
                "learns nor renders minors"
            )

    def check_valid(self, day: date, label: str) -> None:
        """Check that the subject is of age and that the record is valid on a day.

        Args:
            day: the day, in UTC; the first and the last day of the record count.
            label: start of the error message, such as the actor's id.

        Raises:
            ConsentError: The subject is a minor, or the day is before or after the record's days.
        """
        self.check_age(label)
        # Both days are inclusive.
        if day < self.valid_from:
            raise ConsentError(
                f"{label}: the consent begins on {self.valid_from}, today is {day} (UTC): wait, or "
                "ask the rights holder"
            )
        if self.valid_to is not None and day > self.valid_to:
            raise ConsentError(
                f"{label}: the consent ended on {self.valid_to}, today is {day} (UTC): ask the "
                "rights holder for another, and delete the actor if there is none"
            )

    def check_new(self, day: date, label: str) -> None:
        """Check a record that is to be given to an actor: filled in, of age, not ended.

        Records that are stored already are not held to this, so that they stay readable.

        Args:
            day: today, in UTC.
            label: start of the error message, such as the name of the file.

        Raises:
            ConsentError: An entry is a placeholder or an invented hash, the subject is a minor, or
                the record's last day is over.
        """
        found = find_placeholder(self.record, example_consent())
        if found is not None:
            raise ConsentError(f"{label}: {found}: fill in the record, then give it again")
        # A record may begin later: it can be given to an actor before that.
        self.check_valid(max(day, self.valid_from), label)

    def covers_language(self, tag: str) -> bool:
        """Tell whether the record allows a language.

        Tags match by the basic filtering of RFC 4647, in every code that a language has ("deu" is
        "de"), and a macrolanguage covers its members ("zh" covers "cmn").
        """
        return any(
            allowed == "*" or asked == code or asked.startswith(f"{code}-")
            for allowed in self.languages
            for code in _language_codes(allowed)
            for asked in [*_language_codes(tag), *_macro_language_tags(tag)]
        )


def _language_codes(tag: str) -> list[str]:
    """Return a language tag in lower case, and the same with today's code of the language."""
    from langcodes import standardize_tag

    own = tag.lower()
    try:
        today = standardize_tag(tag).lower()
    except ValueError:  # the language is not registered
        return [own]
    # langcodes shortens "zh-cmn" to "zh". A record that allows the one does not allow all of "zh".
    return [own] if own.startswith(f"{today}-") else [own, today]


def _macro_language_tags(tag: str) -> list[str]:
    """Return the tag with the macrolanguage (ISO 639-3) of its language, if there is one."""
    from langcodes.data_dicts import MACROLANGUAGES

    language, dash, rest = _language_codes(tag)[-1].partition("-")
    macro = MACROLANGUAGES.get(language)
    return [f"{macro}{dash}{rest}"] if macro else []


def read_consent(path: Path | str) -> ConsentRecord:
    """Read a consent record from a file that is not trusted.

    Raises:
        ConsentError: The file cannot be read, is too large or does not follow the schema.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_CONSENT_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        found = getattr(error, "strerror", None) or "no path"
        raise ConsentError(f"{path} cannot be read ({found}): name a consent record") from error
    if len(data) > MAX_CONSENT_BYTES:
        raise ConsentError(
            f"{path} is larger than {MAX_CONSENT_BYTES >> 10} KiB, so it is not a consent record: "
            f"{EXAMPLE_ADVICE}"
        )
    try:
        record = strict_json.parse_strict_json(data)
    except ValueError as error:
        raise ConsentError(f"{path} is not a consent record ({error}): {EXAMPLE_ADVICE}") from None
    return ConsentRecord.from_record(record, str(path))


def consent_from_config(config: Mapping[str, Any], actor: str) -> ConsentRecord | None:
    """Return the consent record in a revision's config, or None.

    Args:
        config: the revision's config.
        actor: the actor's id, for error messages.

    Raises:
        ConsentError: The value is not a consent record, or its hash is not the stored one.
    """
    kept = config.get("consent")
    if kept is None:
        return None
    source = f"what is kept as consent of {actor!r}"
    # An older dubfew kept any JSON as consent; only this form is a record.
    if not (isinstance(kept, dict) and kept.keys() == {"sha256", "record"}):
        raise ConsentError(
            f"{source} is not a consent record: give one with 'dubfew consent attach'"
        )
    consent = ConsentRecord.from_record(kept["record"], source)
    # An exchanged record must not pass under the hash that credentials and log name.
    if consent.sha256 != kept["sha256"]:
        raise ConsentError(
            f"{source} has not the SHA-256 that is noted with it: give the record again with "
            "'dubfew consent attach'"
        )
    return consent


def today_utc() -> date:
    """Return today's date in UTC, by which consent begins and ends."""
    return datetime.now(timezone.utc).date()


def load_consent_schema() -> dict[str, Any]:
    """Return the JSON Schema of consent records, draft 2020-12."""
    text = (files("dubfew.registry") / CONSENT_SCHEMA_NAME).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def example_consent() -> dict[str, Any]:
    """Return a record to start from; its values describe what belongs in each field."""
    return {
        "format_version": 1,
        "subject": "name of the person who is shown",
        "rights_holder": "name of who may allow it",
        "basis": "consent",
        "uses": ["dubbing"],
        "languages": ["de", "en"],
        "territories": ["AT", "DE"],
        "projects": ["title of the production"],
        "valid_from": "2026-01-01",
        "valid_to": "2027-12-31",
        "contact": "address for questions and for a withdrawal",
        "evidence_sha256": hashlib.sha256(b"the signed document").hexdigest(),
        "minor": False,
    }


def _optional_tuple(record: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    """Return a list of the record as a tuple, or None where the record does not have it."""
    return tuple(record[key]) if key in record else None


def _validate_record(record: object, source: str) -> dict[str, Any]:
    """Check a record against the schema and return it."""
    # Imported here: jsonschema takes longer to load than everything else in the registry.
    from jsonschema.exceptions import best_match

    try:
        # Also for records from a config, which were parsed by another reader.
        strict_json.check_strict_json(record)
    except ValueError as error:
        raise ConsentError(
            f"{source} is not a consent record ({error}): {EXAMPLE_ADVICE}"
        ) from None
    version = record.get("format_version") if isinstance(record, dict) else None
    if type(version) is int and version > CONSENT_FORMAT_VERSION:  # the schema refuses the rest
        check_format_version(version, CONSENT_FORMAT_VERSION, source, ConsentError)
    # best_match picks the violation nearest to the root, which explains most.
    wrong = best_match(_schema_validator().iter_errors(record))
    if wrong is not None:
        raise ConsentError(f"{source}: {_explain_violation(wrong)}: {EXAMPLE_ADVICE}")
    assert isinstance(record, dict)
    return record


def _explain_violation(error: Any) -> str:
    """Describe a violation of the schema in one short printable line."""
    if error.validator == "additionalProperties":
        extra = sorted(set(error.instance) - set(error.schema["properties"]))[0]
        return f"the key {extra[:40]!a} is unknown"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"the key {missing!r} is missing"
    # The path in the record, such as "uses[2]".
    place = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path
    ).lstrip(".")
    found = ascii(error.instance)[:60]
    if not place:
        return f"it is {found}: expected an object"
    return f"{place} is {found}: expected {error.schema['description']}"


@lru_cache(maxsize=1)
def _schema_validator() -> Any:
    """Build the validator of the schema, once per process."""
    from jsonschema import Draft202012Validator, FormatChecker

    return Draft202012Validator(load_consent_schema(), format_checker=FormatChecker(["date"]))
