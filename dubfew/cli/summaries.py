"""Results of the main commands in words: warnings first, then what was made, then what is next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dubfew.cli.console import format_byte_count, format_fields, format_value
from dubfew.cli.progress_display import format_clock

if TYPE_CHECKING:
    from dubfew.adapt.pipeline import AdaptResult
    from dubfew.dubbing.pipeline import DubResult
    from dubfew.evaluate.compare import EvaluationResult
    from dubfew.evaluate.folders import FolderResult
    from dubfew.evaluate.gate import BrokenLimit
    from dubfew.evaluate.metrics import Metric
    from dubfew.render.pipeline import RenderResult
    from dubfew.speech.motion_lag import PictureLag

# What comes after a preview. What it was made with is in the shell's history.
PREVIEW_HINT = "the same command without --preview renders all of it"
# Lag of a picture from which viewers notice it, ms (ITU-R BT.1359: sound 45 ms early).
NOTICED_LAG_MS = 45
# Words for the direction in which a metric gets better.
DIRECTION_WORDS = {"higher": "higher is better", "lower": "lower is better"}


def format_adaptation(result: AdaptResult, *, verbose: bool = False) -> str:
    """Describe what `dubfew adapt` has learned.

    Args:
        result: result of the adaptation.
        verbose: True to add every field of the result.
    """
    # Imported here, because the metrics import numpy, which other results do not need.
    from dubfew.evaluate.metrics import METRICS

    learned = (
        f"Done: learned {result.actor!r}, revision {result.revision}, from "
        f"{result.frames} frames of {format_clock(result.segment.seconds)} "
        f"({format_byte_count(result.bytes)}, in {format_clock(result.seconds['total'])})"
    )
    lines = [learned]
    if result.psnr_heldout is not None:
        grade = METRICS.load("psnr_mouth").grade(result.psnr_heldout)
        lines.append(
            f"Quality: {grade} (mouths that were kept back come out at "
            f"{format_value(result.psnr_heldout)} dB)"
        )
    if result.picture_lag is not None:
        lines.append(f"In sync: {describe_picture_lag(result.picture_lag)}")
    lines += [f"{title}: {line}" for title, line in result.gained]
    lines.append(f"Next: dubfew render {_shell_word(result.actor)} --audio SPEECH.wav")
    return _join(_split_notes(result.note), lines, result if verbose else None)


def describe_picture_lag(lag: PictureLag) -> str:
    """Describe the lag of a picture against its sound on one line."""
    if not lag.is_clear:
        return "cannot be told from these seconds (too little speech that the mouth follows)"
    milliseconds = round(1000 * lag.lag_seconds)
    if abs(milliseconds) < NOTICED_LAG_MS:
        return f"yes, to {abs(milliseconds)} ms"
    return (
        f"no, the picture is {abs(milliseconds)} ms {'early' if milliseconds < 0 else 'late'}; "
        "this was corrected before the manner was learned, and renders are in step with their sound"
    )


def format_render(result: RenderResult, *, preview: bool = False, verbose: bool = False) -> str:
    """Describe the file that `dubfew render` has written.

    Args:
        result: result of the render.
        preview: whether it is a preview; the next step is the whole then.
        verbose: True to add every field of the result.
    """
    length = format_clock(result.frames / float(result.fps))
    kept = f", {result.kept_frames} kept as they were" if result.kept_frames else ""
    done = (
        f"Done: {result.output} ({length}, {result.edited_frames} of {result.frames} frames "
        f"painted{kept})"
    )
    lines = [done]
    if preview:
        lines.append(f"Next: {PREVIEW_HINT}")
    return _join(_split_notes(result.note), lines, result if verbose else None)


def format_dub(result: DubResult, *, preview: bool = False, verbose: bool = False) -> str:
    """Describe what `dubfew dub` has learned and written.

    Args:
        result: result of the dub.
        preview: whether it is a preview; the next step is the whole then.
        verbose: True to add every field of the result.
    """
    text = format_render(result.rendered, preview=preview, verbose=verbose)
    if result.learned is None:
        return text
    actor = _shell_word(result.learned.actor)
    learned = format_adaptation(result.learned, verbose=verbose)
    # The way to the next line is the last one; the actor's own next step has been done.
    kept = [line for line in learned.splitlines() if not line.startswith("Next: ")]
    # Both may warn of the same thing.
    own = [line for line in text.splitlines() if line not in kept]
    warnings = [line for line in kept + own if line.startswith("warning: ")]
    others = [line for line in kept + own if not line.startswith("warning: ")]
    if not preview:
        others.append(f"Another line: dubfew render {actor} --audio SPEECH.wav")
    return "\n".join([*warnings, *others])


def format_track(result: Mapping[str, Any], *, verbose: bool = False) -> str:
    """Describe the track that `dubfew track` has written.

    Args:
        result: the result as ``--json`` prints it.
        verbose: True to add every field of the result.
    """
    frames, fps = result["frames"], result["fps"]
    found = f"face in {result['valid_frames']} of {frames} frames"
    lines = [f"Done: {result['output']} ({format_clock(frames / float(fps))}, {found})"]
    if "report" in result:
        lines.append(f"Report: {result['report']}")
    unused = frames - result["usable_frames"]
    warnings = []
    if unused:
        reasons = ", ".join(f"{name} {count}" for name, count in result["left_out"].items())
        warnings.append(f"{unused} frames cannot be used ({reasons})")
    people = result["faces"]
    if isinstance(people, Sequence):
        lines += [
            f"face {each['face']}: {_format_person(each, fps)}"
            f"{' (tracked)' if each['face'] == result['face'] else ''}"
            for each in people
        ]
    elif people > 1:
        warnings.append(f"{people} people are seen, one was tracked: --faces lists them")
    return _join(warnings, lines, result if verbose else None)


def format_evaluation(
    result: EvaluationResult, metrics: Mapping[str, Metric], *, verbose: bool = False
) -> str:
    """Describe the measures of an output as a table: value, verdict, meaning.

    Args:
        result: the measures.
        metrics: the metrics by name.
        verbose: True to add what each measure is.
    """
    from dubfew.evaluate.compare import describe_unavailable

    warnings = []
    if result.same_line is False:
        warnings.append(
            "the two videos speak different lines (their sound differs): measures with a * say "
            "nothing about the quality of a dub"
        )
    if result.rest:
        warnings.append(
            f"one video goes on for {result.rest} frames after the end of the other: they are not "
            "compared"
        )
    # The noise stands beside each value in the same form, so that a reader sees which differences
    # are none.
    noise = {name: row.to_display() for name, row in result.floor.items()}
    rows = []
    for name, value in result.to_display().items():
        if name in result.unavailable:
            continue  # its long reason would push the verdicts out of sight
        metric = metrics.get(name)
        floor = [_format_noise(row.get(name)) for row in noise.values()]
        # Text and facts that are no metric have no grade.
        if metric is None or isinstance(value, str):
            rows.append((name, format_value(value), "", *floor, "", ""))
            continue
        # A grade would mislead where the two videos speak different lines.
        unsure = metric.needs_same_line and result.same_line is False
        rows.append(
            (
                f"{name}{' *' if unsure else ''}",
                f"{format_value(value)} {metric.unit}".rstrip(),
                _format_interval(result.intervals.get(name)),
                *floor,
                "" if unsure else metric.grade(value),
                _describe_limits(metric) + (f"; {metric.source}" if verbose else ""),
            )
        )
    rows.insert(0, ("", "value", "95 %", *noise, "", ""))
    table = _align_columns(rows)
    table += [f"n/a: {line}" for line in describe_unavailable(result.unavailable)]
    table += _format_parts(result.parts)
    table += [
        f"left as it was, {run.start:.2f} to {run.end:.2f} s: {run.reason}"
        for run in result.unpainted_runs
    ]
    table += [f"limit broken: {each.describe()}" for each in result.broken_limits]
    return _join(warnings, table, None)


def _format_parts(parts: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Describe the inside of the mouth in parts of the frames, one column per part."""
    if not parts:
        return []
    names = dict.fromkeys(name for values in parts.values() for name in values)
    rows = [("inside", *parts)]
    rows += [
        (name, *(format_value(values.get(name, float("nan"))) for values in parts.values()))
        for name in names
    ]
    return ["", *_align_columns(rows)]


