"""The audit log: what was done with actors, in lines of which each holds the hash of the one
before.

``<home>/audit.jsonl`` has one JSON object (RFC 8785) per line: ``seq`` counts from 1, ``time`` is
ISO 8601 in UTC, then ``event`` and ``fields``, ``previous`` (the hash of the line before, 64 zeros
in the first) and ``hash``: SHA-256 of the object without ``hash``.

A chain alone does not say where it ends. So the newest line stands a second time in
``audit-head.json``, which lies with the actors' keys, apart from the data. It is written there
first: once it is there, the line counts, and what a crash kept out of the log, whole or in part, is
restored from it.

Who the lines are about is pseudonyms.py's affair. No field may hold an id, a path or a free text.
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

AUDIT_LOG_NAME = "audit.jsonl"
AUDIT_HEAD_NAME = "audit-head.json"
AUDIT_FORMAT_VERSION = 1
AUDIT_EVENTS = (
    "adapt",
    "consent",
    "delete",
    "export",
    "import",
    "leak-test",
    "prune",
    "render",
    "restart",
    "resume",
    "suspend",
)
# Lines have some hundred bytes; what somebody put there must not fill the memory.
MAX_AUDIT_LINE_BYTES = 1 << 16
MAX_REPORTED_FAULTS = 100
AUDIT_LOCK_SECONDS = 60.0
_GENESIS_HASH = "0" * 64


@dataclass(frozen=True)
class AuditEntry:
    """One line. ``fields`` has plain JSON: texts, whole numbers, booleans, null, lists of texts."""

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
        """The entry that follows ``previous_entry``."""
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
        """The entry in a line, which may have been changed.

        Raises:
            ValueError: it was; the message says how it shows.
        """
        if not line.endswith(b"\n"):
            raise ValueError("is too long or has no end")
        try:
            found = strict_json.parse_strict_json(line)
        except ValueError as error:
            raise ValueError(f"was changed ({error})") from None
        kinds = (
            {name: type(found.get(name)) for name in _ENTRY_FIELD_TYPES}
            if isinstance(found, dict)
            else {}
        )
        if kinds != _ENTRY_FIELD_TYPES or found.keys() != _ENTRY_FIELD_TYPES.keys():
            raise ValueError("was changed (it is no entry)")
        entry = cls(**found)
        # Compared as bytes: another way to write the same JSON is a change as well.
        if entry.to_line() != line or entry.hash != _hash_content(_without_hash(found)):
            raise ValueError("was changed")
        return entry

    def to_line(self) -> bytes:
        """The entry as it stands in the log."""
        return strict_json.canonical_json(asdict(self)) + b"\n"

    @property
    def anchor(self) -> str:
        """Names this entry and thereby all before it: to be kept elsewhere, see `verify`."""
        return f"{self.seq}:{self.hash}"


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
    """A line that is not as it was written. ``problem`` says how that shows."""

    problem: str


@dataclass(frozen=True)
class AuditReport:
    """What :meth:`AuditLog.verify` found.

    Attributes:
        entries: lines.
        head: names the newest entry and thereby all others; empty when there is none.
        restored: what a crash had kept out of the log, one line, or "".
        faults: what was changed, removed, inserted or moved, one line each.
    """

    entries: int
    head: str
    restored: str = ""
    faults: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults


class AuditLog:
    """One registry's log. Safe for several processes at once; a process may be killed anywhere."""

    def __init__(self, home: Path, keys_folder: Path) -> None:
        """A log, which need not exist yet.

        Args:
            home: the folder of the log.
            keys_folder: that of its head.
        """
        self.home = home
        self.path = home / AUDIT_LOG_NAME
        self.head_path = keys_folder / AUDIT_HEAD_NAME

    def append(self, event: str, fields: Mapping[str, Any]) -> AuditEntry:
        """Add an entry; it is on disk when this returns. Warns when a crash had cut the log.

        Args:
            event: one of `AUDIT_EVENTS`.

        Raises:
            AuditError: it cannot be written, or the log does not end as it did.
        """
        if event not in AUDIT_EVENTS:
            raise AuditError(f"there is no event {event!r}: use one of {', '.join(AUDIT_EVENTS)}")
        with self._lock():
            last, end, restored = self._recover_last_entry()
            if restored:
                warnings.warn(f"audit log: {restored}", stacklevel=2)
            entry = AuditEntry.create_next(last, event, fields)
            self._write_entry(entry, end)
        return entry

    def verify(self, anchor: str | None = None) -> AuditReport:
        """Check every line, that each follows the one before, and the end.

        Args:
            anchor: an earlier report's ``head``, which was kept elsewhere: the entry that it
                names must still be there.

        Raises:
            AuditError: the log cannot be read.
        """
        faults: list[str] = []

        def add_fault(fault: str) -> None:
            if len(faults) < MAX_REPORTED_FAULTS:
                faults.append(fault)

        last, end, restored = None, 0, ""
        with self._lock():
            try:
                last, end, restored = self._recover_last_entry()
            except AuditError as error:
                add_fault(str(error))
                end = file_size(self.path)
        previous: str | None = _GENESIS_HASH
        count, seq, anchored = 0, 0, anchor is None
        # Nothing before the end changes any more, so others may append meanwhile.
        for entry in _read_entries(self.path, end):
            count += 1
            seq += 1
            if isinstance(entry, DamagedEntry):
                add_fault(f"line {count} {entry.problem}")
                previous = None
                continue
            if (previous is not None and entry.previous != previous) or entry.seq != seq:
                add_fault(f"line {count} does not follow: lines were removed, added or moved")
            previous, seq = entry.hash, entry.seq
            anchored = anchored or entry.anchor == anchor
        if not anchored:
            add_fault(f"no line is the entry {ascii(anchor)[:80]}: the log was written anew")
        head = "" if last is None else last.anchor
        return AuditReport(count, head, restored, tuple(faults))

    def iter_entries(self) -> Iterator[AuditEntry | DamagedEntry]:
        """All lines, oldest first; those of logs that :meth:`restart` ended come before.

        Raises:
            AuditError: a log cannot be read.
        """
        for path in self._log_paths():
            yield from _read_entries(path, file_size(path))

    def find_by_watermark(self, watermark: str) -> list[AuditEntry]:
        """The entries of what carries a watermark."""
        return self._entries_with_field("watermark", watermark)

    def has_event(self, event: str, field_name: str, value: str) -> bool:
        """Whether there is an entry of that event with that field."""
        return any(entry.event == event for entry in self._entries_with_field(field_name, value))

    def _entries_with_field(self, field_name: str, value: str) -> list[AuditEntry]:
        """The entries that have a field, in this log and in former ones."""
        return [
            entry
            for path in self._log_paths()
            for entry in _read_entries(path, file_size(path), value.encode())
            if isinstance(entry, AuditEntry) and entry.fields.get(field_name) == value
        ]

    def restart(self) -> Path | None:
        """Put the log aside and begin a new one, whose first entry has the old one's SHA-256.

        For a log that is damaged, so that nothing can be appended to it.

        Returns:
            Where the old log is now.

        Raises:
            AuditError: the new one cannot be written.
        """
        with self._lock():
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
        return [*sorted(self.home.glob("audit-*.jsonl")), self.path]

    def _recover_last_entry(self) -> tuple[AuditEntry | None, int, str]:
        """The last entry, where it ends, and what had to be restored. Call with the lock held."""
        size = file_size(self.path)
        head = self._read_head()
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
        if not start <= size <= end:
            raise self._damaged_log_error("lines at its end were removed or added")
        tail = _read_from(self.path, start)
        if tail == line:
            return last, end, ""
        # Zeros: after a power cut a file may have its new length before its new content.
        if not line.startswith(tail.rstrip(b"\0")):
            raise self._damaged_log_error(
                f"its last line is not the entry {last.seq} that its head names"
            )
        if self._hash_of_line_before(start) != last.previous:
            raise self._damaged_log_error("lines before its last one were removed or changed")
        self._write_line(line, start)
        return last, end, f"entry {last.seq} was cut by a crash and was restored"

    def _hash_of_line_before(self, end: int) -> str | None:
        """The hash of the line that ends there; None when there is no sound one."""
        if end == 0:
            return _GENESIS_HASH
        data = _read_from(self.path, max(0, end - MAX_AUDIT_LINE_BYTES))[
            : min(end, MAX_AUDIT_LINE_BYTES)
        ]
        try:
            return AuditEntry.from_line(data[data.rfind(b"\n", 0, -1) + 1 :]).hash
        except ValueError:
            return None

    def _read_head(self) -> tuple[int, bytes] | None:
        try:
            found = strict_json.parse_strict_json(self.head_path.read_bytes())
            start, line = found["start"], found["line"]
            if type(start) is not int or start < 0 or not isinstance(line, str):
                raise ValueError("no head")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._damaged_log_error(
                f"its head {self.head_path} cannot be read ({error.strerror})"
            ) from error
        except (ValueError, KeyError, TypeError):
            raise self._damaged_log_error(f"its head {self.head_path} is damaged") from None
        return start, line.encode()

    def _write_entry(self, entry: AuditEntry, start: int) -> None:
        line = entry.to_line()
        if len(line) > MAX_AUDIT_LINE_BYTES:
            raise AuditError(f"an entry of {len(line)} bytes is too long for the audit log")
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
        new = not self.path.exists()
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
        return AuditError(
            f"the audit log {self.path} is damaged ({problem}): 'dubfew audit verify' tells more, "
            "'dubfew audit restart' begins a new one"
        )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with FileLock(self.home / "audit.lock", timeout=AUDIT_LOCK_SECONDS):
                yield
        except Timeout:
            raise AuditError(
                f"another dubfew process has been writing {self.path} for {AUDIT_LOCK_SECONDS:.0f} "
                "s: "
                "wait for it or end it, then run this again"
            ) from None


def _read_entries(path: Path, end: int, needle: bytes = b"") -> Iterator[AuditEntry | DamagedEntry]:
    """The lines up to ``end`` that contain ``needle``: most need not be parsed."""
    try:
        with open(path, "rb") as file:
            position = 0
            while position < end and (line := file.readline(MAX_AUDIT_LINE_BYTES)):
                position += len(line)
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
