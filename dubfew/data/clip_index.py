"""Find the clips of a folder and the people in them, and read the list of people to leave out.

Identities come from a CSV, from the folder's ``manifest.json``, or from the names of folders.
docs/training-data.md describes all three.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from dubfew.errors import DubfewError

# Suffixes of the files that count as videos where no list names the clips.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m4v", ".ts", ".mxf"}
)
# Columns of a list of clips.
REQUIRED_COLUMNS, OPTIONAL_COLUMNS = (
    ("file", "identity"),
    ("source", "license", "weights_may_ship", "split"),
)
# Longest identity, characters. Names are shorter; a longer text is a shifted column of a CSV.
MAX_IDENTITY_LENGTH = 200
# Folders, in lower case, that are named after their content instead of a person: VoxCeleb has
# dev/mp4/id00012/..., LRS3 pretrain/0Fi83BHQsMA/..., MEAD M003/video/front/...
GENERIC_FOLDER_NAMES = frozenset(
    {"audio", "clips", "cropped", "data", "footage", "mp4", "raw", "video", "videos"}
    | {"dev", "pretrain", "test", "train", "training", "trainval"}
    | {"val", "valid", "validate", "validation"}
)
# Spellings of the column ``weights_may_ship``, in lower case.
_TRUE_WORDS, _FALSE_WORDS = {"true", "yes", "1"}, {"false", "no", "0", ""}


@dataclass(frozen=True)
class SourceClip:
    """One video and the person in it.

    Attributes:
        path: the file.
        file: its path within the folder, with forward slashes, in Unicode form NFC.
        identity: the person it shows.
        split: part of the data that it belongs to, such as ``train``; empty if unknown.
        source: where it comes from; empty if unknown.
        license: its license; empty if unknown.
        weights_may_ship: whether weights trained on it may be published; None if unknown.
    """

    path: Path
    file: str
    identity: str
    split: str = ""
    source: str = ""
    license: str = ""
    weights_may_ship: bool | None = None

    @property
    def sample_key(self) -> str:
        """Return the name of the clip's samples: ASCII without dots, as WebDataset needs it."""
        # The start of the file's name, for people; a hash of its whole path, for uniqueness.
        stem = re.sub(r"[^A-Za-z0-9]+", "-", PurePosixPath(self.file).stem)[:40].strip("-")
        digest = hashlib.sha256(self.file.encode("utf-8", "surrogateescape")).hexdigest()
        return f"{stem or 'clip'}_{digest[:12]}"

    def metadata(self) -> dict[str, Any]:
        """Return the facts about the clip's origin that prepared data stores."""
        return {
            "file": self.file,
            "identity": self.identity,
            "split": self.split,
            "source": self.source,
            "license": self.license,
            "weights_may_ship": self.weights_may_ship,
        }


def find_clips(
    folder: Path, *, identities: Path | None = None, by: str = "folder"
) -> list[SourceClip]:
    """Find the clips of a folder.

    The clips are those that a CSV lists, else those of the folder's ``manifest.json``. Without
    either every video in the folder and below is taken.

    Args:
        folder: folder of videos, nested in any way.
        identities: CSV with the columns file, identity and optionally source, license,
            weights_may_ship, split.
        by: identity of clips without a list: ``"file"`` makes every file a person; ``"folder"``
            takes the first folder on the way to the file whose name is not a general one such as
            train or mp4.

    Returns:
        Clips ordered by file name. Listed files need not exist.

    Raises:
        DubfewError: The folder does not exist, or a list has an error, whose line is named.
    """
    if not folder.is_dir():
        raise DubfewError(f"{folder} is not a folder: give the folder that holds the videos")
    # A CSV counts for more than the folder's own list, and any list for more than file names.
    manifest = folder / "manifest.json"
    if identities is not None:
        rows = _read_clip_csv(identities)
    elif manifest.exists():
        rows = _read_clip_manifest(manifest)
    else:
        clips = [
            SourceClip(path, file, _identity_from_path(file, by))
            for path, file in _find_videos(folder, folder)
        ]
        return sorted(clips, key=lambda clip: clip.file)
    # Take paths as the system spells them: it may compose the letters of a name in another way.
    there = {file: path for path, file in _find_videos(folder, folder)}
    clips = [
        SourceClip(
            there.get(row["file"], folder / row["file"]),
            row["file"],
            row.get("identity") or _identity_from_path(row["file"], "file"),
            row.get("split", ""),
            row.get("source", ""),
            row.get("license", ""),
            row.get("weights_may_ship"),
        )
        for row in rows
    ]
    return sorted(clips, key=lambda clip: clip.file)


