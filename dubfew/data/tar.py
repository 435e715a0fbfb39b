"""The plain tar of WebDataset shards: written the same for the same content, read by offset."""

from __future__ import annotations

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
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.pax_headers:
                    raise ArtefactError(damaged(path, f"{info.name!r} is no plain file"))
                members.append(Member(info.name, info.offset_data, info.size))
        # Python takes whatever it cannot read for the end of a tar.
        with open(path, "rb") as file:
            file.seek(members[-1].stop if members else 0)
            if file.read(2 * BLOCK) != bytes(2 * BLOCK):
                raise ArtefactError(damaged(path, "it does not end where its list ends"))
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise ArtefactError(damaged(path, str(error))) from error
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read ({error.strerror}): check it") from error
    return members


def damaged(path: Path, what: str) -> str:
    """The one line about a tar that is of no use."""
    return f"the shard {path} is damaged ({what}): delete it and run `dubfew prior prepare` again"
