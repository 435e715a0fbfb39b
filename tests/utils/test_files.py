"""Atomic writing of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubfew.errors import DubfewError, OutputExistsError
from dubfew.utils.files import atomic_path, check_output_path, output_stem, write_atomic


def test_a_temporary_file_in_use_is_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "a[b].mp4"
    with atomic_path(path) as first:
        first.write_bytes(b"first")
        write_atomic(path, b"second")
        assert first.exists()
    assert path.read_bytes() == b"first"
    stranger = tmp_path / ".a[b].settings.mp4"
    stranger.touch()
    (tmp_path / ".a[b].dubfew-abcdefgh.mp4").touch()
    write_atomic(path, b"third")
    assert sorted(tmp_path.iterdir()) == [stranger, path]


def test_names_as_long_as_a_disk_allows(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120 + ".mp4")
    write_atomic(path, b"x")
    assert path.read_bytes() == b"x"


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with pytest.raises(OSError, match=r"place'$") as caught:
        write_atomic(tmp_path / "place", b"x")
    assert caught.value.filename == str(tmp_path / "place")
    with pytest.raises(DubfewError, match="is a folder"):
        check_output_path(tmp_path / "place")
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    taken, hanging = tmp_path / "taken.mp4", tmp_path / "link.mp4"
    taken.write_bytes(b"x")
    hanging.symlink_to(tmp_path / "nowhere")
    for path in (taken, hanging):
        with pytest.raises(OutputExistsError, match=f"{path.name} exists already.*--overwrite"):
            check_output_path(path)
        check_output_path(path, overwrite=True)
    # An input stays safe all the same.
    with pytest.raises(DubfewError, match="input file"):
        check_output_path(taken, taken, overwrite=True)


def test_long_words_in_a_name_are_cut_between_characters(tmp_path: Path) -> None:
    stem = output_stem("ü" * 200, "mary", "x" * 200)
    first, actor, last = stem.split("-")
    assert (first, actor, last) == ("ü" * 37, "mary", "x" * 75)  # 225 bytes are 75 each
    (tmp_path / f"{stem}.mp4").touch()
