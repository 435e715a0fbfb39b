"""Tables of jobs: CSV, JSON lines, JSON or YAML, with rows or a matrix of scenes and languages."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.errors import DubfewError
from dubfew.jobs.description import JOB_KINDS, JobDescription
from dubfew.utils.import_utils import import_optional
from dubfew.utils.options import Option, list_options
from dubfew.utils.spreadsheets import open_csv_table

# Fields of a row that are no options.
_ROW_FIELDS = ("id", "kind", "actor", "cast", "video", "audio", "out")
# Ids become names of files on every system.
_ID_PATTERN = re.compile(r"[\w][\w .@+-]{0,99}")
# Jobs in one table: a matrix must not fill the memory by mistake.
MAX_ROWS = 20_000
TRUE_WORDS, FALSE_WORDS = ("1", "true", "yes", "x"), ("0", "false", "no")


@dataclass(frozen=True)
class BatchRow:
    """One job of a table.

    Attributes:
        id: name of the job in the table, in events, and of its log.
        place: where the row stands, for messages, such as "line 3".
        job: the job.
        out: file to write, relative to the folder of the batch.
    """

    id: str
    place: str
    job: JobDescription
    out: Path


def read_table(path: Path) -> tuple[list[BatchRow], list[str]]:
    """Read a table of jobs.

    Files in it are relative to the table's folder. A row whose cells are all empty is left out.

    Args:
        path: .csv, .jsonl, .json or .yaml.

    Returns:
        The rows that can be read, and a line for each that cannot.

    Raises:
        DubfewError: The file is no table, or has no rows.
        MissingDependencyError: The table is YAML, and PyYAML is not installed.
    """
    try:
        # Spreadsheets put a byte order mark before their CSV.
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DubfewError(f"{path} cannot be read as a table of jobs: {error}") from error
    try:
        raw = list(_read_raw_rows(path, text))
    # Whatever a parser says of a foreign file is one line for the user, not a traceback.
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        found = " ".join(str(error).split())[:200]
        raise DubfewError(f"{path} is no table of jobs: {found}") from error
    rows: list[BatchRow] = []
    problems: list[str] = []
    seen: dict[str, str] = {}
    for place, fields in raw:
        try:
            row = make_row(fields, place, path.parent)
        except DubfewError as error:
            # One bad row hides no other: all of them are told at once.
            problems.append(f"{place}: {error}")
            continue
        if row.id in seen:
            problems.append(f"{place}: the id {row.id!r} is that of {seen[row.id]} as well")
            continue
        seen[row.id] = place
        rows.append(row)
    if not raw:
        raise DubfewError(f"{path} has no jobs: give a row for each")
    return rows, problems


def make_row(fields: Mapping[str, Any], place: str, folder: Path) -> BatchRow:
    """Make a row from its cells.

    Args:
        fields: cells by the name of their column; text is converted to the type of its option.
        place: where the row stands.
        folder: folder that files are relative to.

    Raises:
        DubfewError: A column is unknown, or a cell has a value that is not allowed.
    """
    # Spreadsheets write an empty cell where JSON leaves the key out.
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    kind = str(given.get("kind", "render"))
    if kind not in ("render", "dub"):
        raise DubfewError(f"no kind of job {kind[:40]!a}: a batch does render and dub")
    known = {each.name: each for each in list_options(JOB_KINDS[kind])}
    options = {}
    for name, value in given.items():
        if name in _ROW_FIELDS:
            continue
        # A batch decides itself what may be overwritten: the outputs that its own records name.
        if name not in known or name == "overwrite":
            columns = sorted({*_ROW_FIELDS, *known} - {"overwrite"})
            raise DubfewError(f"no column {str(name)[:40]!a}: there are {', '.join(columns)}")
        options[name] = _convert(known[name], value, folder)
    video, audio, cast = (_resolve(given.get(name), folder) for name in ("video", "audio", "cast"))
    job = JobDescription(
        kind=kind,
        actor=None if "actor" not in given else str(given["actor"]),
        video=video,
        audio=audio,
        cast=cast,
        options=options,
    )
    # Without an id the names of the files and the actor identify the job, so that it is found again
    # when rows are moved.
    words = [job.actor, *(each.stem for each in (audio, cast) if each)]
    words.insert(0, video.stem if video else None)
    name = str(given.get("id") or "-".join(filter(None, words)))
    if not _ID_PATTERN.fullmatch(name):
        raise DubfewError(f"{name[:60]!a} is no id: use letters, digits, spaces and . _ - @ +")
    out = Path(str(given.get("out", f"{name}.mp4")))
    # A table may come from somebody else: it must not write outside of the folder.
    if out.is_absolute() or ".." in out.parts:
        raise DubfewError(f"{out} lies outside of the folder of the batch: give a name in it")
    return BatchRow(name, place, job, out)


def _read_raw_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read rows as they stand."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        yield from _read_csv(text)
    elif suffix in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield f"line {number}", dict(json.loads(line))
    elif suffix in (".json", ".yaml", ".yml"):
        content = json.loads(text) if suffix == ".json" else _load_yaml(text)
        yield from _read_document(content)
    else:
        raise DubfewError(f"{path} is no table of jobs: end its name in .csv, .jsonl or .yaml")


def _load_yaml(text: str) -> Any:
    """Read YAML without running anything that it names."""
    yaml = import_optional("yaml")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _read_csv(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read CSV with a head line; commas, semicolons and tabs separate."""
    reader = open_csv_table(text)
    for fields in reader:
        # Cells behind the last column have no name.
        extra = fields.pop(None, None)
        if extra and any(extra):
            raise ValueError(f"line {reader.line_num} has more cells than the head line")
        cells = {str(k).strip(): (v or "").strip() for k, v in fields.items()}
        if any(cells.values()):
            yield f"line {reader.line_num}", cells


