"""Tables of jobs in every form, and rows that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubfew.batch.table import MAX_ROWS, read_table
from dubfew.errors import DubfewError
from dubfew.jobs.description import JobDescription


def table(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_cells_become_what_their_options_are(tmp_path):
    path = table(
        tmp_path,
        "jobs.csv",
        "\ufeffid;actor;video;audio;offset;lossless;revision;mix;out\n"
        "a;mary;s.mp4;de.wav;-40;yes;2;2:-3;reel 1/a.mov\n"
        ";;;;;;;;\n"
        ";mary;s.mp4;de.wav;;;;;\n",
    )
    (first, second), problems = read_table(path)
    assert problems == []
    assert first.place == "line 2"
    assert first.out == Path("reel 1/a.mov")
    assert first.job.video == tmp_path / "s.mp4"
    assert dict(first.job.options) == {
        "offset": -40.0,
        "lossless": True,
        "revision": 2,
        "mix": "2:-3",
    }
    assert (second.id, second.out.name) == ("s-mary-de", "s-mary-de.mp4")
    assert dict(second.job.options) == {}


def test_lines_of_json(tmp_path):
    rows = [{"actor": "mary", "audio": "de.wav", "open": 0.8}, {"kind": "dub", "video": "s.mp4"}]
    rows[1]["audio"] = "de.wav"
    path = table(tmp_path, "jobs.jsonl", "\n\n".join(map(json.dumps, rows)))
    (first, second), problems = read_table(path)
    assert problems == []
    assert first.job.options["open"] == 0.8
    assert (second.job.kind, second.place) == ("dub", "line 3")


MATRIX = {
    "defaults": {"actor": "mary", "fit": "trim"},
    "matrix": {
        "scene": [{"id": "s1", "video": "1.mp4"}, {"id": "s2", "video": "2.mp4", "fit": "hold"}],
        "language": [
            {"id": "de", "audio": "{scene}-{language}.wav", "language": "de"},
            {"id": "fr", "audio": "{scene}-{language}.wav", "language": "fr"},
        ],
    },
}


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_matrix_of_scenes_and_languages(tmp_path, suffix):
    if suffix == "yaml":
        yaml = pytest.importorskip("yaml")
        text = yaml.safe_dump(MATRIX, sort_keys=False)
    else:
        text = json.dumps(MATRIX)
    rows, problems = read_table(table(tmp_path, f"jobs.{suffix}", text))
    assert problems == []
    assert [row.id for row in rows] == ["s1-de", "s1-fr", "s2-de", "s2-fr"]
    assert rows[3].job.audio == tmp_path / "s2-fr.wav"
    assert rows[3].job.options == {"fit": "hold", "language": "fr"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,mary,x.mp4,d.wav,soon,", "offset is 'soon'"),
        ("a,mary,x.mp4,d.wav,5000,", "-1000 to 1000"),
        ("a/b,mary,x.mp4,d.wav,,", "is no id"),
        ("a,mary,x.mp4,d.wav,,../b.mp4", "outside of the folder"),
        ("a,mary,x.mp4,d.wav,,/b.mp4", "outside of the folder"),
        ("a,,x.mp4,d.wav,,", "id of an actor"),
    ],
)
def test_a_row_that_is_wrong_is_told_and_the_others_are_read(tmp_path, row, words):
    head = "id,actor,video,audio,offset,out\n"
    path = table(tmp_path, "jobs.csv", f"{head}ok,mary,x.mp4,d.wav,,\n{row}\n")
    rows, (problem,) = read_table(path)
    assert [each.id for each in rows] == ["ok"]
    assert problem.startswith("line 3: ")
    assert words in problem


def test_an_id_stands_for_one_job(tmp_path):
    path = table(tmp_path, "jobs.csv", "id,actor,audio\na,mary,1.wav\na,mary,2.wav\n")
    assert read_table(path)[1] == ["line 3: the id 'a' is that of line 2 as well"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("jobs.csv", "id,actor\n", "no jobs"),
        ("jobs.csv", "id\na,b\n", "more cells"),
        ("jobs.txt", "x", ".csv"),
        ("jobs.jsonl", "{", "no table"),
        ("jobs.json", '{"rows": []}', "no part 'rows'"),
        ("jobs.json", '{"matrix": {"scene": [{"video": "1.mp4"}]}}', "'id'"),
        ("jobs.json", "7", "no table"),
    ],
)
def test_files_that_are_no_tables(tmp_path, name, text, words):
    with pytest.raises(DubfewError, match=words):
        read_table(table(tmp_path, name, text))


def test_a_matrix_beyond_measure(tmp_path):
    axis = [{"id": str(n)} for n in range(int(MAX_ROWS**0.5) + 1)]
    text = json.dumps({"matrix": {"a": axis, "b": axis}})
    with pytest.raises(DubfewError, match="at most"):
        read_table(table(tmp_path, "jobs.json", text))


def test_a_row_may_name_a_cast(tmp_path):
    (tmp_path / "jobs.csv").write_text("cast,video\nscene.json,scene.mov\n")
    (row,), problems = read_table(tmp_path / "jobs.csv")
    assert not problems
    assert (row.id, row.job.cast) == ("scene-scene", tmp_path / "scene.json")
    assert JobDescription.from_json(row.job.to_json()) == row.job
    (tmp_path / "jobs.csv").write_text("cast,video,actor\nscene.json,scene.mov,mary\n")
    (problem,) = read_table(tmp_path / "jobs.csv")[1]
    assert "a cast names actors" in problem
