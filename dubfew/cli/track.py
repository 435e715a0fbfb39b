"""``dubfew track``: reconstruct a clip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubfew import api
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.option_flags import accept_options
from dubfew.cli.options import JsonOption, OverwriteOption, VerboseOption, VideoArgument
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.cli.summaries import format_track
from dubfew.reconstruction.options import TrackOptions

if TYPE_CHECKING:
    from dubfew.reconstruction.detection.clip_detections import ClipDetections


@report_errors
@accept_options(TrackOptions)
def track(
    video: VideoArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="TRACK", help="A .safetensors file.")],
    options: TrackOptions,
    faces: Annotated[
        bool, typer.Option("--faces", help="Also list the people and the frames that show them.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a page that shows how well the head fits (.html)."
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Reconstruct a clip: head, pose, expression and camera of every frame."""
    # Endings are fixed, so that a track is not taken for a video.
    if out.suffix != ".safetensors":
        raise typer.BadParameter("--out: a file name that ends in .safetensors is needed")
    if report is not None and report.suffix != ".html":
        raise typer.BadParameter("--report: a file name that ends in .html is needed")
    from dubfew.utils.files import check_output_path

    # Before the work, which takes minutes.
    check_output_path(out, video, overwrite=overwrite)
    if report is not None:
        check_output_path(report, video, overwrite=overwrite)

    detections: list[ClipDetections] = []
    with show_progress(progress_mode, as_json=as_json) as progress:
        found = api.track(video, options, on_detection=detections.append, progress=progress)
    found.save(out)
    if report is not None:
        from dubfew.reconstruction.track_report import write_track_report

        write_track_report(report, video, found)
    # The track itself is in the file; the result has its totals.
    result = {
        "output": out,
        **({"report": report} if report else {}),
        "frames": len(found),
        "valid_frames": int(found.valid.sum()),
        "usable_frames": int(found.usable.sum()),
        "left_out": found.reasons(),
        "shots": int(found.shot[-1]) + 1,
        "face": found.face,
        "faces": detections[0].summary() if faces else len(detections[0].people),
        "fps": found.fps,
        "head": found.head,
        "method": found.method,
        "shape_from": found.shape_from,
    }
    print_result(result, as_json=as_json, text=lambda: format_track(result, verbose=verbose))
