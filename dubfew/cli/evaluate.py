"""``dubfew evaluate``: measure an output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew import api
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption, VerboseOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.cli.summaries import format_evaluation


@report_errors
def evaluate(
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="The original video.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The rendered video.")],
    syncnet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="DUBFEW_SYNCNET",
            help="Weights of SyncNet (syncnet_v2.model), to measure LSE-C and LSE-D as well.",
        ),
    ] = None,
    listen: Annotated[
        bool,
        typer.Option(
            "--listen", help="Compare the mouth with the phonemes that PocketSphinx recognizes."
        ),
    ] = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure an output against its original, which speaks the same line."""
    with show_progress(progress_mode, as_json=as_json) as progress:
        result = api.evaluate(reference, output, syncnet=syncnet, listen=listen, progress=progress)
    from dubfew.evaluate.metrics import METRICS

    # Metrics that were not asked for are left out of the text; JSON has them as null.
    print_result(
        {**result.to_json(), "same_line": result.same_line, "rest": result.rest},
        as_json=as_json,
        text=lambda: format_evaluation(result, METRICS, verbose=verbose),
    )
