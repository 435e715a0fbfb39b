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
    parse_systems,
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


@bench_app.command("paper")
@report_errors
def run_paper(
    protocol: Annotated[
        str, typer.Argument(metavar="TABLE", help="Number of paper and table, such as 003.1.")
    ],
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of clips at 25 fps, one person each.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of the results.")
    ] = Path("papers"),
    is_dataset: Annotated[
        bool,
        typer.Option(
            "--is-dataset",
            help="The clips are the data set of the paper; otherwise the table says own clips.",
        ),
    ] = False,
    subjects: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Clips; default: as the paper has them.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Training steps; default: as adapt has it."),
    ] = None,
    prior: PriorOption = None,
    seed: SeedOption = 0,
    progress_mode: ProgressOption = ProgressMode.AUTO,
) -> None:
    """Repeat a table of a paper as far as dubfew can, with the published rows below.

    Clips that are done have a file in the folder and are not run again.
    """
    from dubfew.evaluate.papers.run import run_protocol

    with show_progress(progress_mode, as_json=False) as progress:
        text = run_protocol(
            protocol,
            data,
            out,
            is_dataset=is_dataset,
            subjects=subjects,
            steps=steps,
            prior=prior,
            seed=seed,
            progress=progress,
        )
    print_result(None, as_json=False, text=text.rstrip())


@bench_app.command("peers")
@report_errors
def compare_peers(
    references: Annotated[
        Path, typer.Argument(metavar="ORIGINALS", help="Folder of originals, or one original.")
    ],
    system: Annotated[
        list[str],
        typer.Option(metavar="NAME=FOLDER", help="A system and its outputs; repeat for each."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of the table.")
    ] = Path("peers"),
    listen: Annotated[
        bool, typer.Option("--listen", help="With the phonemes that PocketSphinx recognizes.")
    ] = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
) -> None:
    """Measure the outputs of several systems on the same frames."""
    from dubfew.evaluate.papers.run import compare_systems

    systems = parse_systems(system)
    with show_progress(progress_mode, as_json=False) as progress:
        text = compare_systems(references, systems, out, listen=listen, progress=progress)
    print_result(None, as_json=False, text=text.rstrip())