def select_split(
    clips: Sequence[SourceClip], split: str
) -> tuple[list[SourceClip], list[SourceClip]]:
    """Select the clips of a split.

    Where no clip has a split all belong to it. Where any clip states ``weights_may_ship``, the
    split ``train`` takes only clips of which it is true.

    Args:
        clips: clips of a list or folder.
        split: name of the split.

    Returns:
        The clips of the split, and the clips that belong to another split or are not allowed.
    """
    has_splits = any(clip.split for clip in clips)
    has_rights = split == "train" and any(clip.weights_may_ship is not None for clip in clips)
    chosen: tuple[list[SourceClip], list[SourceClip]] = ([], [])
    for clip in clips:
        refused = (has_splits and clip.split != split) or (has_rights and not clip.weights_may_ship)
        chosen[refused].append(clip if clip.split else replace(clip, split=split))
    return chosen


def _find_videos(folder: Path, root: Path) -> Iterator[tuple[Path, str]]:
    """Find videos below a folder, with their names relative to ``root``.

    Links are followed; hidden files and folders are left out.
    """
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder that was searched already
            folders.clear()
            continue
        seen.add(real)
        # Changing the list in place tells `os.walk` where to go on.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES:
                path = Path(place, name)
                yield path, _normalize_unicode(path.relative_to(root).as_posix())


def _identity_from_path(file: str, by: str) -> str:
    """Derive an identity from a file's path within the folder, see `find_clips`."""
    path = PurePosixPath(file)
    if by == "folder":
        for name in path.parts[:-1]:
            if name.lower() not in GENERIC_FOLDER_NAMES:
                return name
    return str(path.with_suffix(""))


def _normalize_unicode(text: str) -> str:
    # Some systems return decomposed names: the same name must be the same text everywhere.
    return unicodedata.normalize("NFC", text)


