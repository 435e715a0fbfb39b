"""Studies on the page: making one of uploaded videos, and evaluating the answers."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dubfew.errors import DubfewError
from dubfew.evaluate.study.collect import collect_answers
from dubfew.evaluate.study.make import KEY_FILE, PAGE_FOLDER, make_study

# Name of the archive that is given to the maker of a study.
ARCHIVE_NAME = "study.zip"


def make_study_archive(
    folder: Path,
    systems: Sequence[tuple[str, Sequence[str]]],
    *,
    kind: str = "preference",
    catch: int = 2,
    title: str = "",
) -> tuple[str, Path]:
    """Make a study of uploaded videos, and pack it.

    Args:
        folder: folder of the archive; the uploads are deleted when it is made.
        systems: name of each system, and its videos; clips have the same names in all.
        kind: "preference" or "grades".
        catch: number of trials with a known answer.
        title: heading of the study's page; "" is the usual one.

    Returns:
        A sentence about the study, and the archive: the page for viewers, and the key.

    Raises:
        DubfewError: Names or videos are missing, or as of `make_study`.
    """
    given = [(name.strip(), [Path(path) for path in files]) for name, files in systems]
    for number, (name, files) in enumerate(given, 1):
        if not name:
            raise DubfewError(f"give system {number} a name")
        if not files:
            raise DubfewError(f"choose the videos of {name} first")
    if len({name for name, _ in given}) < len(given):
        raise DubfewError("both systems have one name: give each its own")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        work = Path(place)
        folders = {}
        for number, (name, files) in enumerate(given):
            folders[name] = work / f"system{number}"
            folders[name].mkdir()
            for file in files:
                shutil.copyfile(file, folders[name] / file.name)
        made = work / "study"
        heading: dict[str, Any] = {"title": title.strip()} if title.strip() else {}
        trials = make_study(folders, made, kind=kind, catch=catch, **heading)
        archive = folder / ARCHIVE_NAME
        # Videos are compressed already.
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
            for path in sorted(made.rglob("*")):
                packed.write(path, path.relative_to(made))
    for _, files in given:
        for file in files:
            file.unlink(missing_ok=True)
    return (
        f"{trials} trials. Give viewers the folder {PAGE_FOLDER} of the archive alone: "
        f"{KEY_FILE} says which video is whose, and is needed to evaluate the answers.",
        archive,
    )


def evaluate_study(key: str | None, answers: Sequence[str] | None) -> str:
    """Evaluate the answers to a study.

    Args:
        key: the archive of the study, or its ``key.json``.
        answers: files that viewers saved.

    Returns:
        Tables, as Markdown.

    Raises:
        DubfewError: Something is missing, or as of `collect_answers`.
    """
    if not key:
        raise DubfewError(f"choose the study's archive or its {KEY_FILE} first")
    if not answers:
        raise DubfewError("choose the files that viewers saved")
    file = Path(key)
    if not zipfile.is_zipfile(file):
        return collect_answers(file, [Path(each) for each in answers]).to_markdown()
    with tempfile.TemporaryDirectory() as place:
        found = Path(place) / KEY_FILE
        with zipfile.ZipFile(file) as packed:
            try:
                found.write_bytes(packed.read(KEY_FILE))
            except KeyError:
                raise DubfewError(f"{file.name} has no {KEY_FILE}: it is no study") from None
        return collect_answers(found, [Path(each) for each in answers]).to_markdown()
