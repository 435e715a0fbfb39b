"""``dubfew review``: a page of the shots of a batch, with originals, takes and decisions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from dubfew.batch.decisions import DECISIONS_FORMAT, DECISIONS_FORMAT_VERSION
from dubfew.batch.run import TAKES_FOLDER_NAME
from dubfew.batch.state import DONE, BatchState
from dubfew.batch.summary import list_notes, rank_row
from dubfew.errors import DubfewError
from dubfew.media.facts import read_facts
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.review.pairs import write_pair
from dubfew.utils.files import sha256_file, write_atomic

# Folder of the page in that of the batch, and of its videos in it.
REVIEW_FOLDER_NAME, MEDIA_FOLDER_NAME = "review", "media"


@dataclass(frozen=True)
class ReviewResult:
    """A page that was written.

    Attributes:
        page: the page.
        shots: number of shots on it.
        takes: number of takes on it.
        failed: ids of jobs without an output.
    """

    page: Path
    shots: int
    takes: int
    failed: tuple[str, ...]


def make_review(folder: Path | str, *, progress: ProgressCallback = no_progress) -> ReviewResult:
    """Write the page of a folder of outputs, those to look at first on top.

    It needs no server. Videos of takes that the page has already are not made again.

    Args:
        folder: folder of ``dubfew batch`` or ``dubfew conform``.
        progress: function that is called after every take.

    Raises:
        DubfewError: No batch was done in the folder, or none of its outputs is there.
        MediaError: A file cannot be read.
    """
    folder = Path(folder).absolute()
    state = BatchState(folder)
    rows = state.read_rows()
    if not rows:
        raise DubfewError(f"{folder} is no folder of 'dubfew batch' or 'dubfew conform'")
    records = {row["id"]: state.read_record(row["id"]) for row in rows}
    rows.sort(key=lambda row: rank_row(records[row["id"]]))
    media = folder / REVIEW_FOLDER_NAME / MEDIA_FOLDER_NAME
    media.mkdir(parents=True, exist_ok=True)
    shots: list[dict[str, Any]] = []
    failed = []
    for number, row in enumerate(rows):
        progress(Progress("review", number, len(rows)))
        record, out = records[row["id"]], folder / row["out"]
        if not out.exists() or row["video"] is None or not Path(row["video"]).exists():
            failed.append(row["id"])
            continue
        notes = [] if record is None else list_notes(record.result)
        if record is not None and record.state != DONE:
            notes.insert(0, record.error or "it was not finished")
        takes = [_describe_take(take, row, media) for take in _list_takes(folder, row)]
        shots.append(
            {
                "id": row["id"],
                "actors": row["actors"],
                "notes": notes,
                "timecode": read_facts(out).timecode,
                "takes": takes,
            }
        )
    progress(Progress("review", len(rows), len(rows)))
    if not shots:
        raise DubfewError(f"{folder} has no output to look at: do its batch first")
    page = _write_page(folder, shots, failed)
    return ReviewResult(page, len(shots), sum(len(each["takes"]) for each in shots), tuple(failed))


def _list_takes(folder: Path, row: Mapping[str, Any]) -> list[Path]:
    """List the present output of a job and the earlier ones, the newest first."""
    out = Path(row["out"])
    earlier = (folder / TAKES_FOLDER_NAME / out.parent).glob(f"{out.stem}-????????{out.suffix}")
    return [folder / out, *sorted(earlier, key=lambda p: p.stat().st_mtime_ns, reverse=True)]


def _describe_take(take: Path, row: Mapping[str, Any], media: Path) -> dict[str, Any]:
    """Make the video of a take, unless it is there, and describe it for the page."""
    sha256 = sha256_file(take)
    stem = f"{row['id']}-{sha256[:8]}"
    facts_path = media / f"{stem}.json"
    # Pages of earlier versions had one box for all mouths.
    if not facts_path.exists() or "mouths" not in json.loads(facts_path.read_bytes()):
        facts = write_pair(Path(row["video"]), take, media / f"{stem}.mp4", media / f"{stem}.jpg")
        # Last: it says that the others are complete.
        write_atomic(facts_path, json.dumps(facts.to_json()).encode())
    return {
        "name": take.name,
        "sha256": sha256,
        "video": f"{MEDIA_FOLDER_NAME}/{stem}.mp4",
        "still": f"{MEDIA_FOLDER_NAME}/{stem}.jpg",
        **json.loads(facts_path.read_bytes()),
    }


def _write_page(folder: Path, shots: list[dict[str, Any]], failed: list[str]) -> Path:
    """Write the page and its data."""
    place = folder / REVIEW_FOLDER_NAME
    shown = {
        "title": folder.name,
        "folder": str(folder),
        "format": DECISIONS_FORMAT,
        "format_version": DECISIONS_FORMAT_VERSION,
        "shots": shots,
        "failed": failed,
    }
    # A script and no JSON file: a page that is opened from a folder may not fetch files.
    script = f"const REVIEW = {json.dumps(shown)};\n"
    write_atomic(place / "review.js", script.encode())
    page = resources.files("dubfew.review") / "page.html"
    write_atomic(place / "index.html", page.read_bytes())
    return place / "index.html"
