"""Benchmark of tracking: accuracy, jitter, speed and memory of the default reconstruction.

    python -m benchmarks.track [CLIP ...] [--only PARTS] [--footage CLIPS] [--split NAME ...]
        [--out FOLDER]

``people``: synthetic people with known ground truth, tracked through the real detector.
``clips``: real clips, by default all of the footage folder. It measures the distance of the fitted
head from the detected landmarks, and the jitter of the lips while the head is still. It counts how
many fast closings of the lips are closed in the track as well, and how many bilabials of GRID
sentences (``grid_*``, whose names encode the words).
``speed``: frames per second and peak memory on a 1080p clip (``--fast CLIP``), and the time of each
step. Run this part on an idle machine; the load is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import FOOTAGE, RESULTS, machine, machine_line, write_results
from benchmarks.track_clips import format_clips, format_closings, measure_clip
from benchmarks.track_people import format_people, measure_people
from benchmarks.track_speed import format_speed, measure_speed
from dubfew.errors import DubfewError

PARTS = ("people", "clips", "speed")
# Clip of the footage folder with 1920 x 1080 px.
FAST_CLIP = "mead_M003_level_1_disgusted_015.mp4"


def main(arguments: list[str] | None = None) -> int:
    """Run the parts and write the tables; return 1 if a clip failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", nargs="*", type=Path, help="default: all of the footage folder")
    parser.add_argument("--only", default=",".join(PARTS), help="default %(default)s")
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help="folder with manifest.json")
    parser.add_argument("--split", nargs="+", help="only clips of these splits of the manifest")
    parser.add_argument("--fast", type=Path, help=f"1080p clip for speed; default {FAST_CLIP}")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    options = parser.parse_args(arguments)
    parts = [part for part in PARTS if part in options.only.split(",")]
    if not parts:
        parser.error(f"no part in {options.only!r}: choose among {', '.join(PARTS)}")
    texts, data = ["# Tracking", machine_line()], dict[str, Any](machine=machine())
    failed: dict[str, str] = {}
    if "people" in parts:
        people, focal = measure_people(options.out / "people")
        data |= {"people": people, "focal": focal}
        texts.append(format_people(people, focal))
    if "clips" in parts:
        rows, closings = [], {}
        # A clip that fails must not lose the results of the others.
        for clip in options.clips or _list_footage(options.footage, options.split):
            print(f"{clip.name} ...", file=sys.stderr)
            try:
                row, clip_closings = measure_clip(clip)
            except DubfewError as error:
                failed[clip.name] = str(error)
                continue
            rows.append(row)
            if clip_closings.fast:
                closings[clip.stem] = clip_closings
        data |= {"clips": rows, "closings": {name: vars(c) for name, c in closings.items()}}
        texts += [format_clips(rows), format_closings(closings)]
    if "speed" in parts:
        speed = measure_speed(options.fast or options.footage / FAST_CLIP)
        data["speed"] = speed
        texts.append(format_speed(speed))
    texts += [f"Failed: {clip}: {reason}" for clip, reason in failed.items()]
    text = "\n\n".join(texts) + "\n"
    write_results(options.out, "track", text, data | {"failed": failed})
    print(text)
    return 1 if failed else 0


def _list_footage(folder: Path, splits: list[str] | None) -> list[Path]:
    """List the clips of a footage folder by its manifest; of some splits, or of all."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        sys.exit(f"no {manifest}: name the clips on the command line, or give another --footage")
    return [
        folder / entry["file"]
        for entry in json.loads(manifest.read_text())
        if splits is None or entry["split"] in splits
    ]


if __name__ == "__main__":
    sys.exit(main())
