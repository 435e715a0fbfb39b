"""Consent records: malformed ones are refused in one line, and sound ones are enforced."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dubfew.errors import ConsentError, DubfewError
from dubfew.registry import consent as module
from dubfew.registry.consent import (
    ConsentRecord,
    consent_from_config,
    example_consent,
    read_consent,
)
from dubfew.registry.policy import (
    RegistryPolicy,
    RenderPurpose,
    check_learning_allowed,
    check_render_allowed,
    read_policy,
)

STRICT = RegistryPolicy(require_consent=True)
DAY = date(2026, 6, 15)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def record(**changes: object) -> dict[str, object]:
    """Return the example record with some entries changed; ``...`` removes one."""
    changed = copy.deepcopy(example_consent()) | changes
    return {key: value for key, value in changed.items() if value is not ...}


def consent(**changes: object) -> ConsentRecord:
    return ConsentRecord.from_record(record(**changes), "test")


def assert_refused(content: bytes, folder: Path) -> str:
    path = folder / "consent.json"
    path.write_bytes(content)
    with pytest.raises(ConsentError) as caught:
        read_consent(path)
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 600
    return line


def test_the_example_follows_the_schema(tmp_path: Path) -> None:
    Draft202012Validator.check_schema(module._schema_validator().schema)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(example_consent(), indent=3))
    found = read_consent(path)
    assert found.uses == ("dubbing",)
    assert (found.valid_from, found.valid_to) == (date(2026, 1, 1), date(2027, 12, 31))
    assert found.record == example_consent()
    assert consent_from_config({"consent": found.to_config_entry()}, "mary") == found


def test_the_hash_is_of_the_content_and_not_of_the_layout(tmp_path: Path) -> None:
    texts = [
        json.dumps(example_consent(), indent=3),
        json.dumps(dict(reversed(example_consent().items()))),
    ]
    found = set()
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        found.add(read_consent(path).sha256)
    assert len(found) == 1
    assert consent(subject="somebody else").sha256 not in found


def test_the_hash_is_that_of_rfc_8785() -> None:
    # Made with another implementation of it: keys sorted, no spaces, letters as they are.
    import hashlib

    ours = consent(subject="Ünïcode \u20ac", territories=..., projects=...)
    text = (
        '{"basis":"consent","contact":"address for questions and for a withdrawal",'
        f'"evidence_sha256":"{ours.evidence_sha256}","format_version":1,"languages":["de","en"],'
        '"minor":false,"rights_holder":"name of who may allow it","subject":"Ünïcode €",'
        '"uses":["dubbing"],"valid_from":"2026-01-01","valid_to":"2027-12-31"}'
    )
    assert ours.sha256 == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"extra": 1}, "'extra' is unknown"),
        ({"a\nb\u2028" + "c" * 5000: 1}, "unknown"),
        ({"subject": ...}, "'subject' is missing"),
        ({"minor": ...}, "'minor' is missing"),
        ({"minor": 0}, "minor is 0"),
        ({"minor": "false"}, "expected true or false"),
        ({"format_version": 2}, "update dubfew"),
        ({"format_version": True}, "the number 1"),
        ({"format_version": 1.0}, "whole numbers"),
        ({"subject": ""}, "on one line"),
        ({"subject": " \t"}, "on one line"),
        ({"subject": "two\nlines"}, "on one line"),
        ({"subject": "x" * 201}, "1 to 200"),
        ({"subject": "\ud800"}, "surrogate"),
        ({"basis": "hearsay"}, "one of consent, contract"),
        ({"uses": []}, "1 to 50"),
        ({"uses": "dubbing"}, "1 to 50"),
        ({"uses": ["dubbing", "dubbing"]}, "different"),
        ({"uses": ["dubbing\n"]}, "hyphens"),
        ({"uses": [f"use-{n}" for n in range(51)]}, "1 to 50"),
        ({"languages": ["de_AT"]}, "BCP 47"),
        ({"languages": ["x"]}, "BCP 47"),
        ({"territories": ["at"]}, "capital"),
        ({"projects": []}, "1 to 100"),
        ({"valid_from": "2026-02-30"}, "a day"),
        ({"valid_from": "20260201"}, "a day"),
        ({"valid_from": None}, "a day"),
        ({"valid_to": "31.12.2027"}, "or null"),
        ({"valid_to": "2025-12-31"}, "before it begins"),
        ({"evidence_sha256": "F" * 64}, "64 digits"),
        ({"evidence_sha256": "0" * 63}, "64 digits"),
    ],
)
def test_violations_of_the_schema_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConsentError) as caught:
        consent(**changes)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "UTF-8"),
        (b"\x00" * 100, "not JSON"),
        (b"\x89PNG\r\n\x1a\n\xff", "UTF-8"),
        (b'{"minor": NaN}', "NaN"),
        (b'{"minor": -Infinity}', "Infinity"),
        (b'{"minor": 1e999}', "whole numbers"),
        (b'{"minor": ' + b"9" * 5000 + b"}", "not a consent record"),
        (b'{"minor": false, "minor": true}', "twice"),
        (b"[" * 60_000, "deep"),
        (b"[" * 30 + b"]" * 30, "deep"),
        (b'{"subject": "\\ud800"}', "surrogate"),
        (b" " * (1 << 16) + b"{}", "larger than 64 KiB"),
        (b"{}", "missing"),
        (b"[]", "expected an object"),
        (b"null", "expected an object"),
    ],
)
def test_files_that_are_not_records_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in assert_refused(content, tmp_path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path, "zero\0byte"):
        with pytest.raises(ConsentError, match="name a consent record"):
            read_consent(path)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
@pytest.mark.slow
def test_any_other_file_is_refused_in_one_line(tmp_path_factory, content) -> None:
    assert_refused(content, tmp_path_factory.getbasetemp())


@settings(max_examples=300, deadline=None)
@given(key=st.sampled_from([*example_consent()]), value=JSON)
@pytest.mark.slow
def test_any_other_entry_is_refused_or_kept_as_it_is(tmp_path_factory, key, value) -> None:
    path = tmp_path_factory.getbasetemp() / "one.json"
    path.write_text(json.dumps(record(**{key: value})))
    try:
        found = read_consent(path)
    except ConsentError as error:
        said = str(error)
    else:
        said = ""
        assert found.record[key] == value
        assert consent_from_config({"consent": found.to_config_entry()}, "mary") == found
    assert said.isprintable()


@settings(max_examples=200, deadline=None)
@given(kept=JSON | st.fixed_dictionaries({"sha256": JSON, "record": JSON}))
@pytest.mark.slow
def test_consent_in_an_import_is_checked(kept) -> None:
    if kept is None:
        assert consent_from_config({"consent": kept}, "mary") is None
        return
    with pytest.raises(ConsentError):
        consent_from_config({"consent": kept}, "mary")


def test_a_record_that_was_exchanged_is_found() -> None:
    kept = consent().to_config_entry() | {"record": record(uses=["anything"])}
    with pytest.raises(ConsentError, match="SHA-256"):
        consent_from_config({"consent": kept}, "mary")


@pytest.mark.parametrize(
    ("day", "said"),
    [
        (date(2025, 12, 31), "begins on 2026-01-01"),
        (date(2026, 1, 1), ""),
        (date(2027, 12, 31), ""),
        (date(2028, 1, 1), "ended on 2027-12-31"),
    ],
)
def test_the_first_and_the_last_day_count(day: date, said: str) -> None:
    purpose = RenderPurpose("dubbing", "de", "AT", "title of the production")
    if said:
        with pytest.raises(ConsentError, match=said):
            check_render_allowed("mary", consent(), purpose, STRICT, day)
        with pytest.raises(ConsentError, match=said):
            check_learning_allowed("mary", consent(), RegistryPolicy(), day)
    else:
        assert check_render_allowed("mary", consent(), purpose, STRICT, day) == ""
        assert check_learning_allowed("mary", consent(), STRICT, day) == ""


def test_days_are_those_of_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import datetime, timedelta, timezone

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            here = datetime(2027, 12, 31, 20, tzinfo=timezone(timedelta(hours=-6)))
            return here.astimezone(tz)

    monkeypatch.setattr(module, "datetime", Clock)
    assert module.today_utc() == date(2028, 1, 1)


def test_without_an_end_it_holds() -> None:
    assert check_learning_allowed("mary", consent(valid_to=None), STRICT, date(9999, 12, 31)) == ""


@pytest.mark.parametrize(
    ("languages", "wanted", "covered"),
    [
        (["de"], "de", True),
        (["de"], "de-AT", True),
        (["deu"], "de-AT", True),
        (["de"], "ger", True),
        (["iw"], "he", True),
        (["zh"], "cmn", True),
        (["zh"], "yue-HK", True),
        (["zh-HK"], "yue-HK", True),
        (["zh"], "zh-cmn-Hans", True),
        (["no"], "nb", True),
        (["no"], "nn-NO", True),
        (["ar"], "arz", True),
        (["sh"], "hr", True),
        # What is part of a language is not the whole of it, nor another part.
        (["cmn"], "zh", False),
        (["cmn"], "yue", False),
        (["zh-cmn"], "zh", False),
        (["zh-cmn"], "yue", False),
        (["nb"], "no", False),
        (["nb"], "nn", False),
        (["no"], "da", False),
        (["qaa"], "qaa-AT", True),
        (["de"], "DE-at", True),
        (["de"], "den", False),
        (["de"], "en", False),
        (["de-AT"], "de", False),
        (["de-AT"], "de-AT-1901", True),
        (["zh-Hant"], "zh-Hant-TW", True),
        (["zh-Hant"], "zh-TW", False),
        (["*"], "qqq", True),
        (["en", "pt-BR"], "pt-br", True),
    ],
)
def test_languages(languages: list[str], wanted: str, covered: bool) -> None:
    purpose, given = RenderPurpose("dubbing", wanted), consent(languages=languages)
    if covered:
        assert "language" not in check_render_allowed("mary", given, purpose, RegistryPolicy(), DAY)
    else:
        with pytest.raises(ConsentError, match=f"language '{wanted}'"):
            check_render_allowed("mary", given, purpose, RegistryPolicy(), DAY)


@pytest.mark.parametrize(
    ("purpose", "said"),
    [
        (RenderPurpose("advertising", "de"), "use 'advertising', only dubbing"),
        (RenderPurpose("dubbing", "de", "US"), "territory 'US', only AT, DE"),
        (RenderPurpose("dubbing", "de", "AT", "another"), "project 'another'"),
    ],
)
def test_other_uses_territories_and_projects_are_refused(purpose: RenderPurpose, said: str) -> None:
    with pytest.raises(ConsentError, match=said):
        check_render_allowed("mary", consent(), purpose, RegistryPolicy(), DAY)


def test_unrestricted_parts_are_free() -> None:
    free = consent(territories=..., projects=..., languages=["*"])
    assert check_render_allowed("mary", free, RenderPurpose("dubbing"), STRICT, DAY) == ""
    assert (
        check_render_allowed("mary", free, RenderPurpose("dubbing", "de", "US", "any"), STRICT, DAY)
        == ""
    )


def test_an_unstated_purpose_gives_a_note_or_a_refusal() -> None:
    note = check_render_allowed("mary", consent(), RenderPurpose("dubbing"), RegistryPolicy(), DAY)
    assert note == (
        "not checked against the consent, as not said: --language, --territory and --project"
    )
    with pytest.raises(ConsentError, match="--language"):
        check_render_allowed("mary", consent(), RenderPurpose("dubbing"), STRICT, DAY)


def test_minors_are_always_refused() -> None:
    for policy in (RegistryPolicy(), STRICT):
        with pytest.raises(ConsentError, match="minor"):
            check_render_allowed(
                "mary", consent(minor=True), RenderPurpose("dubbing", "de"), policy, DAY
            )
        with pytest.raises(ConsentError, match="minor"):
            check_learning_allowed("mary", consent(minor=True), policy, DAY)


def test_a_missing_record_gives_a_note_or_a_refusal() -> None:
    assert (
        check_learning_allowed("mary", None, RegistryPolicy(), DAY)
        == "no consent of 'mary' was recorded"
    )
    assert "no consent" in check_render_allowed(
        "mary", None, RenderPurpose(), RegistryPolicy(), DAY
    )
    with pytest.raises(ConsentError, match="--consent"):
        check_learning_allowed("mary", None, STRICT, DAY)
    with pytest.raises(ConsentError, match="consent attach"):
        check_render_allowed("mary", None, RenderPurpose(), STRICT, DAY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"use": "Dubbing"},
        {"use": "dubbing\n"},
        {"use": ""},
        {"language": "de_AT"},
        {"language": "*"},
        {"territory": "at"},
        {"territory": "AUT"},
        {"project": "a\nb"},
        {"project": "x" * 201},
    ],
)
def test_purposes_have_the_form_that_records_give_them(wrong: dict[str, str]) -> None:
    with pytest.raises(DubfewError, match=f"--{next(iter(wrong))} is "):
        RenderPurpose(**wrong)


def test_policy(tmp_path: Path) -> None:
    assert read_policy(tmp_path) == RegistryPolicy(require_consent=False)
    file = tmp_path / "policy.json"
    file.write_text("{}")
    assert read_policy(tmp_path) == RegistryPolicy()
    file.write_text('{"require_consent": true}')
    assert read_policy(tmp_path) == STRICT


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"require_consent": 1}', b'{"requireconsent": true}', b"\xff", b"[" * 9999],
)
def test_a_damaged_policy_is_never_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "policy.json").write_bytes(content)
    with pytest.raises(DubfewError, match="policy") as caught:
        read_policy(tmp_path)
    assert str(caught.value).isprintable()
