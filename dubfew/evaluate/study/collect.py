"""Evaluation of a study's answers: preferences and grades with their intervals."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dubfew.errors import DubfewError
from dubfew.evaluate.intervals import binomial_interval, bootstrap_mean
from dubfew.evaluate.study.make import CATCH_BAD, CATCH_GOOD, read_key

# Columns of a file of answers.
COLUMNS = ("study", "participant", "trial", "left", "right", "question", "answer", "seconds")
# Highest grade of a spoilt copy that a viewer who looks may give.
MAX_CATCH_GRADE = 2
# Grades that can be given.
GRADES = ("1", "2", "3", "4", "5")


@dataclass(frozen=True)
class PreferenceCount:
    """How often one system was preferred to another.

    Attributes:
        system: the one.
        other: the other.
        votes: answers for the one.
        total: all answers to this pair.
    """

    system: str
    other: str
    votes: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """Exact 95 % interval of the share, 0 to 1."""
        return binomial_interval(self.votes, self.total)


@dataclass(frozen=True)
class StudyResult:
    """What a study says.

    Attributes:
        participants: viewers whose answers count.
        excluded: viewers who failed a catch trial, whose answers do not count.
        preferences: every pair of systems in both directions; empty for grades.
        grades: mean, interval over viewers' answers, and number, by system and question.
        answers: answers that count, one row each: participant, clip, question, systems, answer.
        unseen: number of trials that a viewer's browser could not play.
    """

    participants: tuple[str, ...]
    excluded: tuple[str, ...]
    preferences: tuple[PreferenceCount, ...]
    grades: Mapping[tuple[str, str], tuple[float, tuple[float, float], int]]
    answers: tuple[Mapping[str, str], ...]
    unseen: int = 0

    def to_markdown(self) -> str:
        """Format the result as tables."""
        people = len(self.participants)
        lines = [
            f"{people} viewers, {len(self.answers)} answers; {len(self.excluded)} viewers are left "
            "out because they failed a catch trial. Intervals are of 95 %."
        ]
        if self.unseen:
            lines.append(f"{self.unseen} trials could not be played by a viewer's browser.")
        if self.preferences:
            lines += ["", "| preferred | to | votes | share | interval (exact binomial) |"]
            lines += ["|---|---|---|---|---|"]
            for each in self.preferences:
                low, high = (100 * end for end in each.interval)
                lines.append(
                    f"| {each.system} | {each.other} | {each.votes} of {each.total} | "
                    f"{100 * each.votes / each.total:.0f} % | {low:.0f} to {high:.0f} % |"
                )
        if self.grades:
            lines += ["", "| system | question | answers | mean grade | interval (bootstrap) |"]
            lines += ["|---|---|---|---|---|"]
            for (system, question), (mean, (low, high), count) in self.grades.items():
                lines.append(
                    f"| {system} | {question} | {count} | {mean:.2f} | {low:.2f} to {high:.2f} |"
                )
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """Format the answers that count, without the blinding, as CSV."""
        buffer = io.StringIO()
        names = ("participant", "clip", "question", "systems", "answer", "seconds")
        writer = csv.DictWriter(buffer, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.answers)
        return buffer.getvalue()


def collect_answers(study: Path, files: Sequence[Path]) -> StudyResult:
    """Evaluate the answers to a study.

    A viewer who chose a spoilt copy, or graded one above 2, did not look and does not count. Of
    several answers of one viewer to one question the last one counts.

    Args:
        study: folder of the study, which has the key.
        files: files of answers, or folders of them.

    Raises:
        DubfewError: A file is not of this study, or there are no answers.
    """
    key = read_key(study)
    trials = {trial["id"]: trial for trial in key["trials"]}
    answers: dict[tuple[str, str, str], dict[str, str]] = {}
    unseen: set[tuple[str, str]] = set()
    for file in _list_files(files):
        for row in _read_rows(file):
            trial = trials.get(row["trial"])
            if row["study"] != key["study"] or trial is None:
                raise DubfewError(f"{file} has answers to another study: give those to {study}")
            _check_answer(file, row, trial, key)
            if not row["answer"]:
                unseen.add((row["participant"], row["trial"]))
                continue
            # One entry per question: somebody who went back and chose again has one vote.
            answers[row["participant"], row["trial"], row["question"]] = row
    if not answers:
        raise DubfewError("there are no answers: give the files that viewers saved")
    # One failed catch trial excludes all answers of that viewer, also those before it.
    excluded = {
        row["participant"] for row in answers.values() if _fails_catch(row, trials[row["trial"]])
    }
    # Catch trials only say who looked; their systems are not compared.
    kept = [
        row
        for row in answers.values()
        if row["participant"] not in excluded and not _is_catch(trials[row["trial"]])
    ]
    people = sorted({row["participant"] for row in answers.values()} - excluded)
    # The names of the systems come in last: what is counted above is who answered what.
    plain = tuple(_unblind(row, trials[row["trial"]], key) for row in kept)
    return StudyResult(
        tuple(people),
        tuple(sorted(excluded)),
        _count_preferences(kept, trials) if key["kind"] == "preference" else (),
        _average_grades(plain) if key["kind"] == "grades" else {},
        plain,
        len(unseen),
    )


def _list_files(files: Iterable[Path]) -> list[Path]:
    found = []
    for file in files:
        found += sorted(file.glob("*.csv")) if file.is_dir() else [file]
    return found


def _read_rows(file: Path) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(file.read_text("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DubfewError(f"{file} cannot be read: {error}") from error
    # Rows that are too long have a key None, rows that are too short have values None.
    if any(set(row) != set(COLUMNS) or None in row.values() for row in rows):
        raise DubfewError(f"{file} is no file of answers: its columns are {', '.join(COLUMNS)}")
    return rows


def _check_answer(
    file: Path, row: Mapping[str, str], trial: Mapping[str, Any], key: Mapping[str, Any]
) -> None:
    """Raise DubfewError if an answer was not among those that could be given."""
    # "" is that of a video that could not be played.
    allowed = ("", *(trial["media"] if key["kind"] == "preference" else GRADES))
    questions = [str(number) for number in range(len(key["questions"]))]
    if row["answer"] not in allowed or row["question"] not in questions:
        raise DubfewError(f"{file}: {row['answer'][:40]!r} is no answer to trial {row['trial']}")


def _is_catch(trial: Mapping[str, Any]) -> bool:
    return CATCH_BAD in trial["systems"]


def _fails_catch(row: Mapping[str, str], trial: Mapping[str, Any]) -> bool:
    """Tell whether an answer shows that the viewer did not look."""
    if not _is_catch(trial):
        return False
    if CATCH_GOOD in trial["systems"]:
        return bool(_chosen_system(row, trial) == CATCH_BAD)
    return int(row["answer"]) > MAX_CATCH_GRADE


def _chosen_system(row: Mapping[str, str], trial: Mapping[str, Any]) -> str:
    return str(trial["systems"][trial["media"].index(row["answer"])])


def _unblind(
    row: Mapping[str, str], trial: Mapping[str, Any], key: Mapping[str, Any]
) -> dict[str, str]:
    """Say what was asked and answered in the names of the systems."""
    is_preference = key["kind"] == "preference"
    return {
        "participant": row["participant"],
        "clip": trial["clip"],
        "question": key["questions"][int(row["question"])],
        "systems": " / ".join(trial["systems"]),
        "answer": _chosen_system(row, trial) if is_preference else row["answer"],
        "seconds": row["seconds"],
    }


def _count_preferences(
    rows: Iterable[Mapping[str, str]], trials: Mapping[str, Mapping[str, Any]]
) -> tuple[PreferenceCount, ...]:
    """Count the votes of every pair, in both directions."""
    votes: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        trial = trials[row["trial"]]
        winner = _chosen_system(row, trial)
        (loser,) = (system for system in trial["systems"] if system != winner)
        votes[winner, loser] += 1
    pairs = sorted({pair for winner, loser in votes for pair in ((winner, loser), (loser, winner))})
    return tuple(
        PreferenceCount(one, other, votes[one, other], votes[one, other] + votes[other, one])
        for one, other in pairs
    )


def _average_grades(
    answers: Iterable[Mapping[str, str]],
) -> dict[tuple[str, str], tuple[float, tuple[float, float], int]]:
    """Average the grades of every system, question by question."""
    grades: dict[tuple[str, str], list[int]] = defaultdict(list)
    for answer in answers:
        grades[answer["systems"], answer["question"]].append(int(answer["answer"]))
    return {
        place: (float(np.mean(found)), bootstrap_mean(np.array(found, float)), len(found))
        for place, found in sorted(grades.items())
    }
