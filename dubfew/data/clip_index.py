"""Who is to be prepared: clips of a folder, whose they are, and who is to be left out."""

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

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m4v", ".ts", ".mxf"}
)
REQUIRED_COLUMNS, OPTIONAL_COLUMNS = (
    ("file", "identity"),
    ("source", "license", "weights_may_ship", "split"),
)
MAX_IDENTITY_LENGTH = 200
# Folders that say what lies in them rather than who: VoxCeleb has dev/mp4/id00012/..., LRS3
# pretrain/0Fi83BHQsMA/..., MEAD M003/video/front/...
GENERIC_FOLDER_NAMES = frozenset(
    {"audio", "clips", "cropped", "data", "footage", "mp4", "raw", "video", "videos"}
    | {"dev", "pretrain", "test", "train", "training", "trainval"}
    | {"val", "valid", "validate", "validation"}
)
_TRUE_WORDS, _FALSE_WORDS = {"true", "yes", "1"}, {"false", "no", "0", ""}


@dataclass(frozen=True)
class SourceClip:
    """One video and whose it is.

    Attributes:
        path: where it lies.
        file: its path within the folder, with forward slashes, Unicode form NFC.
        identity: the person it shows.
        split: part of the data that it belongs to, empty where nobody said.
        source: where it comes from, or empty.
        license: its licence, or empty.
        weights_may_ship: what is learned from it may be published; None where nobody said.
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
        """Name of the clip's samples: plain ASCII without dots, as WebDataset wants it."""
        stem = re.sub(r"[^A-Za-z0-9]+", "-", PurePosixPath(self.file).stem)[:40].strip("-")
        digest = hashlib.sha256(self.file.encode("utf-8", "surrogateescape")).hexdigest()
        return f"{stem or 'clip'}_{digest[:12]}"

    def metadata(self) -> dict[str, Any]:
        """What prepared data says of the clip's origin."""
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
    """The clips of a folder, ordered by name.

    A CSV or else the folder's ``manifest.json`` says which clips there are and whose; without
    either every video in the folder and below is taken.

    Args:
        folder: of videos, nested as they come.
        identities: CSV with the columns file, identity and optionally source, license,
            weights_may_ship, split.
        by: whose a clip is that no list names: "file", each file's own; "folder", of the first
            folder on the way to it that does not bear a general name such as train or mp4.

    Raises:
        DubfewError: there is no such folder, or a list has a fault (names the line).
    """
    if not folder.is_dir():
        raise DubfewError(f"{folder} is no folder: give the folder that holds the videos")
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
    """Clips of a split, and those that a list gives to another one or does not allow.

    Clips without a split belong to any, if the list has no splits at all. For "train" only those
    are allowed whose ``weights_may_ship`` is true, if the list says it of any.
    """
    has_splits = any(clip.split for clip in clips)
    has_rights = split == "train" and any(clip.weights_may_ship is not None for clip in clips)
    chosen: tuple[list[SourceClip], list[SourceClip]] = ([], [])
    for clip in clips:
        refused = (has_splits and clip.split != split) or (has_rights and not clip.weights_may_ship)
        chosen[refused].append(clip if clip.split else replace(clip, split=split))
    return chosen


def _find_videos(folder: Path, root: Path) -> Iterator[tuple[Path, str]]:
    """Videos below a folder with their names within it; links are followed, hidden files not."""
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link back to where we come from
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES:
                path = Path(place, name)
                yield path, _normalize_unicode(path.relative_to(root).as_posix())


def _identity_from_path(file: str, by: str) -> str:
    path = PurePosixPath(file)
    if by == "folder":
        for name in path.parts[:-1]:
            if name.lower() not in GENERIC_FOLDER_NAMES:
                return name
    return str(path.with_suffix(""))


def _normalize_unicode(text: str) -> str:
    # Some systems hand out decomposed names: the same name must be the same text everywhere.
    return unicodedata.normalize("NFC", text)


def _read_clip_csv(path: Path) -> list[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
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
    columns = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    unknown = [name for name in columns if name not in REQUIRED_COLUMNS + OPTIONAL_COLUMNS]
    if missing or unknown or len(set(columns)) != len(columns):
        raise DubfewError(
            f"{path}, line 1: found the columns {', '.join(columns)[:100]!r}, expected file, "
            f"identity and any of {', '.join(OPTIONAL_COLUMNS)}, each once: correct the first line"
        )
    lines: dict[str, int] = {}
    for fields in reader:
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
    try:
        entries = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DubfewError(f"{path} is not JSON: correct it, or remove it") from error
    if not isinstance(entries, list):
        raise DubfewError(f"{path} holds no list of clips: correct it, or remove it")
    rows = []
    for number, entry in enumerate(entries, 1):
        try:
            if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
                raise ValueError("no file is named")
            rows.append(
                _check_entry(
                    {k: v for k, v in entry.items() if k in REQUIRED_COLUMNS + OPTIONAL_COLUMNS}
                )
            )
        except ValueError as error:
            raise DubfewError(f"{path}, entry {number}: {error}: correct that entry") from error
    return rows


def _check_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of a list, checked.

    Raises:
        ValueError: saying what is wrong with it.
    """
    row: dict[str, Any] = {}
    for name, value in entry.items():
        if name == "weights_may_ship":
            word = str(value).strip().lower()
            if word not in _TRUE_WORDS | _FALSE_WORDS:
                raise ValueError(f"weights_may_ship is {word[:40]!r}, expected true or false")
            row[name] = word in _TRUE_WORDS
            continue
        text = "" if value is None else _normalize_unicode(str(value).strip())
        if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in text):
            raise ValueError(f"{name} is {text[:40]!r}, expected one line without control codes")
        if name == "identity" and len(text) > MAX_IDENTITY_LENGTH:
            raise ValueError(
                f"identity has {len(text)} characters, expected at most {MAX_IDENTITY_LENGTH}"
            )
        if not text and name in REQUIRED_COLUMNS:
            raise ValueError(f"{name} is empty")
        row[name] = text
    path = PurePosixPath(row["file"].replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", str(path)):
        raise ValueError(f"file is {row['file'][:80]!r}, expected a path within the folder")
    row["file"] = str(path)
    return row


def read_exclude_list(path: Path) -> frozenset[str]:
    """An exclude list: one identity, file or SHA-256 per line.

    A ``#`` at the start of a line or after white space begins a comment.

    Raises:
        DubfewError: it cannot be read.
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
    """Names in the form in which `is_excluded` compares them."""
    wanted = (_normalize_unicode(name.strip()) for name in names)
    return frozenset(
        name.lower() if re.fullmatch("[0-9A-Fa-f]{64}", name) else name for name in wanted if name
    )


def exclusion_keys(metadata: Mapping[str, Any]) -> set[str]:
    """The names by which an exclude list may call a clip: identity, file and SHA-256."""
    found = {metadata.get("identity"), metadata.get("file"), metadata.get("sha256")}
    return {_normalize_unicode(name) for name in found if name}


def is_excluded(metadata: Mapping[str, Any], exclude_list: frozenset[str]) -> bool:
    """Whether a clip with these facts is on an exclude list (from `normalize_excluded_names`)."""
    return not exclude_list.isdisjoint(exclusion_keys(metadata))
