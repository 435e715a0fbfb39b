"""``dubfew bench``: what dubfew promises, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.commands import CommandGroup
from dubfew.cli.console import EXIT_FAILURE, print_result, progress_bar, report_errors
from dubfew.cli.options import DeviceOption, JsonOption, PriorOption, SeedOption

bench_app = CommandGroup("Measure what dubfew promises.")


@bench_app.command("leak")
@report_errors
def measure_leakage(
    videos: Annotated[
        list[Path] | None,
        typer.Argument(metavar="VIDEO", help="Footage of one person each, adapted for this."),
    ] = None,
    actor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="An actor that is there; repeat for more. A copy is deleted."
        ),
    ] = None,
    stranger: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="VIDEO",
            help="Somebody else, to compare with, or a folder of such videos; repeat for more.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="OUT.png", help="Draw what texture and adapter show by themselves."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Training steps; default: as adapt.")
    ] = None,
    prior: PriorOption = None,
    embedding: Annotated[
        str, typer.Option(metavar="NAME", help="What tells faces apart.", show_default=True)
    ] = "dlib",
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Delete actors and see whether anything of their faces is left.

    Everything happens in a temporary registry; actors in yours are copied there and stay. Mouths
    are painted into strangers' faces with what is stored before and after the deletion; a
    face-recognition network tells whether that brings those nearer to the actor than to others.
    Code 1 if so, or if anything deleted can still be opened.
    """
    from dubfew.evaluate.leakage import run_leak_test
    from dubfew.evaluate.leakage.result import VERDICT_LEAK, VERDICT_NEARER, format_leak_result

    if sheet is not None and sheet.suffix.lower() != ".png":
        raise typer.BadParameter("--sheet: a file name that ends in .png is needed")
    with progress_bar(as_json=as_json) as progress:
        result = run_leak_test(
            videos or (),
            actors=actor or (),
            strangers=stranger or (),
            steps=steps,
            prior=prior,
            embedding=embedding,
            sheet=sheet,
            device=device,
            seed=seed,
            progress=progress,
        )
    print_result(result, as_json=as_json, text=format_leak_result(result))
    if result.verdict in (VERDICT_LEAK, VERDICT_NEARER):
        raise typer.Exit(EXIT_FAILURE)
