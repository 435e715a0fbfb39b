"""``dubfew disclose``: tell viewers that a video was changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption, OverwriteOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.utils.counts import count_things


@report_errors
def disclose(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A finished dub.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Video to write; without it only the text for the credits is printed.",
        ),
    ] = None,
    at: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SECONDS",
            help="Time from which the label is shown, such as the end of a break; repeat it for "
            "more; default: 0.",
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.0, help="For how long it is shown each time."),
    ] = 5.0,
    always: Annotated[bool, typer.Option("--always", help="Show it throughout.")] = False,
    card: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.0,
            help="Add a card with the text for the credits at the end, this long.",
        ),
    ] = 0.0,
    language: Annotated[
        str,
        typer.Option("--language", "--lang", metavar="CODE", help="Language of the text."),
    ] = "en",
    codec: Annotated[
        str | None, typer.Option(metavar="NAME", help="Codec of the picture; see render.")
    ] = None,
    crf: Annotated[
        int | None, typer.Option(metavar="N", help="Quality, lower is better; see render.")
    ] = None,
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Write a copy of a dub with a label for viewers, and print the text for the credits.

    The label says AI MODIFIED in the upper right corner. Sound and times stay as they are, and the
    copy is signed with the dub's own credentials as its history.
    """
    from dubfew.marks.disclosure import LabelPlan, credits_text, write_labelled
    from dubfew.utils.files import check_input_file, check_output_path

    check_input_file(video)
    text = credits_text(language)
    if out is None:
        print_result({"credits": text}, as_json=as_json, text=text)
        return
    check_output_path(out, video, overwrite=overwrite)
    plan = LabelPlan(tuple(at or (0.0,)), None if always else seconds, card, language)
    from dubfew.marks.certificate import load_signing_identity
    from dubfew.registry.locations import resolve_folders

    with show_progress(progress_mode, as_json=as_json) as progress:
        frames, notes = write_labelled(
            video,
            out,
            plan,
            load_signing_identity(resolve_folders(None, None)[0]),
            codec=codec,
            crf=crf,
            progress=progress,
        )
    print_result(
        {"output": out, "frames": frames, "credits": text, "notes": notes},
        as_json=as_json,
        text="\n".join(
            [f"Done: {out} ({count_things(frames, 'frame')})", *notes, f"for the credits: {text}"]
        ),
    )
