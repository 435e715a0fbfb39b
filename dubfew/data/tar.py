"""The plain tar files of WebDataset shards: equal content gives equal bytes, read by offset."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dubfew.errors import ArtefactError

# Unit of a tar, set by the format: headers take one block, contents are padded to whole ones.
TAR_BLOCK_BYTES = 512
# Bytes that are copied at once, which bounds memory.
_COPY_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class TarMember:
    """One file within a tar.

    Attributes:
        name: name as stored.
        data_offset: first byte of its content, from the start of the tar.
        num_bytes: length of its content.
    """

    name: str
    data_offset: int
    num_bytes: int

    @property
    def header_offset(self) -> int:
        """Return the first byte of the member's header, from the start of the tar."""
        return self.data_offset - TAR_BLOCK_BYTES

    @property
    def end_offset(self) -> int:
        """Return the first byte after the member's padding, where the next member begins."""
        return self.data_offset + -(-self.num_bytes // TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES


def serialize_member(name: str, data: bytes) -> bytes:
    """Write one member with header and padding, without owner, time or anything that would vary.

    Args:
        name: ASCII, at most 100 characters.
        data: its content.
    """
    # A new TarInfo has time 0 and no owner.
    info = tarfile.TarInfo(name)
    info.size = len(data)
    header = info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    return header + data + bytes(-len(data) % TAR_BLOCK_BYTES)


def write_tar_end(file: BinaryIO) -> None:
    """Write the two empty blocks that end every tar."""
    file.write(bytes(2 * TAR_BLOCK_BYTES))


def copy_members(source: Path, members: Iterable[TarMember], output: BinaryIO) -> None:
    """Append members of another tar as they are.

    Args:
        source: the tar to copy from.
        members: members of it.
        output: a tar without its end.

    Raises:
        ArtefactError: The source ends before a member does.
    """
    with open(source, "rb") as tar:
        for member in members:
            tar.seek(member.header_offset)
            # Header, content and padding in one go.
            left = member.end_offset - member.header_offset
            while left:
                block = tar.read(min(left, _COPY_CHUNK_BYTES))
                if not block:
                    raise ArtefactError(damaged_shard_message(source, "ends early"))
                output.write(block)
                left -= len(block)


def read_members(path: Path) -> list[TarMember]:
    """List the members of a tar without reading their content.

    Only regular files with short names are accepted, which `serialize_member` and WebDataset's own
    writer make.

    Raises:
        ArtefactError: The file cannot be read, is not such a tar, or is damaged.
    """
    members: list[TarMember] = []
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.pax_headers:
                    raise ArtefactError(
                        damaged_shard_message(path, f"{info.name!r} is not a plain file")
                    )
                members.append(TarMember(info.name, info.offset_data, info.size))
        # Python takes whatever it cannot read for the end of a tar: look for the real end.
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
    """Word the error about a damaged shard, in one line.

    Args:
        path: the shard.
        problem: what is wrong with it.
    """
    return (
        f"the shard {path} is damaged ({problem}): delete it and run `dubfew prior prepare` again"
    )
