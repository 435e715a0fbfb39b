"""``dubfew sequence``: sequences of pictures as videos, and what was dubbed back into them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.commands import CommandGroup
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption, OverwriteOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress

sequence_app = CommandGroup("Dub sequences of pictures: EXR, DPX, PNG, TIFF.")
PatternArgument = Annotated[
    str,
    typer.Argument(
        metavar="PATTERN",
        help="Pictures with numbers: shot.%04d.exr, shot.####.dpx, shot.[1001-1100].png.",
    ),
]
ColorOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="What the values are: linear (scene light) or coded (of a display or camera); "
        "default: linear for EXR, coded for the others.",
    ),
]


@sequence_app.command("read")
@report_errors
def read_pictures(
    pattern: PatternArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="Video to write, .mkv.")],
    fps: Annotated[
        str | None,
        typer.Option(
            metavar="FPS",
            help="Frame rate, such as 24, 23.976 or 30000/1001; default: that of the pictures.",
        ),
    ] = None,
    color: ColorOption = None,
    audio: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sound to put beside the pictures.")
    ] = None,
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Make a video of a sequence, without loss at ten bits, that every command reads."""
    from dubfew.media.image_sequences import find_sequence, make_working_video
    from dubfew.utils.files import check_input_file, check_output_path

    _check_color(color)
    rate = None if fps is None else _parse_rate(fps)
    if out.suffix.lower() != ".mkv":
        raise typer.BadParameter("--out: a file name that ends in .mkv is needed")
    sequence = find_sequence(pattern)
    if audio is not None:
        check_input_file(audio)
    check_output_path(out, audio, *sequence.files[:1], overwrite=overwrite)
    with show_progress(progress_mode, as_json=as_json) as progress:
        info = make_working_video(
            sequence, out, rate=rate, color=color, sound=audio, progress=progress
        )
    first, last = sequence.numbers[0], sequence.numbers[-1]
    result = {
        "output": out,
        "frames": len(sequence.files),
        "first": first,
        "last": last,
        "fps": info.fps,
        "width": info.width,
        "height": info.height,
    }
    print_result(result, as_json=as_json, text=f"{out}: frames {first} to {last}")


@sequence_app.command("write")
@report_errors
def write_pictures(
    pattern: PatternArgument,
    dub: Annotated[
        Path, typer.Argument(metavar="DUB", help="Render of SCENE with --lossless, .mkv.")
    ],
    scene: Annotated[
        Path, typer.Option(metavar="SCENE", help="Video that 'sequence read' made of the pictures.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="OUT", help="Pattern of the new pictures."),
    ],
    matte: Annotated[
        Path | None,
        typer.Option(
            metavar="PATTERN",
            help="Also write mattes, such as matte.%04d.png: white where a pixel is new.",
        ),
    ] = None,
    color: ColorOption = None,
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Write the sequence anew: what the render painted is new, all other pixels are the same."""
    from dubfew.media.image_sequences import find_sequence, write_sequence

    _check_color(color)
    sequence = find_sequence(pattern)
    with show_progress(progress_mode, as_json=as_json) as progress:
        painted, notes = write_sequence(
            sequence,
            scene,
            dub,
            out,
            matte=matte,
            color=color,
            overwrite=overwrite,
            progress=progress,
        )
    result = {"output": out, "frames": len(sequence.files), "painted": painted, "notes": notes}
    lines = [f"{out}: {len(sequence.files)} pictures, {painted} with a new mouth"]
    print_result(result, as_json=as_json, text="\n".join([*lines, *notes]))


def _check_color(color: str | None) -> None:
    from dubfew.media.image_sequences import SEQUENCE_COLORS

    if color is not None and color not in SEQUENCE_COLORS:
        raise typer.BadParameter(f"--color is one of {', '.join(SEQUENCE_COLORS)}")


def _parse_rate(text: str) -> Fraction:
    """Read a frame rate; rounded numbers of television are the exact ones."""
    from dubfew.conform.timecode import exact_rate

    try:
        rate = exact_rate(Fraction(text))
    except (ValueError, ZeroDivisionError):
        raise typer.BadParameter(f"--fps is {text[:20]!a}: give a number such as 24") from None
    if not 1 <= rate <= 240:
        raise typer.BadParameter("--fps is between 1 and 240")
    return rate
