"""The audit log: a hash chain of events, one per line.

``<home>/audit.jsonl`` has one JSON object (RFC 8785) per line: ``seq`` counts from 1, ``time`` is
ISO 8601 in UTC, then ``event`` and ``fields``, ``previous`` (the hash of the line before, 64 zeros
in the first line) and ``hash``: SHA-256 of the object without ``hash``.

A hash chain does not show when lines are cut off its end. Therefore the newest line is stored a
second time in ``audit-head.json``, which is kept with the actors' keys, apart from the data. It is
a write-ahead log of one entry: the line is written there first, and if a crash then keeps all or
part of it out of the log, the next access restores it.

Lines name actors by pseudonyms (pseudonyms.py). No field may hold an id, a path or free text.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dubfew.errors import AuditError
from dubfew.registry import strict_json
from dubfew.registry.keys import write_key_file
from dubfew.utils.files import file_size, fsync_folder, sha256_file
from dubfew.utils.timestamps import utc_timestamp

# The log, below the home folder.
AUDIT_LOG_NAME = "audit.jsonl"
# The copy of the newest line, in the folder of keys.
AUDIT_HEAD_NAME = "audit-head.json"
# Version of the head's layout.
AUDIT_FORMAT_VERSION = 1
# Every event that the log may hold. A typing error must not become an event.
AUDIT_EVENTS = (
    "adapt",
    "consent",
    "delete",
    "export",
    "import",
    "leak-test",
    "prune",
    "rename",
    "render",
    "restart",
    "resume",
    "review",
    "suspend",
    "use-revision",
)
# Longest line that is read, bytes. dubfew's own have some hundred; a line that somebody else put
# there must not fill the memory.
MAX_AUDIT_LINE_BYTES = 1 << 16
# Number of faults that a report lists. After the first the others say little.
MAX_REPORTED_FAULTS = 100
# Waiting time for another writer, seconds. An entry takes milliseconds, so after a minute
# something hangs.
AUDIT_LOCK_SECONDS = 60.0
# The hash before the first line.
_GENESIS_HASH = "0" * 64


@dataclass(frozen=True)
class AuditEntry:
    """One line of the log.

    Attributes:
        seq: number of the line, from 1.
        time: ISO 8601 in UTC.
        event: one of `AUDIT_EVENTS`.
        fields: facts in plain JSON: texts, whole numbers, booleans, null, lists of texts.
        previous: hash of the line before, hexadecimal.
        hash: SHA-256 of all other fields, hexadecimal.
    """

    seq: int
    time: str
    event: str
    fields: dict[str, Any]
    previous: str
    hash: str

    @classmethod
    def create_next(
        cls, previous_entry: AuditEntry | None, event: str, fields: Mapping[str, Any]
    ) -> AuditEntry:
        """Create the entry that follows another one, with the current time.

        Args:
            previous_entry: the newest entry, or None for the first of a log.
            event: one of `AUDIT_EVENTS`.
            fields: facts about the event.
        """
        # The hash covers all other fields, and through "previous" all entries before.
        content: dict[str, Any] = {
            "seq": previous_entry.seq + 1 if previous_entry else 1,
            "time": utc_timestamp(),
            "event": event,
            "fields": dict(fields),
            "previous": previous_entry.hash if previous_entry else _GENESIS_HASH,
        }
        return cls(**content, hash=_hash_content(content))

    @classmethod
    def from_line(cls, line: bytes) -> AuditEntry:
        """Parse a line and check that it is as it was written.

        Raises:
            ValueError: The line was changed; the message describes how.
        """
        # readline cuts long lines, so those have no line break either.
        if not line.endswith(b"\n"):
            raise ValueError("is too long or has no end")
        try:
            found = strict_json.parse_strict_json(line)
        except ValueError as error:
            raise ValueError(f"was changed ({error})") from None
        # Exact keys and types: a hash over other JSON would be worth nothing.
        kinds = (
            {name: type(found.get(name)) for name in _ENTRY_FIELD_TYPES}
            if isinstance(found, dict)
            else {}
        )
        if kinds != _ENTRY_FIELD_TYPES or found.keys() != _ENTRY_FIELD_TYPES.keys():
            raise ValueError("was changed (it is not an entry)")
        entry = cls(**found)
        # Compare bytes: another way to write the same JSON is a change, too.
        if entry.to_line() != line or entry.hash != _hash_content(_without_hash(found)):
            raise ValueError("was changed")
        return entry

    def to_line(self) -> bytes:
        """Return the entry as a line of the log."""
        return strict_json.canonical_json(asdict(self)) + b"\n"

    @property
    def anchor(self) -> str:
        """Identifier of this entry, which fixes all entries before it; see `AuditLog.verify`."""
        return f"{self.seq}:{self.hash}"


# Exact types of an entry's fields; a bool is not an int here.
_ENTRY_FIELD_TYPES = {
    "seq": int,
    "time": str,
    "event": str,
    "fields": dict,
    "previous": str,
    "hash": str,
}


@dataclass(frozen=True)
class DamagedEntry:
    """A line that is not as it was written.

    Attributes:
        problem: description of the change, to follow "line N".
    """

    problem: str


@dataclass(frozen=True)
class AuditReport:
    """Result of :meth:`AuditLog.verify`.

    Attributes:
        entries: number of lines.
        head: anchor of the newest entry; empty if the log is empty or damaged at its end.
        restored: description of an entry that a crash had kept out of the log, or "".
        faults: changed, removed, inserted or moved lines, one description each.
    """

    entries: int
    head: str
    restored: str = ""
    faults: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return not self.faults


class AuditLog:
    """The audit log of one registry.

    Several processes may use it at once, and a process may be killed at any point.
    """

    def __init__(self, home: Path, keys_folder: Path) -> None:
        """Open a log, which need not exist yet.

        Args:
            home: folder of the log.
            keys_folder: folder of the copy of its newest line.
        """
        self.home = home
        self.path = home / AUDIT_LOG_NAME
        self.head_path = keys_folder / AUDIT_HEAD_NAME

    def append(self, event: str, fields: Mapping[str, Any]) -> AuditEntry:
        """Append an entry; it is on disk when this returns.

        Warns if a crash had cut the log and the cut entry was restored.

        Args:
            event: one of `AUDIT_EVENTS`.
            fields: facts in plain JSON, without ids, paths or free text.

        Raises:
            AuditError: The event is unknown, the log cannot be written, or its end was changed.
        """
        if event not in AUDIT_EVENTS:
            raise AuditError(f"there is no event {event!r}: use one of {', '.join(AUDIT_EVENTS)}")
        with self._lock():
            last, end, restored = self._recover_last_entry()
            if restored:
                warnings.warn(f"audit log: {restored}", stacklevel=2)
            # The entry is made with the lock held, because it holds the hash of the last one.
            entry = AuditEntry.create_next(last, event, fields)
            self._write_entry(entry, end)
        return entry

    def verify(self, anchor: str | None = None) -> AuditReport:
        """Check every line, the chain of hashes and the end of the log.

        Args:
            anchor: ``head`` of an earlier report, kept elsewhere; its entry must still be in
                the log. This detects a log that was written anew together with its head.

        Raises:
            AuditError: The log cannot be read.
        """
        faults: list[str] = []

        def add_fault(fault: str) -> None:
            if len(faults) < MAX_REPORTED_FAULTS:
                faults.append(fault)

        # Complete an interrupted write first; if the end is damaged, check the whole file.
        last, end, restored = None, 0, ""
        with self._lock():
            try:
                last, end, restored = self._recover_last_entry()
            except AuditError as error:
                add_fault(str(error))
                end = file_size(self.path)
        # After a damaged line the next line's hash cannot be compared: previous is None then.
        previous: str | None = _GENESIS_HASH
        count, seq, anchored = 0, 0, anchor is None
        # Lines before the end never change, so no lock is needed while they are read.
        for entry in _read_entries(self.path, end):
            count += 1
            seq += 1
            # Entry by entry: its own hash, then its place in the chain.
            if isinstance(entry, DamagedEntry):
                add_fault(f"line {count} {entry.problem}")
                previous = None
                continue
            if (previous is not None and entry.previous != previous) or entry.seq != seq:
                add_fault(f"line {count} does not follow: lines were removed, added or moved")
            previous, seq = entry.hash, entry.seq
            anchored = anchored or entry.anchor == anchor
        # The anchor finds a history that was written anew together with the head.
        if not anchored:
            add_fault(f"no line is the entry {ascii(anchor)[:80]}: the log was written anew")
        head = "" if last is None else last.anchor
        return AuditReport(count, head, restored, tuple(faults))

    def iter_entries(self) -> Iterator[AuditEntry | DamagedEntry]:
        """Yield all lines, oldest first, including those of logs that :meth:`restart` set aside.

        Raises:
            AuditError: A log cannot be read.
        """
        for path in self._log_paths():
            yield from _read_entries(path, file_size(path))

    def find_by_watermark(self, watermark: str) -> list[AuditEntry]:
        """Return the entries with a watermark id: the renders that it comes from."""
        return self._entries_with_field("watermark", watermark)

    def has_event(self, event: str, field_name: str, value: str) -> bool:
        """Tell whether the log has an entry of an event with a certain field.

        Args:
            event: one of `AUDIT_EVENTS`.
            field_name: name of the field.
            value: its value.
        """
        return any(entry.event == event for entry in self._entries_with_field(field_name, value))

    def _entries_with_field(self, field_name: str, value: str) -> list[AuditEntry]:
        """Return the entries with a field's value, in this log and in those set aside."""
        return [
            entry
            for path in self._log_paths()
            for entry in _read_entries(path, file_size(path), value.encode())
            if isinstance(entry, AuditEntry) and entry.fields.get(field_name) == value
        ]

    def restart(self) -> Path | None:
        """Set a damaged log aside and begin a new one, whose first entry holds the old SHA-256.

        Returns:
            New path of the old log, or None if there was none.

        Raises:
            AuditError: The new log cannot be written.
        """
        with self._lock():
            # The name holds the date and the hash, so that no log replaces another.
            former, aside = None, None
            if self.path.exists():
                former = sha256_file(self.path)
                now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
                aside = self.home / f"audit-{now}-{former[:16]}.jsonl"
                os.replace(self.path, aside)
                fsync_folder(self.home)
            self._write_entry(AuditEntry.create_next(None, "restart", {"former_sha256": former}), 0)
        return aside

    def _log_paths(self) -> list[Path]:
        """Return the logs that were set aside, by date, and the current one."""
        return [*sorted(self.home.glob("audit-*.jsonl")), self.path]

    def _recover_last_entry(self) -> tuple[AuditEntry | None, int, str]:
        """Return the last entry, its end in bytes, and a description of what was restored.

        Completes a log whose last write was interrupted. Call with the lock held.
        """
        size = file_size(self.path)
        head = self._read_head()
        # No head and no log: nothing was ever stored. A log without its head was tampered with.
        if head is None:
            if size:
                raise self._damaged_log_error(f"its head {self.head_path} is missing")
            return None, 0, ""
        start, line = head
        try:
            last = AuditEntry.from_line(line)
        except ValueError as error:
            raise self._damaged_log_error(f"its head {self.head_path} {error}") from None
        end = start + len(line)
        # The head is written first, so an interrupted write leaves a log that ends in its line.
        if not start <= size <= end:
            raise self._damaged_log_error("lines at its end were removed or added")
        # The end of the log is the head's line, a part of it, or something else.
        tail = _read_from(self.path, start)
        if tail == line:
            return last, end, ""
        # After a power cut a file may have its new length but zeros instead of its new content.
        if not line.startswith(tail.rstrip(b"\0")):
            raise self._damaged_log_error(
                f"its last line is not the entry {last.seq} that its head names"
            )
        if self._hash_of_line_before(start) != last.previous:
            raise self._damaged_log_error("lines before its last one were removed or changed")
        self._write_line(line, start)
        return last, end, f"entry {last.seq} was cut by a crash and was restored"

    def _hash_of_line_before(self, end: int) -> str | None:
        """Return the hash of the line that ends at a byte, or None if it is damaged."""
        if end == 0:
            return _GENESIS_HASH
        # No line is longer, so this holds at least all of the last one.
        data = _read_from(self.path, max(0, end - MAX_AUDIT_LINE_BYTES))[
            : min(end, MAX_AUDIT_LINE_BYTES)
        ]
        try:
            return AuditEntry.from_line(data[data.rfind(b"\n", 0, -1) + 1 :]).hash
        except ValueError:
            return None

    def _read_head(self) -> tuple[int, bytes] | None:
        """Return the newest line and the byte at which it begins, or None without a head."""
        try:
            found = strict_json.parse_strict_json(self.head_path.read_bytes())
            start, line = found["start"], found["line"]
            if type(start) is not int or start < 0 or not isinstance(line, str):
                raise ValueError("not a head")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._damaged_log_error(
                f"its head {self.head_path} cannot be read ({error.strerror})"
            ) from error
        # Wrong JSON, a missing key, or another type than a dictionary.
        except (ValueError, KeyError, TypeError):
            raise self._damaged_log_error(f"its head {self.head_path} is damaged") from None
        return start, line.encode()

    def _write_entry(self, entry: AuditEntry, start: int) -> None:
        """Write an entry at a byte of the log: first to the head, then to the log."""
        line = entry.to_line()
        if len(line) > MAX_AUDIT_LINE_BYTES:
            raise AuditError(f"an entry of {len(line)} bytes is too long for the audit log")
        # First the head, then the log: a crash in between is repaired from the head.
        head = {"format_version": AUDIT_FORMAT_VERSION, "start": start, "line": line.decode()}
        try:
            self.head_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_key_file(self.head_path, strict_json.canonical_json(head))
            self._write_line(line, start)
        except OSError as error:
            raise AuditError(
                f"the audit log {self.path} cannot be written ({error.strerror}), so nothing was "
                "done: free disk space or check permissions, then run this again"
            ) from error

    def _write_line(self, line: bytes, start: int) -> None:
        """Write a line at a byte of the log, which ends with it, and sync it to disk."""
        new = not self.path.exists()
        # Cut at the start of the line: an interrupted write may have left a part of it there.
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(handle, "wb") as file:
            file.truncate(start)
            file.seek(start)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if new:
            fsync_folder(self.home)

    def _damaged_log_error(self, problem: str) -> AuditError:
        """Build the error for a log that takes no more entries."""
        return AuditError(
            f"the audit log {self.path} is damaged ({problem}): 'dubfew audit verify' tells more, "
            "'dubfew audit restart' begins a new one"
        )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other writers out; the system frees the lock when a process dies."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with FileLock(self.home / "audit.lock", timeout=AUDIT_LOCK_SECONDS):
                yield
        except Timeout:
            raise AuditError(
                f"another dubfew process has been writing {self.path} for {AUDIT_LOCK_SECONDS:.0f} "
                "s: wait for it or end it, then run this again"
            ) from None


def _read_entries(path: Path, end: int, needle: bytes = b"") -> Iterator[AuditEntry | DamagedEntry]:
    """Yield the lines up to byte ``end`` that contain ``needle``; the others are not parsed."""
    try:
        with open(path, "rb") as file:
            position = 0
            while position < end and (line := file.readline(MAX_AUDIT_LINE_BYTES)):
                position += len(line)
                # A search reads all lines but parses only those that can match.
                if needle not in line:
                    continue
                try:
                    yield AuditEntry.from_line(line)
                except ValueError as error:
                    yield DamagedEntry(str(error))
    except FileNotFoundError:
        return
    except OSError as error:
        raise AuditError(
            f"the audit log {path} cannot be read ({error.strerror}): check its permissions"
        ) from error


def _read_from(path: Path, start: int) -> bytes:
    """Return a file's bytes from a position on, none where there is no file."""
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read()
    except FileNotFoundError:
        return b""


def _without_hash(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != "hash"}


def _hash_content(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(strict_json.canonical_json(content)).hexdigest()