def format_folder(
    result: FolderResult,
    metrics: Mapping[str, Metric],
    broken: Mapping[str, Sequence[BrokenLimit]],
) -> str:
    """Describe the measures of several clips as a table of means.

    Args:
        result: the measures.
        metrics: the metrics by name.
        broken: limits that are not kept, by clip.
    """
    from dubfew.evaluate.compare import describe_unavailable

    count = len(result.clips)
    rows = [("", f"mean of {count} clip{'s' if count > 1 else ''}", "95 %", "", "")]
    others = [name for name, each in result.clips.items() if each.same_line is False]
    for name, value in result.means.items():
        if value is not None:
            metric = metrics[name]
            # As with a single output, see `format_evaluation`.
            unsure = metric.needs_same_line and bool(others)
            rows.append(
                (
                    f"{name}{' *' if unsure else ''}",
                    f"{format_value(value)} {metric.unit}".rstrip(),
                    _format_interval(result.intervals.get(name)),
                    "" if unsure else metric.grade(value),
                    _describe_limits(metric),
                )
            )
    lines = _align_columns(rows)
    unavailable = {k: v for each in result.clips.values() for k, v in each.unavailable.items()}
    lines += [f"n/a: {line}" for line in describe_unavailable(unavailable)]
    lines += [f"not measured: {name}: {reason}" for name, reason in result.failed.items()]
    lines += [
        f"limit broken: {name}: {each.describe()}" for name, all_ in broken.items() for each in all_
    ]
    warnings = [
        f"{', '.join(others)}: the output speaks another line than its original; measures with a * "
        "say nothing about the quality of a dub"
    ]
    return _join(warnings if others else [], lines, None)


