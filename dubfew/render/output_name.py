"""Names of rendered files, and the check that nothing is replaced by them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from dubfew.errors import DubfewError
from dubfew.marks.sidecar import credentials_path
from dubfew.render.options import RenderOptions
from dubfew.utils.files import check_output_path, output_stem

# Containers of debug videos, which every player opens.
DEBUG_SUFFIXES = (".mp4", ".mov", ".mkv")
# Formats that matplotlib writes without another package.
PLOT_SUFFIXES = (".png", ".svg", ".pdf")
PAGE_SUFFIXES = (".html", ".htm")
# Last word of a name that would otherwise be the scene's own.
RENDERED_SUFFIX = "dubbed"
# End of the name of an output of which a passage was rendered anew.
REDO_SUFFIX = "-redo"
# End of the name of every preview.
PREVIEW_SUFFIX = "-preview"


def default_output(actor: str, scene: Path, sound: Path | None, driver: Path | None) -> Path:
    """Name the output of a render after scene, actor and sound, in the working directory.

    Args:
        actor: the actor's id; left out where the scene's file has that name already.
        scene: video to dub.
        sound: new speech; None, or ``scene`` itself, where the scene keeps its own.
        driver: video that drives the mouth, named in place of the sound; None without a driver.

    Returns:
        A file name such as ``scene-mary-german1.mp4``.
    """
    parts = [scene.stem]
    if scene.stem != actor:
        parts.append(actor)
    voice = driver or sound
    if voice is not None and voice != scene:
        parts.append(voice.stem)
    if len(parts) == 1:
        parts.append(RENDERED_SUFFIX)
    return Path(f"{output_stem(*parts)}.mp4")


def resolve_output(
    actor: str, options: RenderOptions, scene: Path, sound: Path | None, driver: Path | None
) -> Path:
    """Return the file that a render writes.

    A preview has a name of its own, so that it is never taken for the whole. An output with a new
    passage is named after the earlier one. Both are made again and again until a line is right, so
    a name that is taken gets a number, unless ``overwrite`` allows its replacement.

    Args:
        actor: the actor's id.
        options: options of the render.
        scene: video to dub.
        sound: new speech; None, or ``scene`` itself, where the scene keeps its own.
        driver: video that drives the mouth, or None.
    """
    if options.out is None and options.into is not None:
        into = Path(options.into)
        # One word, however many passages were rendered anew one after another.
        stem = re.sub(rf"{REDO_SUFFIX}(-\d+)?$", "", into.stem) + REDO_SUFFIX
        output = Path(into.with_stem(stem).name)
        is_input = output.absolute() == into.absolute()
        return _next_free_name(output, overwrite=options.overwrite and not is_input)
    if options.out is None:
        motion = None if options.motion is None else Path(options.motion)
        output = default_output(actor, scene, sound, driver or motion)
    else:
        output = Path(options.out)
    if options.preview and not output.stem.endswith(PREVIEW_SUFFIX):
        output = output.with_stem(output.stem + PREVIEW_SUFFIX)
        return _next_free_name(output, overwrite=options.overwrite)
    return output


def _next_free_name(path: Path, *, overwrite: bool) -> Path:
    """Return a path, with a number from 2 on at the end of its name where a file is there."""
    if overwrite:
        return path
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], numbered) if not each.exists())


def check_outputs(
    output: Path, plot: Path | None, options: RenderOptions, *inputs: Path | None
) -> None:
    """Check that every file of a render can be written and replaces nothing unasked.

    Args:
        output: video to write.
        plot: picture to write, or None.
        options: options of the render; ``overwrite`` allows replacement, ``report`` and ``debug``
            are further files to write.
        *inputs: files that the render reads; None is ignored.

    Raises:
        OutputExistsError: A file exists and may not be replaced.
        DubfewError: A file is an input, or cannot be written, or the plot, the report or the debug
            video has a wrong ending.
    """
    if plot is not None:
        check_plot_path(plot)
    report = None if options.report is None else Path(options.report)
    if report is not None and report.suffix.lower() not in PAGE_SUFFIXES:
        raise DubfewError(f"{report} is no page to report on: end its name in .html")
    debug = None if options.debug is None else Path(options.debug)
    if debug is not None and debug.suffix.lower() not in DEBUG_SUFFIXES:
        raise DubfewError(f"{debug} is no debug video: end its name in .mp4, .mov or .mkv")
    if debug is not None and debug.absolute() == output.absolute():
        raise DubfewError(f"{debug} is the output: give --debug another name")
    check_output_path(output, *inputs, overwrite=options.overwrite)
    # For most containers the credentials are in the video itself.
    beside = {credentials_path(output), *filter(None, (plot, report, debug))} - {output}
    for path in sorted(beside):
        check_output_path(path, *inputs, overwrite=options.overwrite)


def check_plot_path(path: Path) -> None:
    """Check that a file name ends in one of ``PLOT_SUFFIXES``.

    Raises:
        DubfewError: The ending is another one.
    """
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise DubfewError(f"{path} is no picture to plot into: end its name in .png, .svg or .pdf")
