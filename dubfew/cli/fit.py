"""``dubfew fit``: make a line fit its place."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption, OverwriteOption


@report_errors
def fit(
    sound: Annotated[Path, typer.Argument(metavar="SOUND", help="Sound of a line.")],
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Length of its place in seconds.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(metavar="SCENE", help="Video whose length is the place.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="OUT", help="Shortened line to write, .wav; default: say only."
        ),
    ] = None,
    stretch: Annotated[
        float,
        typer.Option(
            metavar="FACTOR",
            min=1.0,
            max=1.5,
            help="Largest factor by which it is spoken faster, at the same pitch.",
        ),
    ] = 1.1,
    pause: Annotated[
        float,
        typer.Option(
            metavar="S", min=0.05, max=5.0, help="What is left of a pause at least, in seconds."
        ),
    ] = 0.15,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say whether a line fits its place, and make it fit: shorter pauses first, then faster.

    A line that needs more than that is refused with what would help. The result is mono.
    """
    from dubfew.utils.files import check_input_file, check_output_path

    if (seconds is None) == (video is None):
        raise typer.BadParameter("give either --seconds or --video")
    if seconds is not None and not 0 < seconds < 86400:
        raise typer.BadParameter("--seconds is above 0")
    if out is not None and out.suffix.lower() != ".wav":
        raise typer.BadParameter("--out: a file name that ends in .wav is needed")
    check_input_file(sound)
    if out is not None:
        check_output_path(out, sound, video, overwrite=overwrite)

    from dubfew.errors import DubfewError
    from dubfew.media import probe, read_audio
    from dubfew.media.audio import DELIVERY_RATE_HZ
    from dubfew.media.in_memory import write_audio
    from dubfew.media.line_fitting import fit_line, plan_line_fit

    room = probe(video).duration if video is not None else seconds
    assert room is not None  # one of both is given
    audio = read_audio(sound, DELIVERY_RATE_HZ)
    plan = plan_line_fit(audio, room, stretch=stretch, pause=pause)
    if out is not None:
        if not plan.fits:
            raise DubfewError(f"{sound}: {plan.describe()}")
        write_audio(out, fit_line(audio, plan, pause=pause))
    result = {"sound": sound, "output": out, **asdict(plan), "fits": plan.fits}
    print_result(result, as_json=as_json, text=f"{sound}: {plan.describe()}")
