"""``dubfew adapt``: learn an actor."""

from __future__ import annotations

from dubfew import api
from dubfew.adapt.options import AdaptOptions
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.option_flags import accept_options
from dubfew.cli.options import JsonOption, VerboseOption, VideoArgument
from dubfew.cli.plans import print_plan
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.cli.summaries import format_adaptation


@report_errors
@accept_options(AdaptOptions)
def adapt(
    video: VideoArgument,
    options: AdaptOptions,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Learn an actor from a few seconds of footage."""
    with show_progress(progress_mode, as_json=as_json) as progress:
        on_plan = None if as_json else print_plan
        result = api.adapt(video, options, on_plan=on_plan, progress=progress)
    print_result(result, as_json=as_json, text=lambda: format_adaptation(result, verbose=verbose))
