"""The plain tar of WebDataset shards: written the same for the same content, read by offset."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dubfew.errors import ArtefactError

BLOCK = 512
_COPY = 1 << 20


@dataclass(frozen=True)
class Member:
    """One file within a tar.

    Attributes:
        name: as stored.
        offset: where its bytes begin, from the start of the tar.
        size: their number.
    """

    name: str
    offset: int
    size: int

    @property
    def start(self) -> int:
        """Where its header begins."""
        return self.offset - BLOCK

    @property
    def stop(self) -> int:
        """Where the next member begins."""
        return self.offset + -(-self.size // BLOCK) * BLOCK


def member_bytes(name: str, data: bytes) -> bytes:
    """One member with its header, without owner, time or anything else that would vary."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    header = info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    return header + data + bytes(-len(data) % BLOCK)


def end_tar(file: BinaryIO) -> None:
    """Write what every tar ends with."""
    file.write(bytes(2 * BLOCK))


def copy_members(source: Path, members: Iterable[Member], file: BinaryIO) -> None:
    """Append members of another tar as they are."""
    with open(source, "rb") as tar:
        for member in members:
            tar.seek(member.start)
            left = member.stop - member.start
            while left:
                block = tar.read(min(left, _COPY))
                if not block:
                    raise ArtefactError(damaged(source, "ends early"))
                file.write(block)
                left -= len(block)


def read_members(path: Path) -> list[Member]:
    """What a tar holds, without reading the content.

    Only regular files with short names: what `member_bytes` and WebDataset's own writer make.

    Raises:
        ArtefactError: not such a tar, or damaged; names it.
    """
    members: list[Member] = []
    try:
        with open(path, "rb") as file:
            length = file.seek(0, io.SEEK_END)
            place = 0
            while True:
                file.seek(place)
                header = file.read(BLOCK)
                if len(header) < BLOCK:
                    raise ArtefactError(damaged(path, "ends early"))
                if not any(header):
                    return members
                member = _member(path, header, place)
                if member.stop > length:
                    raise ArtefactError(damaged(path, f"ends within {member.name!r}"))
                members.append(member)
                place = member.stop
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read ({error.strerror}): check it") from error


def _member(path: Path, header: bytes, place: int) -> Member:
    blank = header[:148] + b" " * 8 + header[156:]
    try:
        if _octal(header[148:156]) != sum(blank):
            raise ValueError("a checksum is wrong")
        if header[156:157] not in (b"0", b"\0"):
            raise ValueError(f"an entry has type {header[156:157]!r}, expected a regular file")
        names = [header[345:500], header[:100]] if header[257:262] == b"ustar" else [header[:100]]
        name = b"/".join(part for n in names if (part := n.split(b"\0")[0])).decode("utf-8")
        return Member(name, place + BLOCK, _octal(header[124:136]))
    except ValueError as error:
        raise ArtefactError(damaged(path, f"at byte {place} {error}")) from error


def _octal(field: bytes) -> int:
    digits = field.split(b"\0")[0].strip()
    if not digits.isdigit():  # int() would take signs and underscores, too
        raise ValueError("a number is unreadable")
    return int(digits, 8)


def damaged(path: Path, what: str) -> str:
    """The one line about a tar that is of no use."""
    return f"the shard {path} is damaged ({what}): delete it and run `dubfew prior prepare` again"
