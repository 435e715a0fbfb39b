"""``dubfew bench``: measurements of what dubfew promises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.commands import CommandGroup
from dubfew.cli.console import EXIT_FAILURE, print_result, report_errors
from dubfew.cli.options import (
    DeviceOption,
    JsonOption,
    OverwriteOption,
    PriorOption,
    SeedOption,
)
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress

bench_app = CommandGroup("Measure what dubfew promises.")


@bench_app.command("leak")
@report_errors
def measure_leakage(
    videos: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="VIDEO", help="Videos of one person each, who become actors for this test."
        ),
    ] = None,
    actor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Existing actor; repeat for more. The test deletes a copy."
        ),
    ] = None,
    stranger: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="VIDEO",
            help="Video of another person, to compare with, or a folder of such videos; repeat "
            "for more.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.png", help="Image to write that shows texture and adapter alone."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Training steps at most; default: as adapt has it."),
    ] = None,
    prior: PriorOption = None,
    embedding: Annotated[
        str, typer.Option(metavar="NAME", help="Face recognition network.", show_default=True)
    ] = "dlib",
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Delete actors and measure whether anything of their faces remains.

    The test works in a temporary registry; your actors are copied into it and stay. Mouths are
    rendered into strangers' faces with what is stored before and after the deletion. A
    face-recognition network measures whether that makes the strangers more similar to the actor
    than to other people. Exit code 1 if so, or if anything deleted can still be opened.
    """
    from dubfew.evaluate.leakage import run_leak_test
    from dubfew.evaluate.leakage.result import VERDICT_LEAK, VERDICT_NEARER, format_leak_result

    if sheet is not None and sheet.suffix.lower() != ".png":
        raise typer.BadParameter("--sheet: a file name that ends in .png is needed")
    # No actor or stranger at all is an error of the library, with a message of its own.
    with show_progress(progress_mode, as_json=as_json) as progress:
        result = run_leak_test(
            videos or (),
            actors=actor or (),
            strangers=stranger or (),
            steps=steps,
            prior=prior,
            embedding=embedding,
            sheet=sheet,
            overwrite=overwrite,
            device=device,
            seed=seed,
            progress=progress,
        )
    print_result(result.to_json(), as_json=as_json, text=format_leak_result(result))
    if result.verdict in (VERDICT_LEAK, VERDICT_NEARER):
        raise typer.Exit(EXIT_FAILURE)
