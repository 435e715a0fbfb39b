"""Learn an actor from one clip, then dub another clip with new speech.

    python examples/dub_clip.py mary.mp4 scene.mp4 dub.wav out.mp4

The actor is stored in the registry under the name of the first clip. Later renders reuse them:
`dubfew.render("mary", ...)`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import dubfew
from dubfew.errors import DubfewError
from dubfew.progress import Progress


def main(arguments: list[str] | None = None) -> int:
    """Run the example; returns its exit code."""
    parser = argparse.ArgumentParser(description="Learn an actor and dub a scene.")
    parser.add_argument("footage", type=Path, help="a few seconds of the actor talking")
    parser.add_argument("scene", type=Path, help="footage of the actor to dub")
    parser.add_argument("sound", type=Path, help="new speech")
    parser.add_argument("output", type=Path, help="video to write")
    parser.add_argument("--prior", help="name or folder of a prior; default: the one that ships")
    parser.add_argument("--steps", type=int, help="training steps at most")
    parsed = parser.parse_args(arguments)
    try:
        adapted = dubfew.adapt(
            parsed.footage, prior=parsed.prior, steps=parsed.steps, progress=print_progress
        )
        rendered = dubfew.render(
            adapted.actor,
            video=parsed.scene,
            audio=parsed.sound,
            out=parsed.output,
            progress=print_progress,
        )
    except DubfewError as error:  # its message is one line with the remedy
        print(error, file=sys.stderr)
        return 1
    print(f"{rendered.output}: {rendered.edited_frames} of {rendered.frames} frames dubbed")
    if rendered.note:
        print(rendered.note)
    return 0


def print_progress(progress: Progress) -> None:
    """Print one progress report; a program with a window would move a bar here."""
    end = "\n" if progress.done == progress.total else "\r"
    print(f"{progress.stage} {progress.done}/{progress.total or '?'}", end=end, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
