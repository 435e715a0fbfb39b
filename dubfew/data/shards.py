"""Prepared clips in shards of WebDataset's tar layout, read without copying them to memory.

A sample is a clip or a segment of one: ``KEY.json`` has its facts, ``KEY.footage.safetensors`` the
windows and meshes, ``KEY.track.safetensors`` the track and ``KEY.audio.safetensors`` the audio, if
there is any. Data of painting renderers has ``KEY.clip.safetensors`` instead of the footage
(`dubfew.data.clip_shards`). All segments of a clip lie in one shard, one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.data.clip_index import is_excluded, normalize_excluded_names
from dubfew.data.footage_io import FOOTAGE_METADATA_KEY, check_footage_header
from dubfew.data.mapped_arrays import ConcatenatedArray, MappedArray, MappedFile
from dubfew.data.tar import (
    TarMember,
    copy_members,
    damaged_shard_message,
    read_members,
    serialize_member,
    write_tar_end,
)
from dubfew.errors import ArtefactError, DubfewError, ShapeError
from dubfew.references.footage import FOOTAGE_ARRAY_NAMES, Footage
from dubfew.utils.files import atomic_path
from dubfew.utils.format_version import check_format_version

SHARD_FORMAT_VERSION = 1
# Arrays that stay on the disk. The others take 1.4 kB for each frame and are used as a whole.
MAPPED_ARRAYS = ("images", "vertices")
# Files that hold the pictures of a sample; each sample has one of them.
PICTURE_MEMBERS = ("footage.safetensors", "clip.safetensors")
# Facts of a segment that are not facts of its clip.
_SEGMENT_KEYS = ("format_version", "segment", "start", "stop", "frames", "seconds")


@dataclass(frozen=True)
class ShardSample:
    """One sample of a shard.

    Attributes:
        shard_path: the tar.
        key: name of the sample.
        members: its files by extension, such as ``footage.safetensors``.
        header: content of KEY.json.
    """

    shard_path: Path
    key: str
    members: dict[str, TarMember]
    header: dict[str, Any]


def shard_paths(folder: Path) -> list[Path]:
    """List the shards of a folder, in order."""
    return sorted(folder.glob("shard-*.tar"))


def legacy_clip_paths(folder: Path) -> list[Path]:
    """List clips stored as files of their own, as dubfew did before it had shards, in order."""
    return sorted(p for p in folder.glob("*.safetensors") if not p.name.startswith("."))


def read_shard(path: Path) -> list[ShardSample]:
    """Read the samples of a shard: headers and places of their files, without the windows.

    Raises:
        ArtefactError: The file is damaged, is not a shard of dubfew's, or a newer dubfew wrote it.
    """
    # Members of one sample share their name up to the first dot.
    groups: dict[str, dict[str, TarMember]] = {}
    for member in read_members(path):
        key, _, extension = member.name.partition(".")
        if extension in groups.setdefault(key, {}):
            raise ArtefactError(damaged_shard_message(path, f"{member.name!r} is there twice"))
        groups[key][extension] = member
    samples = []
    with open(path, "rb") as file:
        for key, members in groups.items():
            samples.append(ShardSample(path, key, members, _read_header(path, key, members, file)))
    return samples


def group_by_clip(samples: Iterable[ShardSample]) -> list[list[ShardSample]]:
    """Group the samples of a shard by clip, each clip's segments in the order of their frames."""
    clips: dict[str, list[ShardSample]] = {}
    for sample in samples:
        clips.setdefault(sample.header["clip"], []).append(sample)
    return [sorted(clip, key=lambda sample: sample.header["start"]) for clip in clips.values()]


def _read_header(
    path: Path, key: str, members: Mapping[str, TarMember], file: Any
) -> dict[str, Any]:
    """Read and check KEY.json of a sample; ``file`` is the open shard."""
    try:
        member = members["json"]
        if not any(name in members for name in PICTURE_MEMBERS):
            raise KeyError(PICTURE_MEMBERS[0])
        file.seek(member.data_offset)
        header = json.loads(file.read(member.num_bytes))
        if not isinstance(header, dict):
            raise ValueError("its header is not an object")
        # Facts that the code relies on; others are passed on as they are.
        if not all(isinstance(header[name], str) for name in ("file", "identity", "clip")):
            raise ValueError("a name is not text")
        if not all(isinstance(header[name], int) for name in ("format_version", "start", "frames")):
            raise ValueError("a count is not a number")
    except (KeyError, ValueError, RecursionError) as error:
        raise ArtefactError(
            damaged_shard_message(path, f"sample {key!r} is incomplete: {error}")
        ) from error
    check_format_version(header["format_version"], SHARD_FORMAT_VERSION, f"the shard {path}")
    return header


