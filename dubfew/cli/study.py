"""``dubfew study``: ask people."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.commands import CommandGroup
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption, OverwriteOption, SeedOption, parse_systems

study_app = CommandGroup("Ask people which output is better.")


class StudyKind(str, Enum):
    """Kinds of studies; the library has the same words."""

    PREFERENCE = "preference"
    GRADES = "grades"


@study_app.command("make")
@report_errors
def make(
    out: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder to make; it must be new or empty.")
    ],
    system: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FOLDER",
            help="A system and the folder of its videos; repeat for each. Clips have the same "
            "names in all folders.",
        ),
    ],
    kind: Annotated[
        StudyKind,
        typer.Option(
            metavar="KIND", help="preference: which of two; grades: 1 to 5, one after the other."
        ),
    ] = StudyKind.PREFERENCE,
    question: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="What is asked; repeat for several grades."),
    ] = None,
    catch: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Trials with a known answer, to find who looks."),
    ] = 2,
    title: Annotated[
        str, typer.Option(metavar="TEXT", help="Heading of the page.")
    ] = "Which one is real?",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Make a page that shows blinded videos; it works from a folder or any web server.

    Give viewers the folder 'page' alone: key.json says which video is whose.
    """
    from dubfew.evaluate.study.make import PAGE_FOLDER, make_study

    systems = parse_systems(system)
    trials = make_study(
        systems, out, kind=kind.value, questions=question or (), catch=catch, title=title, seed=seed
    )
    page = out / PAGE_FOLDER / "index.html"
    print_result(
        {"page": page, "trials": trials},
        as_json=as_json,
        text=f"Done: {page} ({trials} trials)\nGive viewers the folder {out / PAGE_FOLDER}; keep "
        f"the rest.\nNext: dubfew study collect {out} ANSWERS.csv ...",
    )


@study_app.command("collect")
@report_errors
def collect(
    study: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder that was made.")],
    answers: Annotated[
        list[Path],
        typer.Argument(metavar="ANSWERS", help="Files that viewers saved, or folders of them."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE.csv", help="Also write the answers, no longer blind."
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Evaluate the answers: shares with exact binomial intervals, or mean grades."""
    from dubfew.evaluate.study.collect import collect_answers
    from dubfew.utils.files import check_output_path, write_atomic

    # Before the answers are read: an evaluation whose result cannot be stored is no use.
    if out is not None:
        check_output_path(out, *answers, overwrite=overwrite)
    result = collect_answers(study, answers)
    if out is not None:
        write_atomic(out, result.to_csv().encode())
    facts = {
        "participants": len(result.participants),
        "excluded": result.excluded,
        "unseen": result.unseen,
        "preferences": [
            {
                "system": each.system,
                "to": each.other,
                "votes": each.votes,
                "total": each.total,
                "interval": each.interval,
            }
            for each in result.preferences
        ],
        "grades": [
            {"system": system, "question": text, "mean": mean, "interval": ends, "answers": count}
            for (system, text), (mean, ends, count) in result.grades.items()
        ],
    }
    print_result(facts, as_json=as_json, text=result.to_markdown().rstrip())
