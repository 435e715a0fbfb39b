"""``dubfew speakers``: who speaks when in a scene, and a cast of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption, OverwriteOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress


@report_errors
def speakers(
    scene: Annotated[
        Path, typer.Argument(metavar="SCENE", help="Video with its own sound, by which lips tell.")
    ],
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Mixed sound whose lines are wanted, with the scene's timing, such as the dub; "
            "default: the scene's own.",
        ),
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FACE=ID",
            help="Actor of a face, for --out; repeat for each. Faces are numbered as here.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="CAST", help="Cast to write for 'render --cast', .json."
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Find who speaks when, by sound and lips, and write a cast of it.

    Look at the list before a render: of a line with a small margin somebody else may be the
    speaker.
    """
    from dubfew.utils.files import check_input_file, check_output_path

    if (out is None) != (not role):
        raise typer.BadParameter("--out and --role need each other")
    if out is not None and out.suffix.lower() != ".json":
        raise typer.BadParameter("--out: a file name that ends in .json is needed")
    actors = _parse_roles(role or [])
    check_input_file(scene)
    if audio is not None:
        check_input_file(audio)
    if out is not None:
        check_output_path(out, scene, audio, overwrite=overwrite)

    from dubfew.errors import DubfewError
    from dubfew.reconstruction.detection.clip_detections import detect_people
    from dubfew.render.speakers import find_speakers, write_cast

    with show_progress(progress_mode, as_json=as_json) as progress:
        detections = detect_people(scene, progress=progress)
        lines = find_speakers(scene, audio, detections=detections)
    known = {person.number for person in detections.people}
    for face in actors.keys() - known:
        raise DubfewError(f"no face {face} in {scene}: there are {sorted(known)}")
    count = 0 if out is None else write_cast(out, lines, actors, audio or scene)
    result = {"faces": detections.summary(), "lines": lines, "output": out, "written": count}
    text = [
        f"face {each['face']} at {each['at']}, {each['width']} px wide"
        for each in detections.summary()
    ]
    for line in lines:
        who = "off-screen" if line.face is None else f"face {line.face}"
        who += f" ({actors[line.face]})" if line.face in actors else ""
        text.append(
            f"{line.start:8.2f} to {line.end:8.2f} s  {who}, agreement {line.agreement:.2f}, "
            f"margin {line.margin:.2f}"
        )
    if not lines:
        text.append("nothing is said")
    if out is not None:
        text.append(f"{out}: {count} lines")
    print_result(result, as_json=as_json, text="\n".join(text))


def _parse_roles(words: list[str]) -> dict[int, str]:
    """Read FACE=ID."""
    found: dict[int, str] = {}
    for word in words:
        face, mark, actor = word.partition("=")
        if not (mark and face.isdecimal() and actor) or int(face) in found:
            raise typer.BadParameter(f"--role {word[:40]!a}: give FACE=ID, each face once")
        found[int(face)] = actor
    return found
