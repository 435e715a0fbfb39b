"""``dubfew motion`` and ``dubfew edit``: the mouth motion of a line as a file, and its edits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubfew import api
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.option_flags import accept_options
from dubfew.cli.options import JsonOption, OverwriteOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.errors import DubfewError
from dubfew.takes.options import MotionOptions

if TYPE_CHECKING:
    from dubfew.takes.take import Take

_SECONDS_PATTERN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))\s*(ms|s)?")
PlotOption = Annotated[
    Path | None,
    typer.Option(
        metavar="P", help="Picture of the motion before and after the edits: .png, .svg or .pdf."
    ),
]


@report_errors
@accept_options(MotionOptions)
def motion(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Sound of a line, a video of a mouth, or blendshapes: .csv of Live Link Face, "
            ".json of Audio2Face, .usda of USD, .glb of glTF.",
        ),
    ],
    options: MotionOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="OUT", help="File to write; default: SOURCE's name, .motion."
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Give the new motion the edits of the file that is there already."
        ),
    ] = False,
    plot: PlotOption = None,
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Write the mouth motion of a line into a file that can be edited and rendered again."""
    from dubfew.utils.files import check_output_path

    out = out or Path(source.with_suffix(".motion").name)
    _check_names(out, plot)
    earlier = None
    if update:
        from dubfew.takes.take import Take

        # Read before the work, which may take minutes.
        earlier = Take.load(out)
    inputs = (source, None if options.transcript is None else Path(options.transcript))
    check_output_path(out, *inputs, overwrite=overwrite or update)
    if plot is not None:
        check_output_path(plot, *inputs, out, overwrite=overwrite)
    with show_progress(progress_mode, as_json=as_json) as progress:
        take = api.record_motion(source, options, progress=progress)
    if earlier is not None:
        take = take.with_edits_of(earlier)
    take.save(out)
    _finish(take, out, plot, as_json)


