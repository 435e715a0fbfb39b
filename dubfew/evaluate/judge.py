"""Everything that ``evaluate`` can say of one output: measures, noise, limits, page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubfew.evaluate.compare import EvaluationResult, evaluate
from dubfew.evaluate.crops import crop_videos
from dubfew.evaluate.gate import check_limits, read_limits
from dubfew.evaluate.noise_floor import measure_floor
from dubfew.evaluate.options import EvaluateOptions
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.track import Track
from dubfew.utils.files import check_output_path


def judge_output(
    reference: Path,
    output: Path,
    options: EvaluateOptions,
    *,
    track: Track | None = None,
    progress: ProgressCallback = no_progress,
) -> EvaluationResult:
    """Measure an output, and do what else the options ask for.

    Args:
        reference: the original video.
        output: the rendered video.
        options: what is to be done.
        track: track of the original, if it is known already.
        progress: function that is called with the state of the work.

    Returns:
        The measures, with the noise and the broken limits.

    Raises:
        LimitsError: The file of limits cannot be used.
        DubfewError: What `evaluate` raises, or the page exists and is not to be replaced.
    """
    # Before the work, which takes minutes.
    limits = read_limits(options.require) if options.require is not None else {}
    page = Path(options.html) if options.html is not None else None
    sheet = Path(options.sheet) if options.sheet is not None else None
    for written in (page, sheet):
        if written is not None:
            for each in (reference, output):
                check_output_path(written, each, overwrite=options.overwrite)
    with crop_videos(reference, output, options.crop_original, options.crop) as (first, second):
        return _judge_files(first, second, options, limits, page, sheet, track, progress)


def _judge_files(
    reference: Path,
    output: Path,
    options: EvaluateOptions,
    limits: Mapping[str, Mapping[str, Any]],
    page: Path | None,
    sheet: Path | None,
    track: Track | None,
    progress: ProgressCallback,
) -> EvaluationResult:
    """Measure an output whose files show nothing else."""
    measuring = options.measuring
    result = evaluate(reference, output, track=track, progress=progress, **measuring)
    if options.floor or options.again is not None:
        again = Path(options.again) if options.again is not None else None
        floor = measure_floor(reference, result, measuring, again=again, progress=progress)
        result = dataclasses.replace(result, floor=floor)
    if limits:
        result = dataclasses.replace(result, broken_limits=check_limits(result, limits))
    if page is not None:
        from dubfew.evaluate.page import write_evaluation_page

        write_evaluation_page(page, result, floor=result.floor, broken=result.broken_limits)
    if sheet is not None and result.clips is not None:
        from dubfew.evaluate.mouth_parts import save_mouth_sheet

        save_mouth_sheet(sheet, [reference, output], result.clips.reference_landmarks)
    return result
