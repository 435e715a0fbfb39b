"""What a batch remembers of its jobs, so that it can be killed and resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dubfew.batch.table import BatchRow
from dubfew.errors import ArtefactError
from dubfew.jobs.running import list_job_actors
from dubfew.registry import Registry
from dubfew.render.cast import read_cast
from dubfew.utils.files import sha256_file, write_atomic
from dubfew.utils.format_version import check_format_version

# Version of the stored records.
STATE_FORMAT_VERSION = 1
# Folder in the folder of a batch that holds records and logs.
STATE_FOLDER_NAME = ".dubfew-batch"
# List of all jobs in it. No id of a job has this name.
ROWS_FILE_NAME = "jobs,all.json"
BEGUN, DONE, FAILED = "begun", "done", "failed"


@dataclass(frozen=True)
class RowRecord:
    """What became of one job.

    Attributes:
        state: "begun", "done" or "failed".
        fingerprint: hash of everything that the output depends on, see `BatchState.fingerprint`.
        result: facts about the output.
        error: reason of a failure, or "".
        attempts: number of times that the job was tried.
        seconds: duration of the last try, s.
    """

    state: str
    fingerprint: str
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    attempts: int = 0
    seconds: float = 0.0


class BatchState:
    """Records of the jobs of one batch, one file each.

    Args:
        folder: folder of the batch.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / STATE_FOLDER_NAME
        self._hashes: dict[str, list[Any]] = {}
        path = self.folder / "hashes.json"
        if path.exists():
            try:
                self._hashes = dict(json.loads(path.read_bytes()))
            except ValueError:
                self._hashes = {}  # a cache: files are hashed again

    def record_path(self, row: BatchRow) -> Path:
        """Return the file of a job's record."""
        return self.folder / f"{row.id}.json"

    def log_path(self, row: BatchRow) -> Path:
        """Return the file of a job's log."""
        return self.folder / "logs" / f"{row.id}.log"

    def read(self, row: BatchRow) -> RowRecord | None:
        """Read the record of a job; None if it was never begun.

        Raises:
            ArtefactError: The record was written by a newer dubfew, or is damaged.
        """
        return self.read_record(row.id)

    def read_record(self, name: str) -> RowRecord | None:
        """Read a record like `read`, by the id of its job."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_bytes())
            check_format_version(found.pop("format_version"), STATE_FORMAT_VERSION, str(path))
            return RowRecord(**found)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtefactError(f"{path} is damaged: delete it to do {name!r} anew") from error

    def write(self, row: BatchRow, record: RowRecord) -> None:
        """Write the record of a job, atomically.

        Args:
            row: the job.
            record: its state; replaces the one that is there.
        """
        content = {"format_version": STATE_FORMAT_VERSION, **asdict(record)}
        write_atomic(self.record_path(row), json.dumps(content, ensure_ascii=False).encode())

    def fingerprint(self, row: BatchRow, registry: Registry) -> str:
        """Hash everything that the output of a job depends on.

        That is the content of its files, its options, and the revision of its actor. Where the
        files lie does not count.

        Args:
            row: the job.
            registry: registry that holds the actors.

        Raises:
            ActorNotFoundError: The actor does not exist.
        """
        contents = {str(path): self._hash(path) for path in row.job.list_files()}
        text = row.job.to_json()
        for path, sha256 in contents.items():
            text = text.replace(json.dumps(path, ensure_ascii=False), f'"{sha256}"')
        revision = row.job.options.get("revision")
        actors = []
        if row.job.kind == "render":
            for actor in row.job.list_actors():
                stored = registry.open(actor, revision)
                actors.append([stored.actor, stored.number])
            if row.job.video is None:  # the actor's own footage; a cast has a video
                source = Path(str(dict(stored.config["source"])["path"]))
                actors.append([self._hash(source) if source.exists() else "gone", 0])
        parts = [text, actors, row.out.suffix]
        if row.job.cast is not None:
            cast = read_cast(row.job.cast)
            revisions = [registry.open(role.actor, revision) for role in cast.roles]
            actors += [[stored.actor, stored.number] for stored in revisions]
            parts.append([self._hash(path) for path in cast.list_files()])
        whole = json.dumps(parts, ensure_ascii=False)
        return hashlib.sha256(whole.encode()).hexdigest()

    def write_rows(self, rows: Sequence[BatchRow]) -> None:
        """Remember files and actors of jobs, for pages about them; others are kept."""
        known = {each["id"]: each for each in self.read_rows()}
        for row in rows:
            motion = row.job.options.get("motion")
            known[row.id] = {
                "id": row.id,
                "video": None if row.job.video is None else str(row.job.video),
                "out": row.out.as_posix(),
                "actors": list_job_actors(row.job),
                "cast": None if row.job.cast is None else str(row.job.cast),
                "audio": None if row.job.audio is None else str(row.job.audio),
                "motion": None if motion is None else str(motion),
            }
        content = {"format_version": STATE_FORMAT_VERSION, "rows": [*known.values()]}
        text = json.dumps(content, ensure_ascii=False)
        write_atomic(self.folder / ROWS_FILE_NAME, text.encode())

    def read_rows(self) -> list[dict[str, Any]]:
        """Read what `write_rows` wrote; empty if no batch was done here.

        Raises:
            ArtefactError: The file was written by a newer dubfew, or is damaged.
        """
        path = self.folder / ROWS_FILE_NAME
        if not path.exists():
            return []
        try:
            found = json.loads(path.read_bytes())
            check_format_version(found["format_version"], STATE_FORMAT_VERSION, str(path))
            return [dict(each) for each in found["rows"]]
        except (ValueError, TypeError, KeyError) as error:
            raise ArtefactError(f"{path} is damaged: delete it and do the batch again") from error

    def save_hashes(self) -> None:
        """Remember the hashes of files by size and time, so that they are not read again."""
        write_atomic(self.folder / "hashes.json", json.dumps(self._hashes).encode())

    def _hash(self, path: Path) -> str:
        """Hash a file, from memory where size and time are the same."""
        known = path.stat()
        mark = [known.st_size, known.st_mtime_ns]
        found = self._hashes.get(str(path))
        if found is None or found[:2] != mark:
            found = [*mark, sha256_file(path)]
            self._hashes[str(path)] = found
        return str(found[2])
