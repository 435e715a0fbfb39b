"""Lines about what of a scene its render does not hold, read from the finished file."""

from __future__ import annotations

from pathlib import Path

from dubfew.media.audio import AudioReader
from dubfew.media.facts import compare_facts, read_facts
from dubfew.media.working_color import describe_working_color
from dubfew.render.sources import RenderSources

# Sound before the first frame that is shorter than this is an encoder's priming, s.
_MIN_LEAD_SECONDS = 0.1


def describe_losses(sources: RenderSources, output: Path) -> list[str]:
    """List what a scene holds and the output does not, one line each.

    Args:
        sources: files of the render.
        output: the finished video.

    Raises:
        MediaError: A file cannot be read.
    """
    before, after = read_facts(sources.scene), read_facts(output)
    lines = [describe_working_color(sources.scene_info.color), *compare_facts(before, after)]
    lines = [line for line in lines if line]
    tracks = before.of_kind("audio")
    if sources.audio != sources.filmed and len(tracks) > 1:
        replaced = next(
            (each for each in tracks if each.number == sources.scene_track),
            next((each for each in tracks if each.is_default), tracks[0]),
        )
        lines.append(f"{replaced.describe()} made way for the new sound")
    if sources.audio == sources.filmed and not sources.start:
        with AudioReader(sources.scene, sources.audio_track) as reader:
            if reader.offset < -_MIN_LEAD_SECONDS:
                lines.append(
                    f"the first {-reader.offset:.2f} s of the scene's sound lie before its first "
                    "frame and are cut"
                )
    return lines
