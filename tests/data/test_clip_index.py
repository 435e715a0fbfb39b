from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubfew.data.clip_index import (
    SourceClip,
    find_clips,
    is_excluded,
    normalize_excluded_names,
    read_exclude_list,
    select_split,
)
from dubfew.errors import DubfewError

SHA = "ab" * 32


def videos(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def identities_of(folder, **options):
    return {clip.file: clip.identity for clip in find_clips(folder, **options)}


def write_csv(tmp_path, text):
    path = tmp_path / "who.csv"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("file", "identity"),
    [
        ("RD_Radio1_000.mp4", "RD_Radio1_000"),  # HDTF, CelebV-HQ: flat
        ("videos/0Fi83BHQsMA_2.mp4", "videos/0Fi83BHQsMA_2"),
        ("dev/mp4/id00012/21Uxsk56VDQ/00001.mp4", "id00012"),  # VoxCeleb
        ("pretrain/0Fi83BHQsMA/00002.mp4", "0Fi83BHQsMA"),  # LRS3
        ("M003/video/front/angry/level_1/001.mp4", "M003"),  # MEAD
        ("s1/bbaf2n.MPG", "s1"),  # GRID
        ("Frau Ödön/ein Clip (2).mov", "Frau Ödön"),
    ],
)
def test_common_layouts_name_their_people(tmp_path, file, identity):
    videos(tmp_path, file)
    assert identities_of(tmp_path) == {file: identity}


def test_each_file_may_be_a_person(tmp_path):
    videos(tmp_path, "s1/a.mp4", "s1/b.mp4")
    assert identities_of(tmp_path, by="file") == {"s1/a.mp4": "s1/a", "s1/b.mp4": "s1/b"}


def test_hidden_files_and_circles_of_links_are_left_out(tmp_path):
    videos(tmp_path, "s1/a.mp4", "s1/._a.mp4", ".cache/b.mp4", "s1/notes.txt")
    (tmp_path / "s1" / "again").symlink_to(tmp_path)
    (tmp_path / "s2").symlink_to(tmp_path / "s1")
    assert list(identities_of(tmp_path)) == ["s1/a.mp4"]


def test_a_decomposed_name_is_found_by_its_composed_one(tmp_path):
    videos(tmp_path, unicodedata.normalize("NFD", "Zoë.mp4"))
    csv = write_csv(tmp_path, f"file,identity\n{unicodedata.normalize('NFC', 'Zoë.mp4')},Zoë\n")
    [clip] = find_clips(tmp_path, identities=csv)
    assert clip.path.is_file()
    assert clip.identity == unicodedata.normalize("NFC", "Zoë")


def test_a_csv_gives_all_facts(tmp_path):
    videos(tmp_path, "a/b.mp4", "c.mp4", "not listed.mp4")
    csv = write_csv(
        tmp_path,
        "\ufeffFile;identity;license;weights_may_ship;split;source\r\n"
        'a\\b.mp4;"Ann; the first";CC0;yes;train;home\r\n\r\nc.mp4;Bob;;no;train;\r\n'
        "d.mp4;Eve;CC0;true;validate;x\n",
    )
    clips = find_clips(tmp_path, identities=csv)
    assert clips[0] == SourceClip(
        tmp_path / "a" / "b.mp4", "a/b.mp4", "Ann; the first", "train", "home", "CC0", True
    )
    chosen, refused = select_split(clips, "train")
    assert [clip.file for clip in chosen] == ["a/b.mp4"]
    assert [clip.file for clip in refused] == ["c.mp4", "d.mp4"]
    assert [clip.file for clip in select_split(clips, "validate")[0]] == ["d.mp4"]


def test_a_csv_without_split_and_rights_takes_all(tmp_path):
    csv = write_csv(tmp_path, "identity,file\nAnn,a.mp4\n")
    chosen, refused = select_split(find_clips(tmp_path, identities=csv), "train")
    assert [clip.split for clip in chosen] == ["train"]
    assert refused == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: found the columns ''"),
        ("file,name\n", "line 1: found the columns 'file, name'"),
        ("file,identity,licence\n", "line 1.*licence"),
        ("file,identity,file\n", "line 1"),
        ("file,identity\na.mp4,Ann\nb.mp4\n", "line 3: 1 fields, expected 2"),
        ("file,identity\na.mp4,\n", "line 2: identity is empty"),
        ("file,identity\na.mp4,Ann\na.mp4,Bob\n", "line 3: 'a.mp4' is in line 2 already"),
        ("file,identity\n../a.mp4,Ann\n", "line 2: file is .*within the folder"),
        ("file,identity\n/a.mp4,Ann\n", "line 2: file is .*within the folder"),
        ("file,identity\nC:\\a.mp4,Ann\n", "line 2: file is .*within the folder"),
        ('file,identity\na.mp4,"An\nn"\n', "line 3: identity is .*one line"),
        ("file,identity,weights_may_ship\na.mp4,Ann,maybe\n", "line 2: weights_may_ship.*maybe"),
        (f"file,identity\na.mp4,{'n' * 201}\n", "line 2: identity has 201"),
        ('file,identity\na.mp4,"Ann" x\n', "line 2"),
    ],
)
def test_a_bad_row_is_named(tmp_path, text, message):
    with pytest.raises(DubfewError, match=message) as found:
        find_clips(tmp_path, identities=write_csv(tmp_path, text))
    assert "\n" not in str(found.value)


