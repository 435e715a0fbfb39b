"""The audit log: every change is detected, and no crash loses a line."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.errors import AuditError
from dubfew.registry.audit import MAX_AUDIT_LINE_BYTES, AuditEntry, AuditLog, DamagedEntry
from tests.lean import in_lean_process

LENGTH = 6


def open_log(folder: Path) -> AuditLog:
    return AuditLog(folder / "home", folder / "keys")


def filled(folder: Path, entries: int = LENGTH) -> AuditLog:
    log = open_log(folder)
    for number in range(entries):
        log.append("render", {"actor": "a" * 32, "watermark": f"{number:08x}", "use": None})
    return log


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[bytes, bytes]:
    """Bytes of a sound log and of its head."""
    log = filled(tmp_path_factory.mktemp("log"))
    return log.path.read_bytes(), log.head_path.read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("place")


def write_log(place: Path, data: bytes, head: bytes) -> AuditLog:
    log = open_log(place)
    for path, content in ((log.path, data), (log.head_path, head)):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return log


def assert_detected(place: Path, data: bytes, whole: tuple[bytes, bytes]) -> None:
    """Check that a changed log is reported, or restored to what it was."""
    log = write_log(place, data, whole[1])
    report = log.verify()
    assert report.faults or report.restored
    if report.ok:
        assert log.path.read_bytes() == whole[0]
    assert all("\n" not in fault for fault in report.faults)


def test_entries_follow_each_other(tmp_path: Path) -> None:
    log = filled(tmp_path)
    entries = list(log.iter_entries())
    assert [entry.seq for entry in entries] == list(range(1, LENGTH + 1))
    assert entries[0].previous == "0" * 64
    assert [e.previous for e in entries[1:]] == [e.hash for e in entries[:-1]]
    lines = log.path.read_bytes().splitlines()
    assert json.loads(lines[2])["fields"] == {
        "actor": "a" * 32,
        "use": None,
        "watermark": "00000002",
    }
    report = log.verify()
    assert (report.ok, report.entries, report.restored) == (True, LENGTH, "")
    assert report.head == f"{LENGTH}:{entries[-1].hash}"
    assert log.find_by_watermark("00000002") == [entries[2]]
    assert log.find_by_watermark("ffffffff") == []
    assert log.has_event("render", "watermark", "00000004")
    assert not log.has_event("adapt", "watermark", "00000004")


def test_a_missing_log_is_an_empty_one(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    assert list(log.iter_entries()) == []
    assert not log.has_event("render", "watermark", "0")
    report = log.verify()
    assert (report.ok, report.entries, report.head) == (True, 0, "")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
@pytest.mark.slow
def test_any_changed_byte_is_found(data, place, whole) -> None:
    text = bytearray(whole[0])
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] = data.draw(st.integers(0, 255).filter(lambda value: value != text[at]))
    assert_detected(place, bytes(text), whole)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_removed_inserted_or_moved_line_is_found(data, place, whole) -> None:
    lines = whole[0].splitlines(keepends=True)
    changed = list(lines)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1)) if changed else 0
        to = data.draw(st.integers(0, len(changed)))
        match data.draw(st.sampled_from(["remove", "move", "copy"])):
            case "remove" if changed:
                changed.pop(at)
            case "move" if changed:
                changed.insert(to, changed.pop(at))
            case "copy" if changed:
                changed.insert(to, changed[at])
    if changed != lines:
        assert_detected(place, b"".join(changed), whole)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_cut_and_any_addition_is_found(data, place, whole) -> None:
    end = data.draw(st.integers(0, len(whole[0]) - 1))
    assert_detected(place, whole[0][:end], whole)
    assert_detected(place, whole[0] + data.draw(st.binary(min_size=1, max_size=50)), whole)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(seq=st.integers(1, LENGTH), value=st.text(max_size=5))
def test_a_line_made_anew_with_its_hash_is_found(seq, value, place, whole) -> None:
    """An attacker who can write the data but not the keys cannot rewrite the rest of the chain."""
    lines = whole[0].splitlines(keepends=True)
    last = AuditEntry.from_line(lines[seq - 2]) if seq > 1 else None
    forged = AuditEntry.create_next(last, "render", {"use": value})
    lines[seq - 1] = forged.to_line()
    assert_detected(place, b"".join(lines), whole)
    for _ in range(LENGTH - seq):
        forged = AuditEntry.create_next(forged, "render", {})
        lines[forged.seq - 1] = forged.to_line()
    assert_detected(place, b"".join(lines), whole)


def test_one_fault_is_reported_once(place: Path, whole: tuple[bytes, bytes]) -> None:
    lines = whole[0].splitlines(keepends=True)
    changed = [*lines[:2], lines[2].replace(b"00000002", b"00000009"), *lines[3:]]
    assert write_log(place, b"".join(changed), whole[1]).verify().faults == ("line 3 was changed",)
    removed = write_log(place, b"".join(lines[:2] + lines[3:]), whole[1]).verify().faults
    assert [each for each in removed if "line" in each and "damaged" not in each] == [
        "line 3 does not follow: lines were removed, added or moved"
    ]
    assert len(removed) == 2  # and that the end is not where it was


def test_another_way_to_write_the_same_is_a_change(place, whole) -> None:
    lines = whole[0].splitlines(keepends=True)
    other = json.dumps(dict(reversed(json.loads(lines[1]).items())), separators=(",", ":"))
    assert len(other) + 1 == len(lines[1])
    changed = b"".join([lines[0], other.encode() + b"\n", *lines[2:]])
    assert write_log(place, changed, whole[1]).verify().faults == ("line 2 was changed",)


def test_hostile_lines_are_reported_and_bounded(place, whole) -> None:
    hostile = b"[" * 100_000 + b"\n" + b"x" * (3 * MAX_AUDIT_LINE_BYTES) + b"\n" * 5000 + b"\xff\n"
    report = write_log(place, hostile + whole[0], whole[1]).verify()
    assert 1 < len(report.faults) <= 100
    assert any(isinstance(each, DamagedEntry) for each in open_log(place).iter_entries())


def test_an_end_cut_off_together_with_its_head_is_known_from_elsewhere(tmp_path: Path) -> None:
    log = filled(tmp_path, 3)
    kept = log.path.read_bytes(), log.head_path.read_bytes()
    early = log.verify().head
    log.append("adapt", {})
    late = log.verify().head
    write_log(tmp_path, *kept)  # whoever can write both, or restores a backup of both
    assert log.verify().ok
    assert log.verify(early).ok
    (fault,) = log.verify(late).faults
    assert "written anew" in fault


def test_without_its_head_it_takes_nothing_more(tmp_path: Path) -> None:
    log = filled(tmp_path, 2)
    log.head_path.unlink()
    with pytest.raises(AuditError, match="restart"):
        log.append("adapt", {})
    assert not log.verify().ok


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"start": -1, "line": ""}'])
def test_a_damaged_head_is_reported(tmp_path: Path, content: bytes) -> None:
    log = filled(tmp_path, 2)
    log.head_path.write_bytes(content)
    with pytest.raises(AuditError, match="restart"):
        log.append("adapt", {})
    assert not log.verify().ok


def test_a_new_log_begins_with_the_hash_of_the_old(tmp_path: Path) -> None:
    log = filled(tmp_path, 2)
    log.path.write_bytes(b"damaged\n" + log.path.read_bytes())
    with pytest.raises(AuditError):
        log.append("adapt", {})
    aside = log.restart()
    assert aside is not None
    assert aside.read_bytes().startswith(b"damaged")
    assert log.verify().ok
    found = list(log.iter_entries())
    assert [type(each) for each in found] == [DamagedEntry, AuditEntry, AuditEntry, AuditEntry]
    assert found[-1].event == "restart"
    assert found[-1].fields["former_sha256"][:16] in aside.name
    assert log.find_by_watermark("00000001") == [
        found[2]
    ]  # what was said before can still be found


def test_a_log_that_vanished_can_be_begun_anew(tmp_path: Path) -> None:
    log = filled(tmp_path, 2)
    log.path.unlink()
    with pytest.raises(AuditError):
        log.append("adapt", {})
    assert log.restart() is None
    assert log.verify().entries == 1


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
@pytest.mark.parametrize("zeros", [0, 30])
def test_a_crash_while_writing_loses_nothing(tmp_path: Path, kept: int, zeros: int) -> None:
    log = filled(tmp_path, 3)
    data = log.path.read_bytes()
    start = data.rindex(b"\n", 0, -1) + 1
    cut = len(data) - 1 if kept == -1 else start + kept
    torn = (data[:cut] + b"\0" * zeros)[: len(data)]
    log.path.write_bytes(torn)
    with pytest.warns(UserWarning, match="entry 3 was cut by a crash and was restored"):
        log.append("adapt", {})
    assert log.path.read_bytes().startswith(data)
    log.path.write_bytes(torn)
    log = write_log(
        tmp_path, torn, json.dumps({"start": start, "line": data[start:].decode()}).encode()
    )
    assert "restored" in log.verify().restored
    assert log.path.read_bytes() == data
    assert log.verify().restored == ""


def test_unknown_events_and_endless_entries_are_refused(tmp_path: Path) -> None:
    log = filled(tmp_path, 1)
    with pytest.raises(AuditError, match="no event"):
        log.append("party", {})
    with pytest.raises(AuditError, match="too long"):
        log.append("adapt", {"x": "y" * MAX_AUDIT_LINE_BYTES})
    assert log.verify().entries == 1


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permissions that hold")
def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    log = filled(tmp_path, 1)
    log.head_path.parent.chmod(0o500)
    try:
        with pytest.raises(AuditError, match="nothing was done"):
            log.append("adapt", {})
    finally:
        log.head_path.parent.chmod(0o700)


APPENDER = """
import sys
from pathlib import Path
from dubfew.registry.audit import AuditLog
log = AuditLog(Path(sys.argv[1]) / "home", Path(sys.argv[1]) / "keys")
for number in range(int(sys.argv[2])):
    log.append("render", {"by": sys.argv[3], "number": number})
    print(number, flush=True)
