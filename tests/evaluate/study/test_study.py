"""Studies: blinding, answers, and what they say."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubfew.errors import DubfewError
from dubfew.evaluate.study.collect import COLUMNS, collect_answers
from dubfew.evaluate.study.make import CATCH_BAD, make_study, read_key
from dubfew.media import Frame, VideoInfo, VideoWriter, probe, read_frames

Answer = Callable[[str, dict[str, Any], dict[str, str]], str]


def real_clip(path: Path, **encoding: Any) -> None:
    """Write three frames of noise that depends on the file's name."""
    noise = np.random.default_rng([*str(path).encode()]).integers(0, 256, (64, 96, 3), np.uint8)
    with VideoWriter(path, VideoInfo(path, 96, 64, Fraction(25)), **encoding) as writer:
        for index in range(3):
            writer.write(Frame.from_rgb(noise, index))


@pytest.fixture
def systems(tmp_path: Path) -> dict[str, Path]:
    """Two systems with three clips each, all of them different."""
    folders = {name: tmp_path / name for name in ("ours", "theirs")}
    for folder in folders.values():
        folder.mkdir()
        for clip in ("a", "b", "c"):
            real_clip(folder / f"{clip}.mp4")
    return folders


def write_answers(study: Path, file: Path, participants: int, choose: Answer) -> Path:
    """Answer all trials; ``choose`` gets the participant, the trial and systems by file."""
    key = read_key(study)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for person in range(participants):
            for trial in key["trials"]:
                names = dict(zip(trial["media"], trial["systems"], strict=True))
                for question in range(len(key["questions"])):
                    media = [*trial["media"], ""][:2]
                    answer = choose(f"p{person}", trial, names)
                    row = (key["study"], f"p{person}", trial["id"], *media, question, answer, 3.0)
                    writer.writerow(dict(zip(COLUMNS, row, strict=True)))
    return file


def media_of(names: dict[str, str], system: str) -> str:
    return next(media for media, each in names.items() if each == system)


def test_page_is_blind_and_complete(systems: dict[str, Path], tmp_path: Path):
    study = tmp_path / "study"
    assert make_study(systems, study, catch=0) == 3
    page = study / "page"
    text = (page / "study.js").read_text() + " ".join(p.name for p in page.rglob("*"))
    assert "ours" not in text
    assert "theirs" not in text
    shown = json.loads((page / "study.js").read_text().removeprefix("const STUDY = ")[:-2])
    assert {name for trial in shown["trials"] for name in trial["media"]} == {
        path.name for path in (page / "media").iterdir()
    }
    # The key knows which is which.
    key = read_key(study)
    for trial in key["trials"]:
        for name, system in zip(trial["media"], trial["systems"], strict=True):
            source = systems[system] / f"{trial['clip']}.mp4"
            assert (page / "media" / name).read_bytes() == source.read_bytes()
    assert not (page / "key.json").exists()
    assert "study.js" in (page / "index.html").read_text()


def test_published_shares_come_back(tmp_path: Path):
    """93 of 102 for one system: 91 % (84 to 96), as Dubbing for Everyone has it in table 2."""
    folders = {name: tmp_path / name for name in ("ours", "baseline")}
    for folder in folders.values():
        folder.mkdir()
        real_clip(folder / "a.mp4")
    make_study(folders, tmp_path / "study", catch=0)
    wins = {f"p{k}" for k in range(93)}
    answers = write_answers(
        tmp_path / "study",
        tmp_path / "answers.csv",
        102,
        lambda person, trial, names: media_of(names, "ours" if person in wins else "baseline"),
    )
    result = collect_answers(tmp_path / "study", [answers])
    (ours,) = (each for each in result.preferences if each.system == "ours")
    assert (ours.votes, ours.total) == (93, 102)
    assert [round(100 * end) for end in ours.interval] == [84, 96]
    assert "| ours | baseline | 93 of 102 | 91 % | 84 to 96 % |" in result.to_markdown()
    assert "| baseline | ours | 9 of 102 | 9 % | 4 to 16 % |" in result.to_markdown()


def test_who_chooses_the_spoilt_copy_does_not_count(systems: dict[str, Path], tmp_path: Path):
    study = tmp_path / "study"
    assert make_study(systems, study, catch=1) == 4
    (catch,) = (t for t in read_key(study)["trials"] if CATCH_BAD in t["systems"])
    good, bad = (
        next(iter(read_frames(study / "page" / "media" / name))).to_rgb() for name in catch["media"]
    )
    # Blocks of 4 px: neighbors are equal in the spoilt copy.
    assert np.abs(np.diff(bad[:, 1:3].astype(int), axis=1)).mean() < 10
    assert np.abs(np.diff(good[:, 1:3].astype(int), axis=1)).mean() > 30

    def choose(person: str, trial: dict[str, Any], names: dict[str, str]) -> str:
        if CATCH_BAD in names.values():
            return media_of(names, CATCH_BAD if person == "p0" else "catch-good")
        return media_of(names, "ours" if person != "p0" else "theirs")

    result = collect_answers(study, [write_answers(study, tmp_path / "a.csv", 3, choose)])
    assert result.excluded == ("p0",)
    assert result.participants == ("p1", "p2")
    assert {(p.system, p.votes, p.total) for p in result.preferences} == {
        ("ours", 6, 6),
        ("theirs", 0, 6),
    }
    assert len(result.to_csv().splitlines()) == 1 + 6


