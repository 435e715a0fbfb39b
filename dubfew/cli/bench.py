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
    complete_actor_id,
    parse_systems,
)
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.errors import DubfewError

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


@bench_app.command("sounds")
@report_errors
def measure_sounds(
    actors: Annotated[
        list[str],
        typer.Argument(metavar="ID", help="Actors to test.", autocompletion=complete_actor_id),
    ],
    video: Annotated[
        Path | None,
        typer.Option(
            metavar="SCENE",
            help="Scene of the one actor; default: the footage that each was learned from.",
        ),
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Another line than the scene's; default: a bundled English one.",
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder that keeps the dubs; default: none are kept."),
    ] = None,
    device: DeviceOption = "auto",
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Dub a scene with silence, noises, another line and its own sound, and measure the mouth.

    In silence, breath, room noise and music the lips should rest, with another line the scene's own
    mouth should not show, and with its own sound the dub should move as far as the real mouth does.
    """
    from dubfew.evaluate.sound_test import format_sound_tests, run_sound_test

    with show_progress(progress_mode, as_json=as_json) as progress:
        result = run_sound_test(
            actors, video=video, other_sound=audio, keep=keep, device=device, progress=progress
        )
    print_result({"actors": result}, as_json=as_json, text=lambda: format_sound_tests(result))


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
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="local: worker processes on this machine; ray: a cluster, whose machines see both "
            "folders at the same paths. Default: one clip after the other.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", metavar="N", min=1, help="Workers of --engine; default: all cores."
        ),
    ] = None,
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
            engine=engine,
            jobs=jobs,
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


@bench_app.command("mouths")
@report_errors
def measure_mouths(
    videos: Annotated[
        list[Path],
        typer.Argument(metavar="VIDEO", help="Videos of one person each, 4 s and longer."),
    ],
    restrict: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What the footage lacks: smallest (1.6 s with the smallest openings), no-teeth, "
            "closed (no opening at all), frontal (no turned head), 25-frames; repeat for more. "
            "Default: smallest.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of table and pictures.")
    ] = Path("mouths"),
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Training steps of the row adapted; default: as adapt has it."
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="S", min=2, help="Length of each video that is used; default: all."),
    ] = None,
    prior: PriorOption = None,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Learn actors from footage that lacks something, and measure the mouths it lacked.

    The rest of each video is rendered with its own motion. The rows are: references alone, the
    prior without training, and the adapted actor.
    """
    from dubfew.evaluate.restricted_footage import (
        check_restriction,
        format_restricted,
        run_restricted_clips,
    )
    from dubfew.utils.files import check_input_file

    restrictions = restrict or ["smallest"]
    for restriction in restrictions:
        try:
            check_restriction(restriction)
        except DubfewError as error:
            raise typer.BadParameter(f"--restrict: {error}") from None
    for video in videos:
        check_input_file(video)
    with show_progress(progress_mode, as_json=as_json) as progress:
        results, failed = run_restricted_clips(
            videos,
            restrictions,
            out,
            steps=steps,
            seconds=seconds,
            prior=prior,
            progress=progress,
        )
    text = format_restricted(results)
    text += "".join(f"\nFailed: {name}: {reason}\n" for name, reason in failed.items())
    values = {"clips": results, "failed": failed}
    print_result(values, as_json=as_json, text=text.rstrip())
    if failed:
        raise typer.Exit(EXIT_FAILURE)