def _read_document(content: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read ``{defaults, jobs, matrix}`` or a list of rows."""
    document: dict[str, Any] = {"jobs": content} if isinstance(content, list) else dict(content)
    unknown = document.keys() - {"defaults", "jobs", "matrix"}
    if unknown:
        raise ValueError(f"no part {sorted(unknown)[0]!r}: there are defaults, jobs and matrix")
    defaults = dict(document.get("defaults") or {})
    for number, fields in enumerate(document.get("jobs") or (), 1):
        yield f"job {number}", {**defaults, **fields}
    for name, fields in _multiply(document.get("matrix") or {}):
        yield f"matrix {name}", {**defaults, **fields}


def _multiply(matrix: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[tuple[str, dict]]:
    """Combine every entry of each axis with all entries of the others.

    Text in braces stands for the id of an entry: ``{scene}-{language}.wav``.
    """
    axes = {str(axis): [dict(each) for each in entries] for axis, entries in matrix.items()}
    # Counted before anything is multiplied: the product of a few long axes would fill the memory.
    count = 1
    for entries in axes.values():
        count *= len(entries)
    if count > MAX_ROWS:
        raise ValueError(f"the matrix has {count} jobs: a table has {MAX_ROWS} at most")
    if not axes:
        return
    for chosen in itertools.product(*axes.values()):
        ids = {axis: str(entry["id"]) for axis, entry in zip(axes, chosen, strict=True)}
        name = "-".join(ids.values())
        # Keys of a later axis win, as a language may override what its scene says.
        merged = {key: value for entry in chosen for key, value in entry.items()}
        fields = {
            key: value.format(**ids) if isinstance(value, str) else value
            for key, value in merged.items()
        }
        yield name, {**fields, "id": name}


def _convert(option: Option, value: Any, folder: Path) -> Any:
    """Convert a cell to the type of its option, as the command line does."""
    if Path in option.types:
        return _resolve(value, folder)
    if not isinstance(value, str) or str in option.types:
        return value
    kind, text = option.types[0], value.strip().lower()
    try:
        if kind is bool:
            if text in TRUE_WORDS + FALSE_WORDS:
                return text in TRUE_WORDS
            raise ValueError
        return kind(value)
    except ValueError:
        expected = "yes or no" if kind is bool else "a number"
        raise DubfewError(f"{option.name} is {value[:40]!a}: give {expected}") from None


def _resolve(value: Any, folder: Path) -> Path | None:
    """Make a path of a cell, relative to the table."""
    return None if value is None else (folder / str(value)).absolute()
