"""Learn an actor from one clip, then let them say something else in another.

    python examples/dub_clip.py mary.mp4 scene.mp4 dub.wav out.mp4

The actor stays in the registry under the first clip's name and need not be learned again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import dubfew
from dubfew.errors import DubfewError
from dubfew.progress import Progress


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Learn an actor and dub a scene.")
    parser.add_argument("footage", type=Path, help="a few seconds of the actor talking")
    parser.add_argument("scene", type=Path, help="where their mouth is to move")
    parser.add_argument("sound", type=Path, help="what they are to say")
    parser.add_argument("output", type=Path, help="the video to write")
    parser.add_argument("--prior", help="what to start from; default: the prior that ships")
    parser.add_argument("--steps", type=int, help="at most so many steps of training")
    given = parser.parse_args(arguments)
    try:
        learned = dubfew.adapt(given.footage, prior=given.prior, steps=given.steps, progress=tell)
        made = dubfew.render(
            learned.actor,
            video=given.scene,
            audio=given.sound,
            out=given.output,
            progress=tell,
        )
    except DubfewError as error:  # says in one line what was found and what to do
        print(error, file=sys.stderr)
        return 1
    print(f"{made.output}: {made.edited_frames} of {made.frames} frames dubbed")
    if made.note:
        print(made.note)
    return 0


def tell(progress: Progress) -> None:
    """Every stage reports like this; a studio would move its own bar here."""
    end = "\n" if progress.done == progress.total else "\r"
    print(f"{progress.stage} {progress.done}/{progress.total or '?'}", end=end, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
