"""The plain tar of WebDataset shards: written the same for the same content, read by offset."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dubfew.errors import ArtefactError

TAR_BLOCK_BYTES = 512
_COPY_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class TarMember:
    """One file within a tar.

    Attributes:
        name: as stored.
        data_offset: where its bytes begin, from the start of the tar.
        num_bytes: their number.
    """

    name: str
    data_offset: int
    num_bytes: int

    @property
    def header_offset(self) -> int:
        """Where its header begins."""
        return self.data_offset - TAR_BLOCK_BYTES

    @property
    def end_offset(self) -> int:
        """Where the next member begins."""
        return self.data_offset + -(-self.num_bytes // TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES


def serialize_member(name: str, data: bytes) -> bytes:
    """One member with its header, without owner, time or anything else that would vary."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    header = info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    return header + data + bytes(-len(data) % TAR_BLOCK_BYTES)


def write_tar_end(file: BinaryIO) -> None:
    """Write what every tar ends with."""
    file.write(bytes(2 * TAR_BLOCK_BYTES))


def copy_members(source: Path, members: Iterable[TarMember], output: BinaryIO) -> None:
    """Append members of another tar as they are."""
    with open(source, "rb") as tar:
        for member in members:
            tar.seek(member.header_offset)
            left = member.end_offset - member.header_offset
            while left:
                block = tar.read(min(left, _COPY_CHUNK_BYTES))
                if not block:
                    raise ArtefactError(damaged_shard_message(source, "ends early"))
                output.write(block)
                left -= len(block)


def read_members(path: Path) -> list[TarMember]:
    """What a tar holds, without reading the content.

    Only regular files with short names: what `serialize_member` and WebDataset's own writer make.

    Raises:
        ArtefactError: not such a tar, or damaged; names it.
    """
    members: list[TarMember] = []
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.pax_headers:
                    raise ArtefactError(
                        damaged_shard_message(path, f"{info.name!r} is no plain file")
                    )
                members.append(TarMember(info.name, info.offset_data, info.size))
        # Python takes whatever it cannot read for the end of a tar.
        with open(path, "rb") as file:
            file.seek(members[-1].end_offset if members else 0)
            if file.read(2 * TAR_BLOCK_BYTES) != bytes(2 * TAR_BLOCK_BYTES):
                raise ArtefactError(
                    damaged_shard_message(path, "it does not end where its list ends")
                )
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise ArtefactError(damaged_shard_message(path, str(error))) from error
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read ({error.strerror}): check it") from error
    return members


def damaged_shard_message(path: Path, problem: str) -> str:
    """The one line about a tar that is of no use."""
    return (
        f"the shard {path} is damaged ({problem}): delete it and run `dubfew prior prepare` again"
    )