"""


def appender(folder: Path, count: int, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(folder), str(count), name],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_write_one_chain(tmp_path: Path) -> None:
    processes = [appender(tmp_path, 50, name) for name in ("a", "b")]
    for process in processes:
        process.communicate(timeout=600)
        assert process.returncode == 0
    log = open_log(tmp_path)
    assert log.verify().entries == 100
    assert log.verify().ok
    for name in ("a", "b"):
        mine = [e.fields["number"] for e in log.iter_entries() if e.fields["by"] == name]
        assert mine == list(range(50))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@pytest.mark.slow
def test_kill_9_while_appending(tmp_path: Path) -> None:
    acknowledged = 0
    for round_ in range(4):
        process = appender(tmp_path, 10_000, "a")
        assert process.stdout is not None
        for _ in range(1 + 3 * round_):
            process.stdout.readline()
            acknowledged += 1
        process.kill()
        acknowledged += len(process.communicate()[0].splitlines())
        report = open_log(tmp_path).verify()
        assert report.ok, report.faults
        # Every acknowledged entry is in the log; one more per process may have been on its way.
        assert acknowledged <= report.entries <= acknowledged + round_ + 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@in_lean_process
@pytest.mark.slow
def test_killed_between_any_two_lines_of_code(tmp_path: Path) -> None:
    from dubfew.registry import audit
    from tests.registry.test_crash import run_and_die

    log = filled(tmp_path, 1)
    counts, killed, lines = [1], True, 0
    while killed:
        lines += 1
        killed = run_and_die(lambda: log.append("adapt", {}), lines, {audit.__file__})
        report = log.verify()
        assert report.ok, report.faults
        counts.append(report.entries)
    assert lines > 20
    assert {after - before for before, after in itertools.pairwise(counts)} == {0, 1}
