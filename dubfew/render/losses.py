"""Lines about what of a scene its render does not hold, read from the finished file."""

from __future__ import annotations

from pathlib import Path

from dubfew.media.facts import MediaFacts, StreamFacts, compare_facts, read_facts
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
    replaced = find_replaced_track(sources, before)
    seconds = None if after.video is None else after.video.duration
    lines = describe_conversions(before, seconds=seconds, replaced=replaced)
    lines += compare_facts(before, after)
    if replaced is not None and len(before.of_kind("audio")) > 1:
        lines.append(f"{replaced.describe()} made way for the new sound")
    return lines


def find_replaced_track(sources: RenderSources, scene: MediaFacts) -> StreamFacts | None:
    """Find the sound track of a scene that new sound takes the place of; None without one.

    Args:
        sources: files of the render.
        scene: what the scene holds.
    """
    tracks = scene.of_kind("audio")
    if sources.audio == sources.filmed or not tracks:
        return None
    return next(
        (each for each in tracks if each.number == sources.scene_track),
        next((each for each in tracks if each.is_default), tracks[0]),
    )
