"""Progress of a command on stderr: a bar in a terminal, lines of text or JSON elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Annotated

import typer

from dubfew.cli.console import raise_if_interrupted, to_jsonable
from dubfew.progress import LOAD_STAGE, Progress, ProgressCallback, no_progress
from dubfew.utils.job_progress import DONE_STAGE

# Plain words for the stages of the library.
STAGE_WORDS = {
    LOAD_STAGE: "starting",
    "scan": "looking for the best part",
    "track": "looking at the face",
    "occluders": "looking for hands before the mouth",
    "joint": "fitting the head",
    "photometric": "fitting the head",
    "cut": "collecting pictures of the mouth",
    "align": "comparing pictures of the mouth",
    "style": "learning the way of speaking",
    "train": "learning",
    "render": "painting",
    "label": "labelling",
    "landmarks": "looking at the original",
    "compare": "comparing",
    "lip sync": "comparing lips and sound",
    "read": "reading the watermark",
    "prepare": "preparing clips",
    "synthesise": "making speech",
    "measure": "measuring",
    "actors": "learning the actors",
    "paint": "painting",
    "faces": "looking at the people",
    "batch": "doing the jobs",
    "shots": "cutting the shots",
    "review": "making videos of the takes",
    "turnover": "writing folders",
    DONE_STAGE: "done",
}
# Shortest time between two plain lines, s: a log of an hour stays readable.
MIN_LINE_SECONDS = 10.0
# Share of the job between two plain lines.
LINE_STEP = 0.1
# Longest time without a plain line, s, so that slow work is not taken for hanging.
MAX_SILENT_SECONDS = 60.0


class ProgressMode(str, Enum):
    """Kinds of progress display; the values are the words of ``--progress``."""

    AUTO = "auto"
    BAR = "bar"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


ProgressOption = Annotated[
    ProgressMode,
    typer.Option(
        "--progress",
        metavar="MODE",
        help="Progress on stderr: bar, plain (lines), json (one object per line) or none; auto is "
        "a bar in a terminal, lines elsewhere, and none with --json.",
        show_default=False,
    ),
]


@contextmanager
def show_progress(mode: ProgressMode, *, as_json: bool) -> Iterator[ProgressCallback]:
    """Provide a progress callback that shows the work on stderr.

    The callback also ends the work after a signal whose KeyboardInterrupt Python lost.

    Args:
        mode: kind of display.
        as_json: True if the result is printed as JSON, which chooses "none" for "auto".

    Yields:
        The callback, for the ``progress`` argument of the library's functions.
    """
    mode = _resolve_mode(mode, as_json)
    if mode is ProgressMode.BAR:
        with _bar() as show:
            yield _interruptible(show)
        return
    shows: dict[ProgressMode, ProgressCallback] = {
        ProgressMode.PLAIN: PlainProgress(_print_line),
        ProgressMode.JSON: JsonProgress(_print_line),
        ProgressMode.NONE: no_progress,
    }
    yield _interruptible(shows[mode])


def _resolve_mode(mode: ProgressMode, as_json: bool) -> ProgressMode:
    """Choose the display that "auto" stands for."""
    if mode is not ProgressMode.AUTO:
        return mode
    if as_json:
        return ProgressMode.NONE
    return ProgressMode.BAR if sys.stderr.isatty() else ProgressMode.PLAIN


def _interruptible(show: ProgressCallback) -> ProgressCallback:
    """Make a callback that ends the work after a signal, and else shows the report."""

    def check_and_show(progress: Progress) -> None:
        raise_if_interrupted()
        show(progress)

    return check_and_show


def _print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class PlainProgress:
    """Progress as lines of text: about one per tenth of the job, and not too many.

    Args:
        write: function that prints one line.
        clock: function that returns the time in s.
    """

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._last_time = -float("inf")
        self._last_fraction = 0.0

    def __call__(self, progress: Progress) -> None:
        """Write a line if enough was done since the last one, or the job is done."""
        now, fraction = self._clock(), _fraction_of(progress)
        silent = now - self._last_time
        enough = fraction is None or fraction >= self._last_fraction + LINE_STEP
        due = silent >= MIN_LINE_SECONDS and (enough or silent >= MAX_SILENT_SECONDS)
        if not due and progress.stage != DONE_STAGE:
            return
        self._last_time = now
        self._last_fraction = 0.0 if fraction is None else fraction
        self._write(f"dubfew: {describe_progress(progress)}")


class JsonProgress:
    """Progress as JSON objects, one per line: at each whole percent and each new stage.

    Args:
        write: function that prints one line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._last: tuple[str, int | None] | None = None

    def __call__(self, progress: Progress) -> None:
        """Write a line if the stage or the percent are new."""
        fraction = _fraction_of(progress)
        state = (progress.stage, None if fraction is None else int(100 * fraction))
        if state == self._last:
            return
        self._last = state
        facts = {"words": STAGE_WORDS.get(progress.stage, progress.stage)}
        self._write(json.dumps(to_jsonable(progress) | facts))


def describe_progress(progress: Progress) -> str:
    """Describe a report in words.

    Example:
        >>> describe_progress(Progress("render", 5, 10, fraction=0.4, seconds_left=75.0))
        'painting, 40 %, 1:15 left'
    """
    parts = [STAGE_WORDS.get(progress.stage, progress.stage)]
    fraction = _fraction_of(progress)
    if fraction is not None:
        parts.append(f"{100 * fraction:.0f} %")
    if progress.seconds_left is not None and progress.stage != DONE_STAGE:
        parts.append(f"{format_clock(progress.seconds_left)} left")
    return ", ".join(parts)


def format_clock(seconds: float) -> str:
    """Format a time as a player shows it.

    Example:
        >>> format_clock(75.2), format_clock(3725)
        ('1:15', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _fraction_of(progress: Progress) -> float | None:
    """Return the share of the job that is done, or that of the stage where the job's is unknown."""
    if progress.fraction is not None:
        return progress.fraction
    return min(1.0, progress.done / progress.total) if progress.total else None


@contextmanager
def _bar() -> Iterator[ProgressCallback]:
    """Draw one bar for the whole job."""
    # Imported here, because most commands draw no bars and rich takes long to import.
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.SpinnerColumn(finished_text=" "),
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.fields[percent]:>5}"),
        bars.TextColumn("{task.fields[left]}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as display:
        width = max(map(len, STAGE_WORDS.values()))
        # Without a total the bar moves to and fro, and so shows that the work goes on.
        words = f"{STAGE_WORDS[LOAD_STAGE]:<{width}}"
        task = display.add_task(words, total=None, percent="", left="")

        def update_bar(progress: Progress) -> None:
            fraction = _fraction_of(progress)
            left = progress.seconds_left
            display.update(
                task,
                description=f"{STAGE_WORDS.get(progress.stage, progress.stage):<{width}}",
                completed=fraction or 0.0,
                total=None if fraction is None else 1.0,
                percent="" if fraction is None else f"{100 * fraction:.0f} %",
                left=f"{format_clock(left)} left" if left else "",
            )

        yield update_bar
