"""Private files: for their owner only, whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dubfew.utils.private_files import write_private_file

CONTENT = bytes(range(256))  # with line ends: Windows must not translate them


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for data in (b"old", CONTENT):
        write_private_file(path, data)
        assert path.read_bytes() == data
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_leftover_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    temporary = tmp_path / "key.new"
    temporary.write_bytes(b"left by a killed process")
    write_private_file(tmp_path / "key", CONTENT, temporary=temporary)
    assert (tmp_path / "key").read_bytes() == CONTENT
    assert not temporary.exists()


def test_a_failure_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    def fail(new: Path, path: Path) -> None:
        raise OSError(28, "No space left on device")

    write_private_file(tmp_path / "key", b"old")
    with pytest.raises(OSError, match="No space"):
        write_private_file(tmp_path / "key", CONTENT, replace=fail)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"key": b"old"}
