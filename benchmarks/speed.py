"""Speed of ``render`` in frames per second, end to end and per stage.

    python -m benchmarks.speed [CLIP] [--drive self|audio] [--audio FILE] [--seconds S]

The total includes reading, tracking, painting, writing and muxing. The actor is adapted with zero
steps, because training changes the painted pixels but not the time that painting takes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import dubfew
from benchmarks.common import (
    clip_parser,
    machine,
    machine_line,
    markdown_table,
    show,
    write_results,
)
from benchmarks.footage import ADAPT_SECONDS, looped, write_frames
from dubfew.media import probe
from dubfew.registry import Registry


def stage_table(frames: int, seconds: Mapping[str, float]) -> str:
    """Format the time of every stage: seconds, milliseconds per frame, frames per second.

    Args:
        frames: number of frames.
        seconds: seconds by stage, with "total" among them. Stages that run at the same time add up
            to more than the total.
    """
    rows = [
        [stage, spent, 1000 * spent / frames, frames / spent if spent > 0 else None]
        for stage, spent in seconds.items()
        if stage != "total"
    ]
    total = seconds["total"]
    rows.append(["**total**", total, 1000 * total / frames, frames / total])
    return markdown_table(["stage", "s", "ms / frame", "fps"], rows)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = clip_parser(__doc__, "a talking person, 1080p for the quoted figure")
    parser.add_argument("--drive", choices=("self", "audio"), default="self")
    parser.add_argument("--audio", type=Path, help="for --drive audio; default: the clip's own")
    parser.add_argument("--seconds", type=int, help="loop or cut the clip to this length")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="dubfew-speed-") as name:
        folder = Path(name)
        clip = options.clip
        if options.seconds:
            clip = folder / "clip.mp4"
            write_frames(clip, options.clip, looped(options.clip, options.seconds), lossless=False)
        registry = Registry(folder / "home")
        # Another file than the scene, because render does not track the actor's own footage again.
        actor, warm = folder / "actor.mp4", folder / "warm.mp4"
        write_frames(actor, clip, looped(clip, ADAPT_SECONDS), lossless=False)
        adapted = dubfew.adapt(
            actor,
            actor="speed",
            prior=options.prior,
            steps=0,
            registry=registry,
            progress=show,
        )
        # A first render, because kernels and models are loaded once per process.
        dubfew.render("speed", video=actor, drive="self", out=warm, registry=registry)
        before = machine()
        result = dubfew.render(
            "speed",
            video=clip,
            audio=options.audio,
            drive=options.drive,
            out=folder / "out.mp4",
            registry=registry,
            progress=show,
        )
    info = probe(options.clip)
    text = "\n\n".join(
        [
            "# Speed of render",
            machine_line(),
            f"{options.clip.name}, {info.width} x {info.height}, {result.frames} frames, "
            f"{result.edited_frames} of them edited, drive {options.drive}; "
            f"peak {result.peak_rss_mb:.0f} MB.",
            stage_table(result.frames, result.seconds),
        ]
    )
    data = {
        "machine_before": before,
        "machine_after": machine(),
        "clip": options.clip.name,
        "size": [info.width, info.height],
        "frames": result.frames,
        "edited_frames": result.edited_frames,
        "render_seconds": dict(result.seconds),
        "adapt_seconds": dict(adapted.seconds),
        "peak_rss_mb": result.peak_rss_mb,
    }
    write_results(options.out, "speed", text + "\n", data)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
