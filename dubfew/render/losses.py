"""Lines about what of a scene its render does not hold, read from the finished file."""

from __future__ import annotations

from pathlib import Path

from dubfew.media.facts import compare_facts, read_facts
from dubfew.media.forecast import describe_conversions
from dubfew.render.sources import RenderSources


def describe_losses(sources: RenderSources, output: Path) -> list[str]:
    """List what a scene holds and the output does not, one line each.

    Args:
        sources: files of the render.
        output: the finished video.

    Raises:
        MediaError: A file cannot be read.
    """
    before, after = read_facts(sources.scene, fields=True), read_facts(output)
    # A preview is an excerpt; its sound begins in the middle of the scene's.
    lines = [*describe_conversions(before), *compare_facts(before, after)]
    tracks = before.of_kind("audio")
    if sources.audio != sources.filmed and len(tracks) > 1:
        replaced = next(
            (each for each in tracks if each.number == sources.scene_track),
            next((each for each in tracks if each.is_default), tracks[0]),
        )
        lines.append(f"{replaced.describe()} made way for the new sound")
    return lines