def test_unreadable_lists_are_errors_that_name_them(tmp_path):
    (tmp_path / "bad.csv").write_bytes(b"file,identity\n\xff,a\n")
    for name in ("bad.csv", "none.csv"):
        with pytest.raises(DubfewError, match=name):
            find_clips(tmp_path, identities=tmp_path / name)
    with pytest.raises(DubfewError, match="not a folder"):
        find_clips(tmp_path / "bad.csv")
    for text in ("{", "{}", "[1]", '[{"file": 3}]', '[{"file": "../x"}]', "[" * 100_000):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DubfewError, match="manifest"):
            find_clips(tmp_path)


@given(st.text(max_size=200))
@pytest.mark.slow
def test_any_text_is_a_list_or_a_one_line_error(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("csv")
    for lead in ("", "file,identity,split\n"):
        path = folder / "who.csv"
        path.write_bytes((lead + text).encode("utf-8", "surrogatepass"))
        try:
            clips = find_clips(folder, identities=path)
        except DubfewError as error:
            clips, message = [], str(error)
        else:
            message = "fine"
        assert len(message.splitlines()) == 1
        assert all(clip.file and clip.identity for clip in clips)
        assert len({clip.sample_key for clip in clips}) == len(clips)


@given(st.text(min_size=1, max_size=60))
def test_sample_keys_are_valid_in_webdataset(file):
    key = SourceClip(None, file, "x").sample_key
    assert key.isascii()
    assert key.replace("_", "").replace("-", "").isalnum()
    assert len(key) <= 60


def test_a_manifest_is_a_list_as_well(tmp_path):
    entries = [
        {"file": "a.mp4", "split": "train", "weights_may_ship": True, "license": None, "fps": "25"},
        {"file": "b.mp4", "split": "train", "weights_may_ship": False},
        {"file": "c.mp4", "split": "validate", "weights_may_ship": False, "identity": "Cy"},
    ]
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    clips = find_clips(tmp_path)
    assert [clip.identity for clip in select_split(clips, "train")[0]] == ["a"]
    assert [clip.identity for clip in select_split(clips, "validate")[0]] == ["Cy"]
    assert clips[0].license == ""


def test_an_exclude_list_names_people_files_and_sums(tmp_path):
    path = tmp_path / "exclude.txt"
    path.write_text(
        f"\ufeff# who withdrew\n\nAnn Lee  # on 1 May\n a/b#2.mp4\n{SHA.upper()}\n", "utf-8"
    )
    names = read_exclude_list(path)
    assert names == {"Ann Lee", "a/b#2.mp4", SHA}
    assert is_excluded({"identity": "Ann Lee", "file": "x.mp4"}, names)
    assert is_excluded({"identity": "b", "file": "a/b#2.mp4", "sha256": None}, names)
    assert is_excluded({"identity": "b", "file": "c.mp4", "sha256": SHA}, names)
    assert not is_excluded({"identity": "Ann", "file": "b#2.mp4", "sha256": "cd" * 32}, names)


def test_an_exclude_list_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    for name in ("bad.txt", "none.txt"):
        with pytest.raises(DubfewError, match=name):
            read_exclude_list(tmp_path / name)


NAMES = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="#"), min_size=1, max_size=20
)


@pytest.mark.slow
@given(st.lists(NAMES))
def test_every_listed_name_is_excluded_in_any_unicode_form(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("exclude") / "list.txt"
    path.write_text("".join(f"  {name}\t# why\n#{name}x\n" for name in names), "utf-8")
    found = read_exclude_list(path)
    assert found == normalize_excluded_names(names)
    for name in names:
        for form in ("NFC", "NFD"):
            facts = {"identity": unicodedata.normalize(form, name), "file": "f"}
            assert is_excluded(facts, found)


@pytest.mark.slow
@given(st.binary(max_size=100))
def test_any_bytes_are_an_exclude_list_or_an_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("exclude") / "list.txt"
    path.write_bytes(data)
    try:
        message = "fine" if "" not in read_exclude_list(path) else ""
    except DubfewError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
