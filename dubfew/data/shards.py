"""Prepared people in shards: WebDataset's tar layout, read without copying it to memory.

A sample is a clip or a segment of one: ``KEY.json`` says what it is, ``KEY.footage.safetensors``
holds windows and meshes, ``KEY.track.safetensors`` the track and ``KEY.audio.safetensors`` the
sound, if there is any. All segments of a clip lie in one shard, one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.data.clip_index import excluded_names, is_excluded
from dubfew.data.footage_io import ARRAYS
from dubfew.data.mapped_arrays import Mapped, Rows, Stored
from dubfew.data.tar import Member, copy_members, damaged, end_tar, member_bytes, read_members
from dubfew.errors import ArtefactError, DubfewError, ShapeError
from dubfew.references.footage import Footage
from dubfew.utils.files import atomic_path

FORMAT_VERSION = 1
# What is worth mapping; the rest of a frame is 1.4 kB and is used as whole arrays.
LARGE = ("images", "vertices")
_OF_A_SEGMENT = ("format_version", "segment", "start", "stop", "frames", "seconds")


@dataclass(frozen=True)
class StoredSample:
    """One sample of a shard.

    Attributes:
        shard: the tar.
        key: name of the sample.
        members: its files by extension.
        header: what KEY.json says.
    """

    shard: Path
    key: str
    members: dict[str, Member]
    header: dict[str, Any]


def shard_paths(folder: Path) -> list[Path]:
    """The shards of a folder, in order."""
    return sorted(folder.glob("shard-*.tar"))


def single_paths(folder: Path) -> list[Path]:
    """Clips stored as files of their own, as dubfew did before it had shards, in order."""
    return sorted(p for p in folder.glob("*.safetensors") if not p.name.startswith("."))


def read_shard(path: Path) -> list[StoredSample]:
    """What a shard holds, without the windows.

    Raises:
        ArtefactError: damaged, or not a shard of dubfew's, or from a newer dubfew.
    """
    groups: dict[str, dict[str, Member]] = {}
    for member in read_members(path):
        key, _, extension = member.name.partition(".")
        if extension in groups.setdefault(key, {}):
            raise ArtefactError(damaged(path, f"{member.name!r} is there twice"))
        groups[key][extension] = member
    samples = []
    with open(path, "rb") as file:
        for key, members in groups.items():
            samples.append(StoredSample(path, key, members, _header(path, key, members, file)))
    return samples


def _header(path: Path, key: str, members: Mapping[str, Member], file: Any) -> dict[str, Any]:
    try:
        member = members["json"]
        if "footage.safetensors" not in members:
            raise KeyError("footage.safetensors")
        file.seek(member.offset)
        header = json.loads(file.read(member.size))
        if not isinstance(header, dict):
            raise ValueError("no object")
        if not all(isinstance(header[name], str) for name in ("file", "identity", "clip")):
            raise ValueError("names that are no text")
        if not all(isinstance(header[name], int) for name in ("format_version", "start", "frames")):
            raise ValueError("counts that are no numbers")
    except (KeyError, ValueError, RecursionError) as error:
        raise ArtefactError(damaged(path, f"sample {key!r} is incomplete: {error}")) from error
    if header["format_version"] > FORMAT_VERSION:
        raise ArtefactError(
            f"the shard {path} has format {header['format_version']}, this dubfew reads up to "
            f"{FORMAT_VERSION}: update dubfew"
        )
    return header


def stored_clips(folder: Path) -> list[dict[str, Any]]:
    """What is known of each clip in a folder, whichever way it is stored, shards first.

    Every entry has at least file, identity and frames, and ``stored``: the name of what holds it.

    Raises:
        ArtefactError: something in the folder is damaged.
    """
    return [
        {**header, "frames": frames, "stored": path.name}
        for path, header, frames, _ in _all(folder)
    ]


def open_people(
    folder: Path, exclude: Collection[str] = ()
) -> list[tuple[Footage, dict[str, Any]]]:
    """Prepared clips of a folder in a fixed order, their windows left on the disk.

    The windows and meshes behave as arrays but are read when they are looked at (`Rows`), in
    every process that the footage is sent to. Clips stored by earlier versions, a file each, are
    read as well.

    Args:
        folder: what `dubfew prior prepare` made.
        exclude: identities, files or SHA-256 sums of people to leave out, see `read_exclude`.

    Returns:
        Footage and facts of each clip: file, identity, source, license, sha256, fps, ...

    Raises:
        ArtefactError: something in the folder is damaged.
        DubfewError: there is nobody, or nobody is left.
    """
    names = excluded_names(exclude)
    found = list(_all(folder))
    if not found:
        raise DubfewError(f"no prepared footage in {folder}: make it with `dubfew prior prepare`")
    wanted = [
        (path, header, parts) for path, header, _, parts in found if not is_excluded(header, names)
    ]
    if not wanted:
        raise DubfewError(
            f"all {len(found)} clips in {folder} are on the exclude list: prepare other people"
        )
    people = []
    for path, header, parts in wanted:
        try:
            footage = _footage(parts)
        except (KeyError, ShapeError) as error:
            raise ArtefactError(
                f"{path} holds no whole footage of {header['file']} ({error}): prepare it again"
            ) from error
        people.append((footage, header))
    return people


Parts = list[dict[str, Stored]]


def _all(folder: Path) -> Iterator[tuple[Path, dict[str, Any], int, Parts]]:
    """File, facts, frames and arrays of every clip."""
    for path in shard_paths(folder):
        file = Mapped(path)
        clips: dict[str, list[StoredSample]] = {}
        for sample in read_shard(path):
            clips.setdefault(sample.header["clip"], []).append(sample)
        for samples in clips.values():
            samples.sort(key=lambda sample: sample.header["start"])
            first = samples[0].header
            header = {k: v for k, v in first.items() if k not in _OF_A_SEGMENT}
            header["seconds"] = sum(s.header.get("seconds", 0.0) for s in samples)
            parts = [_tensors(file, s.members["footage.safetensors"]) for s in samples]
            yield path, header, sum(s.header["frames"] for s in samples), parts
    for path in single_paths(folder):
        header, arrays = _single(path)
        yield path, header, arrays["frames"].shape[0] if "frames" in arrays else 0, [arrays]


def _tensors(file: Mapped, member: Member) -> dict[str, Stored]:
    return file.tensors(member.offset, member.size)[0]


def _single(path: Path) -> tuple[dict[str, Any], dict[str, Stored]]:
    try:
        arrays, metadata = Mapped(path).tensors(0, path.stat().st_size)
        header = json.loads(metadata["dubfew.footage"])
        file = header.setdefault("file", path.stem)
        header.setdefault("identity", str(Path(file).with_suffix("")))
        header["size"] = arrays["images"].shape[1]
    except (ArtefactError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{path} is not prepared footage: make it with `dubfew prior prepare`"
        ) from error
    return header, arrays


def _footage(parts: Parts) -> Footage:
    arrays: dict[str, Any] = {}
    for name in ARRAYS:
        joined = Rows([part[name] for part in parts])
        whole = parts[0][name].array if len(parts) == 1 else joined[:]
        arrays[name] = joined if name in LARGE else whole
    return Footage(**arrays)


class ShardWriter:
    """Joins finished clips to shards of about one size, in the order in which they come."""

    def __init__(self, folder: Path, limit: int) -> None:
        """
        Args:
            folder: where the shards go.
            limit: bytes from which on a shard is closed.
        """
        self.folder = folder
        self.limit = limit
        self._waiting: list[tuple[Path, list[Member]]] = []
        taken = [int(path.stem[6:]) for path in shard_paths(folder) if path.stem[6:].isdigit()]
        self._number = max(taken, default=-1) + 1

    def add(self, part: Path) -> None:
        """Take a tar with one clip; it is removed once its shard is written."""
        self._waiting.append((part, read_members(part)))
        if sum(m.stop - m.start for _, members in self._waiting for m in members) >= self.limit:
            self.close()

    def close(self) -> None:
        """Write what waits, if anything does."""
        if not self._waiting:
            return
        shard = self.folder / f"shard-{self._number:06d}.tar"
        with atomic_path(shard) as temporary, open(temporary, "wb") as file:
            for part, members in self._waiting:
                copy_members(part, members, file)
            end_tar(file)
        for part, _ in self._waiting:
            part.unlink(missing_ok=True)
        self._number += 1
        self._waiting = []


def revise(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> list[str]:
    """Remove clips from prepared data, or correct what is said of them.

    Shards that hold such clips are written anew without a byte of what was removed.

    Args:
        folder: of shards and single clips.
        change: gives a sample's new header for its old one; None removes the sample. Single
            clips can only be removed.

    Returns:
        Files of the clips that were removed.
    """
    removed: dict[str, None] = {}
    for path in shard_paths(folder):
        samples = read_shard(path)
        headers = [change(sample.header) for sample in samples]
        pairs = list(zip(samples, headers, strict=True))
        removed |= {s.header["file"]: None for s, header in pairs if header is None}
        if all(header is None for header in headers):
            path.unlink()
        elif any(sample.header != header for sample, header in pairs):
            with atomic_path(path) as temporary, open(temporary, "wb") as file:
                for sample, header in pairs:
                    if header is not None:
                        for name, member in sample.members.items():
                            if name == "json" and header != sample.header:
                                file.write(member_bytes(member.name, header_bytes(header)))
                            else:
                                copy_members(path, [member], file)
                end_tar(file)
    for path in single_paths(folder):
        header, _ = _single(path)
        if change(header) is None:
            path.unlink()
            removed[header["file"]] = None
    return list(removed)


def header_bytes(header: Mapping[str, Any]) -> bytes:
    """A sample's KEY.json."""
    return json.dumps(header, indent=1).encode("ascii")


def sample_bytes(key: str, files: Mapping[str, bytes]) -> bytes:
    """All files of one sample as they lie in a tar, ordered by name."""
    return b"".join(member_bytes(f"{key}.{name}", files[name]) for name in sorted(files))