def list_stored_clips(folder: Path) -> list[dict[str, Any]]:
    """List the facts of each clip in a folder, those in shards first.

    Returns:
        Per clip at least ``file``, ``identity`` and ``frames``, and ``stored``, the name of the
        file that holds it.

    Raises:
        ArtefactError: A file in the folder is damaged.
    """
    return [
        {**clip.header, "frames": clip.num_frames, "stored": clip.path.name}
        for clip in _iter_clips(folder)
    ]


def open_prepared_clips(
    folder: Path, excluded: Collection[str] = ()
) -> list[tuple[Footage, dict[str, Any]]]:
    """Open the prepared clips of a folder in a fixed order, their windows left on the disk.

    Windows and meshes behave as arrays but are read when they are indexed
    (`dubfew.data.mapped_arrays.ConcatenatedArray`), in every process that the footage is sent to.
    Clips stored by earlier versions, a file each, are opened as well.

    Args:
        folder: folder that `dubfew prior prepare` filled.
        excluded: identities, files or SHA-256 sums of people to leave out, see `read_exclude_list`.

    Returns:
        Footage and facts of each clip: file, identity, source, license, sha256, fps, ...

    Raises:
        ArtefactError: A file in the folder is damaged.
        DubfewError: The folder has no clips, or all of them are excluded.
    """
    clips = []
    for clip in find_stored_clips(folder, excluded):
        # Crops and windows differ in size and mask; a training on the wrong ones would fail late.
        if clip.header.get("layout"):
            raise DubfewError(
                f"{folder} holds crops of the layout {clip.header['layout']!r}, expected mouth "
                "windows: prepare without --layout"
            )
        try:
            footage = _join_footage(clip.segments)
        except (KeyError, ShapeError) as error:
            raise ArtefactError(
                f"{clip.path} holds no whole footage of {clip.header['file']} ({error}): prepare "
                "it again"
            ) from error
        clips.append((footage, clip.header))
    return clips


@dataclass(frozen=True)
class StoredClip:
    """A clip on the disk.

    Attributes:
        path: the file that holds it.
        header: its facts.
        num_frames: number of its frames.
        segments: the mapped arrays of each of its segments.
        sounds: place of the sound of each segment that has one: first byte and length.
    """

    path: Path
    header: dict[str, Any]
    num_frames: int
    segments: list[dict[str, MappedArray]]
    sounds: list[tuple[int, int]]

    def read_sounds(self) -> Iterator[bytes]:
        """Read the stored sound of each segment that has one."""
        with open(self.path, "rb") as file:
            for offset, size in self.sounds:
                file.seek(offset)
                yield file.read(size)


def find_stored_clips(folder: Path, excluded: Collection[str] = ()) -> list[StoredClip]:
    """Find the clips of a folder, but for excluded people.

    Args:
        folder: folder that `dubfew prior prepare` filled.
        excluded: identities, files or SHA-256 sums of people to leave out, see `read_exclude_list`.

    Raises:
        ArtefactError: A file in the folder is damaged.
        DubfewError: The folder has no clips, or all of them are excluded.
    """
    # All headers are read before any array, so that damage shows at once.
    names = normalize_excluded_names(excluded)
    found = list(_iter_clips(folder))
    if not found:
        raise DubfewError(f"no prepared footage in {folder}: make it with `dubfew prior prepare`")
    included = [clip for clip in found if not is_excluded(clip.header, names)]
    if not included:
        raise DubfewError(
            f"all {len(found)} clips in {folder} are on the exclude list: prepare other people"
        )
    return included


def _iter_clips(folder: Path) -> Iterator[StoredClip]:
    """Find every clip of a folder; nothing but headers is read."""
    for path in shard_paths(folder):
        file = MappedFile(path)
        for samples in group_by_clip(read_shard(path)):
            # Facts of the clip are the same in all of its segments.
            first = samples[0].header
            header = {k: v for k, v in first.items() if k not in _SEGMENT_KEYS}
            header["seconds"] = sum(s.header.get("seconds", 0.0) for s in samples)
            members = [
                next(s.members[name] for name in PICTURE_MEMBERS if name in s.members)
                for s in samples
            ]
            segments = [file.read_safetensors(m.data_offset, m.num_bytes)[0] for m in members]
            heard = [s.members.get("audio.safetensors") for s in samples]
            sounds = [(m.data_offset, m.num_bytes) for m in heard if m is not None]
            num_frames = sum(s.header["frames"] for s in samples)
            yield StoredClip(path, header, num_frames, segments, sounds)
    for path in legacy_clip_paths(folder):
        header, arrays = _open_legacy_clip(path)
        num_frames = arrays["frames"].shape[0] if "frames" in arrays else 0
        yield StoredClip(path, header, num_frames, [arrays], [])


