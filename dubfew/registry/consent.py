"""Consent records: what was allowed, and whether that covers what is asked for.

A record is a JSON object after ``consent.schema.json`` (docs/consent.md). It is kept in a
revision's config, encrypted like the rest: ``config["consent"]`` is ``{"sha256", "record"}``, where
``sha256`` is that of the record's canonical form (RFC 8785), whatever the file's own layout was.
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
from dubfew.utils.format_version import check_format_version

CONSENT_SCHEMA_NAME = "consent.schema.json"
CONSENT_FORMAT_VERSION = 1
MAX_CONSENT_BYTES = 1 << 16
EXAMPLE_ADVICE = "'dubfew consent example' shows a record"


@dataclass(frozen=True)
class ConsentRecord:
    """A record, checked. The fields are those of the schema.

    Attributes:
        uses, languages: at least one each.
        territories, projects: None where the record does not restrict them.
        valid_to: None: until it is withdrawn.
        sha256: of the canonical record.
        record: what the file says.
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
        """Check a record.

        Args:
            source: what to call it in an error.

        Raises:
            ConsentError: it does not follow the schema.
        """
        checked = _validate_record(record, source)
        ends = checked["valid_to"]
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
        if consent.valid_to is not None and consent.valid_to < consent.valid_from:
            raise ConsentError(
                f"{source} is valid to {consent.valid_to}, before it begins on "
                f"{consent.valid_from}: correct one of the two"
            )
        return consent

    def to_config_entry(self) -> dict[str, Any]:
        """What a revision's config keeps as "consent"."""
        return {"sha256": self.sha256, "record": self.record}

    def check_age(self, label: str) -> None:
        """See that the subject is of age.

        Args:
            label: who or what the record is for, to begin the error with.

        Raises:
            ConsentError: the record says otherwise.
        """
        if self.minor:
            raise ConsentError(
                f"{label}: the consent record says that the subject is a minor, and dubfew neither "
                "learns nor renders minors"
            )

    def check_valid(self, day: date, label: str) -> None:
        """See that the subject is of age and that ``day`` lies between the record's days.

        Args:
            label: who or what the record is for, to begin the error with.

        Raises:
            ConsentError: one of these does not hold.
        """
        self.check_age(label)
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

    def covers_language(self, tag: str) -> bool:
        """Whether a language is among the record's: by the basic filtering of RFC 4647, in every
        code that a language has ("deu" is "de"), and within macro-languages ("zh" covers "cmn")."""
        return any(
            each == "*" or wanted == known or wanted.startswith(f"{known}-")
            for each in self.languages
            for known in _language_codes(each)
            for wanted in [*_language_codes(tag), *_macro_language_tags(tag)]
        )


def _language_codes(tag: str) -> list[str]:
    """A language tag, small, and the same in the codes of today."""
    from langcodes import standardize_tag

    own = tag.lower()
    try:
        today = standardize_tag(tag).lower()
    except ValueError:  # no language that is registered
        return [own]
    # "zh-cmn" is no more than "zh" to langcodes: who allowed the one has not allowed all others.
    return [own] if own.startswith(f"{today}-") else [own, today]


def _macro_language_tags(tag: str) -> list[str]:
    """The same with the macro-language (ISO 639-3) that its language is of, if there is one."""
    from langcodes.data_dicts import MACROLANGUAGES

    language, dash, rest = _language_codes(tag)[-1].partition("-")
    macro = MACROLANGUAGES.get(language)
    return [f"{macro}{dash}{rest}"] if macro else []


def read_consent(path: Path | str) -> ConsentRecord:
    """Read a record from a file, which may come from anybody.

    Raises:
        ConsentError: it cannot be read, is too large or does not follow the schema.
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
    """The record that is kept with a revision, or None.

    Raises:
        ConsentError: what is kept is no record, or has another hash than is noted beside it.
    """
    kept = config.get("consent")
    if kept is None:
        return None
    source = f"what is kept as consent of {actor!r}"
    if not (isinstance(kept, dict) and kept.keys() == {"sha256", "record"}):
        raise ConsentError(
            f"{source} is not a consent record: give one with 'dubfew consent attach'"
        )
    consent = ConsentRecord.from_record(kept["record"], source)
    if consent.sha256 != kept["sha256"]:
        raise ConsentError(
            f"{source} has not the SHA-256 that is noted with it: give the record again with "
            "'dubfew consent attach'"
        )
    return consent


def today_utc() -> date:
    """The day in UTC, by which consent begins and ends."""
    return datetime.now(timezone.utc).date()


def load_consent_schema() -> dict[str, Any]:
    """The JSON Schema of records, draft 2020-12."""
    text = (files("dubfew.registry") / CONSENT_SCHEMA_NAME).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def example_consent() -> dict[str, Any]:
    """A record to start from: its own text says what belongs where."""
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
    return tuple(record[key]) if key in record else None


def _validate_record(record: object, source: str) -> dict[str, Any]:
    from jsonschema.exceptions import best_match

    try:
        strict_json.check_strict_json(record)
    except ValueError as error:
        raise ConsentError(
            f"{source} is not a consent record ({error}): {EXAMPLE_ADVICE}"
        ) from None
    version = record.get("format_version") if isinstance(record, dict) else None
    if type(version) is int and version > CONSENT_FORMAT_VERSION:  # the schema refuses the rest
        check_format_version(version, CONSENT_FORMAT_VERSION, source, ConsentError)
    wrong = best_match(_schema_validator().iter_errors(record))
    if wrong is not None:
        raise ConsentError(f"{source}: {_explain_violation(wrong)}: {EXAMPLE_ADVICE}")
    assert isinstance(record, dict)
    return record


def _explain_violation(error: Any) -> str:
    """One short line, whatever the record holds."""
    if error.validator == "additionalProperties":
        extra = sorted(set(error.instance) - set(error.schema["properties"]))[0]
        return f"the key {extra[:40]!a} is unknown"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"the key {missing!r} is missing"
    place = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path
    ).lstrip(".")
    found = ascii(error.instance)[:60]
    if not place:
        return f"it is {found}: expected an object"
    return f"{place} is {found}: expected {error.schema['description']}"


@lru_cache(maxsize=1)
def _schema_validator() -> Any:
    from jsonschema import Draft202012Validator, FormatChecker

    return Draft202012Validator(load_consent_schema(), format_checker=FormatChecker(["date"]))
