"""How many frames per second ``render`` makes, end to end and per stage.

    python -m benchmarks.speed [CLIP] [--drive self|audio] [--audio FILE] [--seconds S]

Reading, tracking, painting, writing and muxing are all inside the total. Adapts with zero steps:
training changes what is painted, not how long painting takes.
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
    """Seconds, milliseconds a frame and frames per second of every stage and the total.

    Stages that run at the same time add up to more than the total.
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
        # Another file than the scene: render does not track again what it was adapted on.
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
        # Compiled kernels and model files are loaded once per process, not once per frame.
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
