"""TTML and IMSC: every kind of time, nesting, agents, and files that are none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from dubfew.errors import DubfewError
from dubfew.speech.transcript.transcript import read_transcript
from dubfew.speech.transcript.ttml import read_ttml

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><tt xmlns="http://www.w3.org/ns/ttml" '
    'xmlns:ttp="http://www.w3.org/ns/ttml#parameter" '
    'xmlns:ttm="http://www.w3.org/ns/ttml#metadata" xml:lang="de" '
)


def _document(body: str, attributes: str = "", head: str = "") -> str:
    return f"{HEAD}{attributes}><head>{head}</head><body>{body}</body></tt>"


NTSC = 'ttp:frameRate="30" ttp:frameRateMultiplier="1000 1001"'


@pytest.mark.parametrize(
    ("time", "attributes", "seconds"),
    [
        ("00:01:02.500", "", Fraction(125, 2)),
        ("01:00:00:12", 'ttp:frameRate="24"', 3600 + Fraction(1, 2)),
        ("00:00:01:15", NTSC, 1 + Fraction(15 * 1001, 30000)),
        ("2.5s", "", Fraction(5, 2)),
        ("90ms", "", Fraction(9, 100)),
        ("1.5h", "", Fraction(5400)),
        ("2m", "", Fraction(120)),
        ("48f", 'ttp:frameRate="24"', Fraction(2)),
        ("25000000t", 'ttp:tickRate="10000000"', Fraction(5, 2)),
        # Timecodes count frames: an hour at 29.97 without dropped numbers lasts 3603.6 s.
        ("01:00:00:00", f'ttp:timeBase="smpte" {NTSC}', Fraction(108000 * 1001, 30000)),
        (
            "01:00:00:00",
            f'ttp:timeBase="smpte" ttp:dropMode="dropNTSC" {NTSC}',
            Fraction(107892 * 1001, 30000),
        ),
    ],
)
def test_times_of_every_kind(time: str, attributes: str, seconds: Fraction):
    (found,) = read_ttml(_document(f'<div><p begin="{time}">Ja.</p></div>', attributes))
    assert found.start == seconds
    assert found.end is None


def test_times_count_from_the_container_and_end_with_it():
    body = (
        '<div begin="10s" end="20s"><p begin="1s" dur="2s">Eins.</p>'
        '<p begin="5s" end="30s">Zwei.</p>'
        '<p begin="7s" end="8s"><span begin="200ms" end="600ms">Drei</span></p></div>'
    )
    found = [(each.text, each.start, each.end) for each in read_ttml(_document(body))]
    assert found == [
        ("Eins.", 11, 13),
        ("Zwei.", 15, 20),
        ("Drei", Fraction("17.2"), Fraction("17.6")),
    ]


def test_a_sequence_goes_on_where_its_last_child_ended():
    body = '<div timeContainer="seq"><p dur="2s">A b.</p><p begin="1s" dur="2s">C d.</p></div>'
    assert [(each.start, each.end) for each in read_ttml(_document(body))] == [(0, 2), (3, 5)]


def test_agents_are_speakers_and_languages_are_inherited():
    head = (
        '<metadata><ttm:agent xml:id="a1" type="person"><ttm:name>MARY</ttm:name></ttm:agent>'
        "</metadata>"
    )
    body = (
        '<div ttm:agent="a1"><p begin="0s" end="1s">Guten<br/>Morgen <span>Ihr</span>'
        "<metadata>no</metadata>.</p>"
        '<p begin="1s" end="2s" xml:lang="fr" ttm:agent="JOHN">Oui.</p></div>'
    )
    first, second = read_ttml(_document(body, head=head))
    assert (first.text, first.speaker, first.language) == ("Guten Morgen Ihr.", "MARY", "de")
    assert (second.speaker, second.language) == ("JOHN", "fr")


def test_a_transcript_keeps_what_is_spoken(tmp_path: Path):
    path = tmp_path / "a.ttml"
    path.write_text(
        _document(
            '<div><p begin="2s" end="3s">- Hallo. [Tür]</p><p begin="0s" end="1s">(Wind)</p>'
            '<p begin="5s">Ohne Ende.</p></div>'
        ),
        "utf-8",
    )
    (cue,) = read_transcript(path)
    assert (cue.text, cue.start, cue.end, cue.language) == ("Hallo.", 2.0, 3.0, "de")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no xml", "no XML"),
        ("<a/>", "no TTML"),
        ('<!DOCTYPE tt [<!ENTITY a "b">]><tt/>', "document type"),
        (_document('<div><p begin="soon">A.</p></div>'), "'soon' is no time"),
        (_document('<div><p begin="00:00:01:24">A.</p></div>', 'ttp:frameRate="24"'), "frame"),
        (_document("", 'ttp:frameRate="x"'), "cannot be read"),
        (_document("", 'ttp:frameRateMultiplier="1 0"'), "cannot be read"),
        (_document("<div>" * 60 + "</div>" * 60), "nests"),
    ],
)
def test_other_files_are_refused(text: str, message: str):
    with pytest.raises(DubfewError, match=message):
        read_ttml(text)
