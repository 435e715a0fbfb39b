"""``dubfew evaluate``: measure an output, or a folder of outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dubfew import api
from dubfew.cli.console import EXIT_FAILURE, print_result, report_errors
from dubfew.cli.option_flags import accept_options
from dubfew.cli.options import JsonOption, VerboseOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.cli.summaries import format_evaluation, format_folder
from dubfew.evaluate.options import EvaluateOptions
from dubfew.progress import ProgressCallback


@report_errors
@accept_options(EvaluateOptions)
def evaluate(
    options: EvaluateOptions,
    reference: Annotated[
        Path,
        typer.Argument(metavar="REFERENCE", help="The original video, or a folder of originals."),
    ],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT",
            help="The rendered video, or a folder of them with the originals' names.",
        ),
    ],
    progress_mode: ProgressOption = ProgressMode.AUTO,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure an output against its original.

    Measures that compare words need an original that speaks the same line; the others do not. With
    --require the exit code is 1 where a limit is broken, and the last lines say where.
    """
    if options.require is not None:
        _check_limits_file(Path(options.require))
    with show_progress(progress_mode, as_json=as_json) as progress:
        if output.is_dir():
            _measure_folder(options, reference, output, as_json=as_json, progress=progress)
            return
        result = api.evaluate(reference, output, options, progress=progress)
    from dubfew.evaluate.metrics import METRICS

    # Metrics that were not asked for are left out of the text; JSON has them as null.
    print_result(
        result.to_report(),
        as_json=as_json,
        text=lambda: format_evaluation(result, METRICS, verbose=verbose),
    )
    if result.broken_limits:
        raise typer.Exit(EXIT_FAILURE)


def _check_limits_file(path: Path) -> None:
    """Refuse a file of limits that cannot be used as wrong usage (exit code 2)."""
    from dubfew.evaluate.gate import LimitsError, read_limits

    try:
        read_limits(path)
    except LimitsError as error:
        raise typer.BadParameter(f"--require: {error}") from None


def _measure_folder(
    options: EvaluateOptions,
    reference: Path,
    output: Path,
    *,
    as_json: bool,
    progress: ProgressCallback,
) -> None:
    """Measure all outputs of a folder."""
    alone: dict[str, Any] = {
        "--floor": options.floor,
        "--again": options.again,
        "--html": options.html,
        "--sheet": options.sheet,
    }
    given = [flag for flag, value in alone.items() if value]
    if given or options.transcript is not None:
        flag = (given or ["--transcript"])[0]
        raise typer.BadParameter(f"{flag} is for one output: name a file, not a folder")
    from dubfew.evaluate import compare
    from dubfew.evaluate.compare import EvaluationResult
    from dubfew.evaluate.crops import crop_videos
    from dubfew.evaluate.folders import evaluate_folder
    from dubfew.evaluate.gate import check_limits, read_limits
    from dubfew.evaluate.metrics import METRICS

    limits = read_limits(options.require) if options.require is not None else {}

    def measure(original: Path, rendered: Path, **measuring: Any) -> EvaluationResult:
        with crop_videos(original, rendered, options.crop_original, options.crop) as files:
            return compare.evaluate(*files, **measuring)

    result = evaluate_folder(
        reference, output, measure=measure, progress=progress, **options.measuring
    )
    broken = {name: check_limits(each, limits) for name, each in result.clips.items()}
    broken = {name: found for name, found in broken.items() if found}
    print_result(
        {**result.to_json(), "broken_limits": broken},
        as_json=as_json,
        text=lambda: format_folder(result, METRICS, broken),
    )
    if broken or result.failed:
        raise typer.Exit(EXIT_FAILURE)