@report_errors
def edit(
    file: Annotated[Path, typer.Argument(metavar="MOTION", help="File of 'dubfew motion'.")],
    replace: Annotated[
        Path | None,
        typer.Option(metavar="MOTION", help="Show the motion of another take at the same times."),
    ] = None,
    shift: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --replace: show the other take later, as in 2.5s."),
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Move the mouth later, as in 40ms; -40ms is earlier."),
    ] = None,
    scale: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Factor of the whole motion.")
    ] = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Keep the pose of the begin of the stretch, or --pose.")
    ] = False,
    pose: Annotated[
        float | None, typer.Option(metavar="T", help="With --hold: time of the pose, s.")
    ] = None,
    close: Annotated[
        bool, typer.Option("--close", help="Bring the lips together; their shape stays.")
    ] = False,
    open_gap: Annotated[
        float | None,
        typer.Option(
            "--open",
            metavar="GAP",
            help="Open the lips by a gap in distances between the eyes' outer corners: 0.05 is "
            "little, 0.1 a vowel, 0.2 wide.",
        ),
    ] = None,
    smooth: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Remove motion that is faster than about this, 60ms."),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(
            "--from", metavar="T", help="Time in seconds at which the stretch begins; default: all."
        ),
    ] = None,
    end: Annotated[
        float | None, typer.Option("--to", metavar="T", help="Time in seconds at which it ends.")
    ] = None,
    ease: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Time over which an edit eases in before the stretch and out after it; default: "
            "80ms.",
        ),
    ] = None,
    edits_of: Annotated[
        Path | None,
        typer.Option(
            "--edits-of", metavar="MOTION", help="First take over all edits of another file."
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="First remove the last edit.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="First remove all edits.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="OUT", help="File to write; default: MOTION itself."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the edited motion as blendshapes: .csv of Live Link Face (ARKit), "
            ".json of Audio2Face, .usda or .usdc of USD, .glb of glTF.",
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(metavar="FPS", help="With --export: its frame rate; default: 30, .csv 60."),
    ] = None,
    plot: PlotOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Edit the mouth motion of a line, or list its edits.

    Edits stand beside the motion and are applied by every render. Several in one call are applied
    in the order of this list.
    """
    from dubfew.takes.edits import DEFAULT_EASE_SECONDS, MotionEdit
    from dubfew.takes.take import Take
    from dubfew.utils.files import check_output_path

    if pose is not None and not hold:
        raise typer.BadParameter("--pose is the pose of --hold: give both")
    if shift is not None and replace is None:
        raise typer.BadParameter("--shift moves the take of --replace: give both")
    if fps is not None and export is None:
        raise typer.BadParameter("--fps is the rate of --export: give both")
    if undo and clear:
        raise typer.BadParameter("--clear removes all edits, --undo the last: leave out one")
    # The order of this list is that of --help, and the order in which the edits are applied.
    wanted: list[tuple[str, float | None]] = []
    if replace is not None:
        wanted.append(("replace", _parse_seconds(shift, "--shift", "s") if shift else 0.0))
    if offset is not None:
        wanted.append(("offset", _parse_seconds(offset, "--offset")))
    if scale is not None:
        wanted.append(("scale", scale))
    if hold:
        wanted.append(("hold", pose))
    if close:
        wanted.append(("close", None))
    if open_gap is not None:
        wanted.append(("open", open_gap))
    if smooth is not None:
        wanted.append(("smooth", _parse_seconds(smooth, "--smooth")))
    if not wanted and (start is not None or end is not None):
        raise typer.BadParameter("--from and --to are the stretch of an edit: name the edit")
    eased = DEFAULT_EASE_SECONDS if ease is None else _parse_seconds(ease, "--ease")
    # Everything that can be refused is refused before the first file is read or changed.
    _check_names(out, plot)
    take = Take.load(file)
    other, name = None, None
    if replace is not None:
        other = Take.load(replace)
        # Two takes may have the same file name; edits name the take, so that its name is made
        # unique.
        name = _free_name(replace.stem, other, take)
    try:
        made = [
            MotionEdit(kind, value, start, end, eased, name if kind == "replace" else None)
            for kind, value in wanted
        ]
    except DubfewError as error:
        raise typer.BadParameter(str(error)) from None
    # Without any of these the command only lists the edits, and may not touch the file.
    changes = bool(made or undo or clear or edits_of or out)
    target = out or file
    if changes and target != file:
        check_output_path(target, file, overwrite=overwrite)
    if plot is not None:
        check_output_path(plot, file, target, overwrite=overwrite)
    if export is not None:
        check_output_path(export, file, target, overwrite=overwrite)
    if edits_of is not None:
        take = take.with_edits_of(Take.load(edits_of))
    if undo and not take.edits:
        raise DubfewError(f"{file} has no edit to undo")
    if undo or clear:
        take = take.without_edits(len(take.edits) - 1 if undo else 0)
    for each in made:
        take = take.edit(each, other)
    if export is not None:
        from dubfew.takes.blendshapes import write_blendshapes

        write_blendshapes(export, take.perform(), fps, sound=take.source.name)
    if changes:
        take.save(target)
    _finish(take, target, plot, as_json)


def _finish(take: Take, path: Path, plot: Path | None, as_json: bool) -> None:
    """Plot a take where that is wanted, and print its facts."""
    if plot is not None:
        from dubfew.takes.plot import plot_take

        plot_take(plot, take, path.name)
    gap = take.perform().aperture()
    result: dict[str, Any] = {
        "output": path,
        "source": take.source,
        "seconds": round(take.seconds, 3),
        "rows": len(take.motion),
        "phones": len(take.phones),
        "widest_gap": round(float(gap.max()), 4),
        "edits": [each.to_json() for each in take.edits],
    }
    origins = {"audio": "predicted from", "video": "filmed in"}
    made = origins.get(take.source.kind, "read from")
    lines = [f"{path}: {take.seconds:.2f} s, {made} {take.source.name}"]
    lines += [f"{number}  {each.describe()}" for number, each in enumerate(take.edits, 1)]
    if not take.edits:
        lines.append("no edits")
    print_result(result, as_json=as_json, text="\n".join(lines))


def _free_name(stem: str, other: Take, take: Take) -> str:
    """Name another take: its file's stem, with a number where that stands for another motion."""
    name, number = stem, 2
    while name in take.alternates and take.alternates[name].to_bytes() != other.to_bytes():
        name, number = f"{stem}-{number}", number + 1
    return name


def _check_names(out: Path | None, plot: Path | None) -> None:
    """Refuse endings that would take a motion for something else."""
    if out is not None and out.suffix != ".motion":
        raise typer.BadParameter("--out: a file name that ends in .motion is needed")
    if plot is not None and plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise typer.BadParameter("--plot: a file name that ends in .png, .svg or .pdf is needed")


def _parse_seconds(text: str, flag: str, unit: str = "ms") -> float:
    """Read a time such as 40ms or 0.04s; a bare number has the given unit."""
    found = _SECONDS_PATTERN.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{flag} is {text!a}: give a time such as 40ms or 0.04s")
    return float(found[1]) / (1000 if (found[2] or unit) == "ms" else 1)
