"""Decisions of a review: what is approved, what is rejected, what is done again, and notes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.errors import DubfewError
from dubfew.utils.files import check_input_file, sha256_file
from dubfew.utils.format_version import check_format_version

# Version of the file's form, and its mark.
DECISIONS_FORMAT, DECISIONS_FORMAT_VERSION = "dubfew-review", 1
APPROVED, REJECTED, RETAKE = "approved", "rejected", "retake"
VERDICTS = (APPROVED, REJECTED, RETAKE)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ReviewNote:
    """A remark on one frame.

    Attributes:
        frame: number of the frame in the output, from 0.
        text: the remark.
    """

    frame: int
    text: str


@dataclass(frozen=True)
class Decision:
    """What was decided on one job.

    Attributes:
        verdict: one of `VERDICTS`, or "" where there are notes alone.
        sha256: SHA-256 of the output that was looked at.
        notes: remarks, by their frames.
    """

    verdict: str
    sha256: str
    notes: tuple[ReviewNote, ...] = ()


@dataclass(frozen=True)
class Decisions:
    """A file of decisions.

    Attributes:
        path: the file.
        sha256: SHA-256 of the file.
        by_id: decisions by the ids of their jobs.
    """

    path: Path
    sha256: str
    by_id: Mapping[str, Decision]

    def verdict(self, name: str, output: Path) -> str:
        """Return what was decided on an output; "" if it is another one than was looked at.

        Args:
            name: id of the job.
            output: its file as it is now.
        """
        found = self.by_id.get(name)
        if found is None or not output.exists() or sha256_file(output) != found.sha256:
            return ""
        return found.verdict


def read_decisions(path: Path | str) -> Decisions:
    """Read a file that the page of ``dubfew review`` saved.

    Raises:
        MediaError: The file does not exist.
        DubfewError: The file is another one, or of a newer dubfew.
    """
    path = Path(path)
    check_input_file(path)
    try:
        content = json.loads(path.read_text("utf-8-sig"))
        if content["format"] != DECISIONS_FORMAT:
            raise ValueError(f"its format is {str(content['format'])[:40]!a}")
        check_format_version(content["format_version"], DECISIONS_FORMAT_VERSION, str(path))
        by_id = {str(name): _make_decision(each) for name, each in content["shots"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        found = " ".join(str(error).split())[:200]
        raise DubfewError(
            f"{path} has no decisions ({found}): save them on the page of 'dubfew review'"
        ) from error
    return Decisions(path, sha256_file(path), by_id)


def _make_decision(content: Mapping[str, Any]) -> Decision:
    """Make a decision from parsed JSON."""
    verdict = str(content.get("verdict") or "")
    if verdict and verdict not in VERDICTS:
        raise ValueError(f"no verdict {verdict[:40]!a}: there are {', '.join(VERDICTS)}")
    sha256 = str(content["output_sha256"])
    if not _SHA256.fullmatch(sha256):
        raise ValueError("output_sha256 is no SHA-256")
    notes = [ReviewNote(int(n["frame"]), str(n["text"])) for n in content.get("notes", ())]
    if any(note.frame < 0 for note in notes):
        raise ValueError("a note has a negative frame")
    return Decision(verdict, sha256, tuple(sorted(notes, key=lambda note: note.frame)))