def _read_clip_csv(path: Path) -> list[dict[str, Any]]:
    """Read the checked rows of a CSV whose fields are separated by commas, semicolons or tabs."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            # The first line decides the separator: spreadsheets of many countries write semicolons.
            head = file.readline()
            file.seek(0)
            delimiter = next((d for d in ",;\t" if d in head), ",")
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            return list(_parse_csv_rows(path, reader))
    except UnicodeDecodeError as error:
        raise DubfewError(f"{path} is not UTF-8 ({error.reason}): save it as UTF-8 CSV") from error
    except csv.Error as error:
        raise DubfewError(f"{path}, line {reader.line_num}: {error}: correct that row") from error
    except OSError as error:
        raise DubfewError(
            f"{path} cannot be read ({error.strerror}): give the CSV of identities"
        ) from error


def _parse_csv_rows(path: Path, reader: Any) -> Iterator[dict[str, Any]]:
    """Check the first line, then every row, of a CSV."""
    columns = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    unknown = [name for name in columns if name not in REQUIRED_COLUMNS + OPTIONAL_COLUMNS]
    if missing or unknown or len(set(columns)) != len(columns):
        raise DubfewError(
            f"{path}, line 1: found the columns {', '.join(columns)[:100]!r}, expected file, "
            f"identity and any of {', '.join(OPTIONAL_COLUMNS)}, each once: correct the first line"
        )
    # Every file once: two rows could name two people.
    lines: dict[str, int] = {}
    for fields in reader:
        # Spreadsheets end in empty rows.
        if not any(field.strip() for field in fields):
            continue
        if len(fields) != len(columns):
            raise _row_error(
                path, reader.line_num, f"{len(fields)} fields, expected {len(columns)}"
            )
        try:
            row = _check_entry(dict(zip(columns, fields, strict=True)))
        except ValueError as error:
            raise _row_error(path, reader.line_num, str(error)) from error
        first = lines.setdefault(row["file"], reader.line_num)
        if first != reader.line_num:
            raise _row_error(
                path, reader.line_num, f"{row['file'][:80]!r} is in line {first} already"
            )
        yield row


def _row_error(path: Path, line: int, problem: str) -> DubfewError:
    return DubfewError(f"{path}, line {line}: {problem}: correct that row")


def _read_clip_manifest(path: Path) -> list[dict[str, Any]]:
    """Read the checked entries of a JSON list; fields that are not columns are ignored."""
    try:
        entries = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DubfewError(f"{path} is not JSON: correct it, or remove it") from error
    if not isinstance(entries, list):
        raise DubfewError(f"{path} does not hold a list of clips: correct it, or remove it")
    rows = []
    for number, entry in enumerate(entries, 1):
        try:
            if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
                raise ValueError("no file is named")
            # Other fields are allowed: data sets bring facts of their own.
            rows.append(
                _check_entry(
                    {k: v for k, v in entry.items() if k in REQUIRED_COLUMNS + OPTIONAL_COLUMNS}
                )
            )
        except ValueError as error:
            raise DubfewError(f"{path}, entry {number}: {error}: correct that entry") from error
    return rows


def _check_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Check and normalize one entry of a list.

    Raises:
        ValueError: A field is missing or wrong; the message says which and why.
    """
    row: dict[str, Any] = {}
    for name, value in entry.items():
        if name == "weights_may_ship":
            # JSON has true and false, a CSV has words.
            word = str(value).strip().lower()
            if word not in _TRUE_WORDS | _FALSE_WORDS:
                raise ValueError(f"weights_may_ship is {word[:40]!r}, expected true or false")
            row[name] = word in _TRUE_WORDS
            continue
        text = "" if value is None else _normalize_unicode(str(value).strip())
        # Names are shown in terminals and written one per line.
        if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in text):
            raise ValueError(f"{name} is {text[:40]!r}, expected one line without control codes")
        if name == "identity" and len(text) > MAX_IDENTITY_LENGTH:
            raise ValueError(
                f"identity has {len(text)} characters, expected at most {MAX_IDENTITY_LENGTH}"
            )
        if not text and name in REQUIRED_COLUMNS:
            raise ValueError(f"{name} is empty")
        row[name] = text
    # Lists come from other people: a path may not lead out of the folder.
    path = PurePosixPath(row["file"].replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", str(path)):
        raise ValueError(f"file is {row['file'][:80]!r}, expected a path within the folder")
    row["file"] = str(path)
    return row


def read_exclude_list(path: Path) -> frozenset[str]:
    """Read an exclude list: one identity, file or SHA-256 per line.

    A ``#`` at the start of a line or after white space begins a comment.

    Returns:
        Names for `is_excluded`.

    Raises:
        DubfewError: The file cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise DubfewError(
            f"{path} cannot be read ({error.strerror}): give a text file with one identity, file "
            "or SHA-256 per line"
        ) from error
    except UnicodeDecodeError as error:
        raise DubfewError(f"{path} is not UTF-8 text ({error.reason}): save it as such") from error
    return normalize_excluded_names(re.split(r"(?:^|\s)#", line)[0] for line in text.splitlines())


def normalize_excluded_names(names: Collection[str] | Iterator[str]) -> frozenset[str]:
    """Normalize names to the form in which `is_excluded` compares them.

    Example:
        >>> sorted(normalize_excluded_names([" Ann Lee ", "", "AB" * 32])) == ["Ann Lee", "ab" * 32]
        True
    """
    stripped = (_normalize_unicode(name.strip()) for name in names)
    return frozenset(
        name.lower() if re.fullmatch("[0-9A-Fa-f]{64}", name) else name for name in stripped if name
    )


def exclusion_keys(metadata: Mapping[str, Any]) -> set[str]:
    """Return the names by which an exclude list may call a clip: identity, file and SHA-256.

    Example:
        >>> sorted(exclusion_keys({"identity": "ann", "file": "a/1.mp4", "fps": "25"}))
        ['a/1.mp4', 'ann']
    """
    found = {metadata.get("identity"), metadata.get("file"), metadata.get("sha256")}
    return {_normalize_unicode(name) for name in found if name}


def is_excluded(metadata: Mapping[str, Any], exclude_list: frozenset[str]) -> bool:
    """Return whether a clip is on an exclude list.

    Args:
        metadata: facts of the clip, of which ``identity``, ``file`` and ``sha256`` count.
        exclude_list: names from `normalize_excluded_names` or `read_exclude_list`.
    """
    return not exclude_list.isdisjoint(exclusion_keys(metadata))
