"""Reading of transcripts: scripts, subtitles, and files that are neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubfew.errors import DubfewError
from dubfew.speech.transcript.transcript import MAX_TRANSCRIPT_BYTES, TranscriptCue, read_transcript

SRT = "1\n00:00:01,000 --> 00:00:02,500\n- <i>Hello</i> [laughs]\nworld\n\n"
LATER = "2\n01:00:03,250 --> 01:00:04,000\n♪ la la ♪\nTwo\n"
VTT = (
    "WEBVTT - title\n\nSTYLE\n::cue {color: red}\n\nNOTE 1 --> 2\nno\n\nfirst\n"
    "00:01.000 --> 00:02.500 align:left\n<v Bob>Hello &amp; bye\n"
)


def read(tmp_path: Path, name: str, data: bytes) -> tuple[TranscriptCue, ...]:
    path = tmp_path / name
    path.write_bytes(data)
    return read_transcript(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_script_is_its_sentences(tmp_path, encoding, newline):
    text = f"Grüße, Welt!{newline}{newline} --- {newline}Zwei?  Drei.{newline}"
    found = read(tmp_path, "a.txt", text.encode(encoding))
    assert found == (TranscriptCue("Grüße, Welt!"), TranscriptCue("Zwei?"), TranscriptCue("Drei."))


def test_sentences_without_spaces_and_without_end(tmp_path):
    assert len(read(tmp_path, "a", "そうです。はい。".encode())) == 2
    pieces = read(tmp_path, "a", ("word " * 300).encode())
    assert max(len(cue.text) for cue in pieces) <= 400
    assert " ".join(cue.text for cue in pieces).split() == ["word"] * 300


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_subtitles_have_times_and_only_what_is_spoken(tmp_path, newline):
    pytest.importorskip("pysubs2")
    data = ("\ufeff" + SRT + LATER).replace("\n", newline).encode()
    assert read(tmp_path, "a.SRT", data) == (
        TranscriptCue("Hello world", 1.0, 2.5),
        TranscriptCue("Two", 3603.25, 3604.0),
    )
    assert read(tmp_path, "a.vtt", VTT.replace("\n", newline).encode()) == (
        TranscriptCue("Hello & bye", 1.0, 2.5),
    )


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.txt", b"", "no words"),
        ("a.txt", b"\xef\xbb\xbf", "no words"),
        ("a.txt", b" ... \n --- \n", "no words"),
        ("a.txt", b"abc\0def", "binary"),
        ("a.txt", bytes(range(256)), "not UTF-8"),
        ("a.txt", "Grüße".encode("latin-1"), "not UTF-8"),
        ("a.txt", b"x" * (MAX_TRANSCRIPT_BYTES + 1), "at most"),
        ("a.srt", b"Hello there.", "no words"),
        ("a.srt", b"1\n00:00:03,000 --> 00:00:02,000\nbackwards\n", "no words"),
        ("a.vtt", b"", "no words"),
    ],
)
def test_files_that_are_not_transcripts_are_refused(tmp_path, name, data, says):
    pytest.importorskip("pysubs2")
    with pytest.raises(DubfewError, match=says):
        read(tmp_path, name, data)


def test_a_missing_file_is_refused(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(DubfewError, match="cannot be read"):
            read_transcript(path)


FRAGMENTS = (
    b"1\n", b"00:00:01,000 --> 00:00:02,500\n", b"-->", b"\n\n", b"WEBVTT\n", b"<i>", b"{\\an8}",
    b"99999999:00:00,000 --> 1:2:3.4\n", b"hello ", b"\xff", b"\r", b"[", "♪".encode(), b"NOTE",
)  # fmt: skip


@pytest.mark.slow
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    data=st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(FRAGMENTS)).map(b"".join)),
    suffix=st.sampled_from([".txt", ".srt", ".vtt"]),
)
def test_any_bytes_are_cues_or_one_line(tmp_path, data, suffix):
    pytest.importorskip("pysubs2")
    try:
        cues = read(tmp_path, f"a{suffix}", data)
    except DubfewError as error:
        cues, message = (), str(error)
    else:
        message = ""
    assert bool(cues) != bool(message)
    assert "\n" not in message
    for cue in cues:
        assert cue.text == " ".join(cue.text.split())
        assert (cue.start is None) == (suffix == ".txt")
        assert cue.start is None or 0 <= cue.start < cue.end