def _align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align the columns of a table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _format_interval(ends: tuple[float, float] | None) -> str:
    """Format an interval; "" without one."""
    if ends is None or any(end != end for end in ends):  # NaN
        return ""
    return f"{format_value(ends[0])} to {format_value(ends[1])}"


def _format_noise(value: Any) -> str:
    """Format a value of the noise; "" without one."""
    return "" if value is None or isinstance(value, str) else format_value(value)


def _describe_limits(metric: Metric) -> str:
    """Describe the direction of a metric, and what counts as good and as poor."""
    words = DIRECTION_WORDS.get(metric.direction, f"near {metric.best:g} is better")
    if metric.good is None or metric.poor is None:
        return words
    if metric.direction == "closer":
        return f"{words}; good within {metric.good:g}, poor beyond {metric.poor:g}"
    return f"{words}; good from {metric.good:g}, poor from {metric.poor:g}"


def _format_person(person: Mapping[str, Any], fps: Any) -> str:
    """Describe when and where a person is seen."""
    times = ", ".join(
        f"{first / float(fps):.1f} to {last / float(fps):.1f} s"
        for first, last in _pairs(person["seen"])
    )
    x, y = person["at"]
    return f"{person['frames']} frames ({times}), {person['width']} px wide, at {x},{y}"


def _pairs(runs: Iterable[Any]) -> list[tuple[int, int]]:
    """Return runs of frames as pairs of first and last frame."""
    return [(int(first), int(last)) for first, last in runs]


def _split_notes(note: str) -> list[str]:
    """Split the notes of a result, which are joined by semicolons."""
    return note.split("; ") if note else []


def _shell_word(text: str) -> str:
    """Quote a text where a shell would take it apart."""
    import shlex

    return shlex.quote(text)


def _join(warnings: Iterable[str], lines: Iterable[str], details: Any) -> str:
    """Put warnings first, each on a line of its own, then the result, then its fields."""
    text = [*(f"warning: {each}" for each in warnings), *lines]
    return "\n".join([*text, "", format_fields(details)] if details is not None else text)