def test_grades(systems: dict[str, Path], tmp_path: Path):
    study = tmp_path / "study"
    asked = ["Picture?", "Lips?"]
    assert make_study(systems, study, kind="grades", questions=asked, catch=0) == 6
    answers = write_answers(
        study,
        tmp_path / "a.csv",
        4,
        lambda person, trial, names: "4" if trial["systems"] == ["ours"] and person > "p0" else "2",
    )
    result = collect_answers(study, [answers])
    mean, (low, high), count = result.grades["ours", "Lips?"]
    assert (mean, count) == (3.5, 12)
    assert 2 <= low < 3.5 < high <= 4
    assert result.grades["theirs", "Picture?"][0] == 2


def test_the_last_answer_counts_and_folders_are_read(systems: dict[str, Path], tmp_path: Path):
    study = tmp_path / "study"
    make_study(systems, study, catch=0)
    folder = tmp_path / "answers"
    folder.mkdir()
    for name, system in (("1.csv", "theirs"), ("2.csv", "ours")):
        write_answers(study, folder / name, 1, lambda p, t, n, s=system: media_of(n, s))
    result = collect_answers(study, [folder])
    assert {(p.system, p.votes) for p in result.preferences} == {("ours", 3), ("theirs", 0)}


def test_answers_that_do_not_belong(systems: dict[str, Path], tmp_path: Path):
    study, other = tmp_path / "study", tmp_path / "other"
    make_study(systems, study, catch=0)
    make_study(systems, other, catch=0, seed=1)
    answers = write_answers(study, tmp_path / "a.csv", 1, lambda p, t, n: media_of(n, "ours"))
    with pytest.raises(DubfewError, match="another study"):
        collect_answers(other, [answers])
    wrong = write_answers(study, tmp_path / "b.csv", 1, lambda p, t, n: "neither.mp4")
    with pytest.raises(DubfewError, match=r"'neither.mp4' is no answer"):
        collect_answers(study, [wrong])
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DubfewError, match="its columns are"):
        collect_answers(study, [tmp_path / "c.csv"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DubfewError, match="no answers"):
        collect_answers(study, [tmp_path / "empty"])


def test_studies_that_cannot_be_made(systems: dict[str, Path], tmp_path: Path):
    with pytest.raises(DubfewError, match="two systems"):
        make_study({"ours": systems["ours"]}, tmp_path / "s")
    with pytest.raises(DubfewError, match="one question"):
        make_study(systems, tmp_path / "s", questions=["a", "b"])
    (systems["theirs"] / "a.mp4").rename(systems["theirs"] / "x.mp4")
    for clip in ("b", "c"):
        (systems["theirs"] / f"{clip}.mp4").unlink()
    with pytest.raises(DubfewError, match="no clip in common"):
        make_study(systems, tmp_path / "s", catch=0)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(DubfewError, match="not empty"):
        make_study(systems, tmp_path / "used")


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("a.mov", {"codec": "prores"}), ("a.mkv", {}), ("a.mp4", {"lossless": True})],
)
def test_what_browsers_cannot_play_is_encoded_anew(
    name: str, encoding: dict[str, Any], tmp_path: Path
):
    (tmp_path / "ours").mkdir()
    source = tmp_path / "ours" / name
    real_clip(source, **encoding)
    make_study({"ours": tmp_path / "ours"}, tmp_path / "study", kind="grades", catch=0)
    (copy,) = (tmp_path / "study" / "page" / "media").iterdir()
    info = probe(copy)
    assert copy.suffix == ".mp4"
    assert (info.codec, info.stored_format) == ("h264", "yuv420p")
    assert info.profile == "High"
    for before, after in zip(read_frames(source), read_frames(copy), strict=True):
        # Noise is the hardest picture: others come back far nearer.
        assert np.abs(before.to_rgb().astype(int) - after.to_rgb()).mean() < 6


def test_a_video_that_was_not_played_is_not_judged(systems: dict[str, Path], tmp_path: Path):
    study = tmp_path / "study"
    make_study(systems, study, catch=1)
    answers = write_answers(
        study,
        tmp_path / "answers.csv",
        2,
        lambda person, trial, names: (
            "" if person == "p1" else next(m for m in names if names[m] in ("ours", "catch-good"))
        ),
    )
    result = collect_answers(study, [answers])
    assert result.participants == ("p0",)
    assert result.unseen == 4
    assert [(p.votes, p.total) for p in result.preferences if p.system == "ours"] == [(3, 3)]
    assert "4 trials could not be played" in result.to_markdown()


def test_grades_are_of_clips_that_all_systems_have(systems: dict[str, Path], tmp_path: Path):
    (systems["theirs"] / "b.mp4").unlink()
    assert make_study(systems, tmp_path / "study", kind="grades", catch=0) == 4
    trials = read_key(tmp_path / "study")["trials"]
    assert {trial["clip"] for trial in trials} == {"a", "c"}