def _open_legacy_clip(path: Path) -> tuple[dict[str, Any], dict[str, MappedArray]]:
    """Map the arrays of a clip in a file of its own, and complete its header."""
    try:
        arrays, metadata = MappedFile(path).read_safetensors(0, path.stat().st_size)
        header = json.loads(metadata[FOOTAGE_METADATA_KEY])
        # The first versions stored less: a file's name stands in for what is missing.
        file = header.setdefault("file", path.stem)
        header.setdefault("identity", str(Path(file).with_suffix("")))
        header["size"] = arrays["images"].shape[1]
    except (ArtefactError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{path} is not prepared footage: make it with `dubfew prior prepare`"
        ) from error
    check_footage_header(header, str(path))
    return header, arrays


def _join_footage(segments: list[dict[str, MappedArray]]) -> Footage:
    """Join the segments of a clip; windows and meshes stay on the disk."""
    arrays: dict[str, Any] = {}
    for name in FOOTAGE_ARRAY_NAMES:
        # One segment needs no copy, several are joined.
        joined = ConcatenatedArray([segment[name] for segment in segments])
        whole = segments[0][name].array if len(segments) == 1 else joined[:]
        arrays[name] = joined if name in MAPPED_ARRAYS else whole
    return Footage(**arrays)


class ShardWriter:
    """Joins finished clips to shards of about one size, in the order in which they come."""

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        """Go on behind the shards that a folder has.

        Args:
            folder: folder of the shards.
            shard_bytes: a shard is closed as soon as it has this many bytes.
        """
        self.folder = folder
        self.shard_bytes = shard_bytes
        self._pending_parts: list[tuple[Path, list[TarMember]]] = []
        numbers = [int(path.stem[6:]) for path in shard_paths(folder) if path.stem[6:].isdigit()]
        self._next_number = max(numbers, default=-1) + 1

    def add(self, part: Path) -> None:
        """Add a tar with one clip, which is removed once its shard is written.

        Raises:
            ArtefactError: The tar is damaged.
        """
        # Reading the list of members finds a damaged tar before it gets into a shard.
        self._pending_parts.append((part, read_members(part)))
        if (
            sum(
                m.end_offset - m.header_offset
                for _, members in self._pending_parts
                for m in members
            )
            >= self.shard_bytes
        ):
            self.close()

    def close(self) -> None:
        """Write the shard that was begun, if any."""
        if not self._pending_parts:
            return
        # Parts go only when the shard is whole: a killed run loses nothing.
        shard = self.folder / f"shard-{self._next_number:06d}.tar"
        with atomic_path(shard) as temporary, open(temporary, "wb") as file:
            for part, members in self._pending_parts:
                copy_members(part, members, file)
            write_tar_end(file)
        for part, _ in self._pending_parts:
            part.unlink(missing_ok=True)
        self._next_number += 1
        self._pending_parts = []


def rewrite_shards(
    folder: Path, update_header: Callable[[dict[str, Any]], dict[str, Any] | None]
) -> list[str]:
    """Remove clips from prepared data, or correct their facts.

    Shards that hold such clips are written anew, without a byte of the clips that were removed.

    Args:
        folder: folder of shards and of single clips.
        update_header: gives a sample's new header for its old one; None removes the sample. Single
            clips can be removed, but not corrected.

    Returns:
        Files of the removed clips.

    Raises:
        ArtefactError: A file in the folder is damaged.
    """
    # A dictionary as an ordered set: a clip has several samples.
    removed: dict[str, None] = {}
    for path in shard_paths(folder):
        samples = read_shard(path)
        headers = [update_header(sample.header) for sample in samples]
        pairs = list(zip(samples, headers, strict=True))
        removed |= {s.header["file"]: None for s, header in pairs if header is None}
        if all(header is None for header in headers):
            path.unlink()
        # Untouched shards keep their bytes and their time.
        elif any(sample.header != header for sample, header in pairs):
            _rewrite_shard(path, pairs)
    for path in legacy_clip_paths(folder):
        header, _ = _open_legacy_clip(path)
        if update_header(header) is None:
            path.unlink()
            removed[header["file"]] = None
    return list(removed)


def _rewrite_shard(
    path: Path, pairs: Iterable[tuple[ShardSample, Mapping[str, Any] | None]]
) -> None:
    """Replace a shard by one with new headers; samples without a header are left out."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for sample, header in pairs:
            if header is None:
                continue
            for name, member in sample.members.items():
                if name == "json" and header != sample.header:
                    file.write(serialize_member(member.name, serialize_header(header)))
                else:
                    copy_members(path, [member], file)
        write_tar_end(file)


def serialize_header(header: Mapping[str, Any]) -> bytes:
    """Write a sample's KEY.json."""
    return json.dumps(header, indent=1).encode("ascii")


def serialize_sample(key: str, files: Mapping[str, bytes]) -> bytes:
    """Write the members of one sample as they lie in a tar, ordered by name.

    Args:
        key: name of the sample, ASCII without dots.
        files: contents by extension, such as ``json``.
    """
    return b"".join(serialize_member(f"{key}.{name}", files[name]) for name in sorted(files))
