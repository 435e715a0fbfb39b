"""How true, how steady and how fast the default reconstruction is.

    python -m benchmarks.track [CLIP ...] [--only PARTS] [--footage CLIPS] [--out FOLDER]

``people``: synthetic people, whose truth is known, seen by the real detector. ``clips``: real
clips, all of the footage folder by default: how far the fitted head is from the detector's
landmarks, and how the lips jitter while the head is still, track and detector; then whether lips
that close quickly, and those of the bilabials of GRID sentences (``grid_*``, whose names say the
words), close in the track as well. ``speed``: frames per second and peak memory on a 1080p clip
(``--fast CLIP``), and what each stage takes. Run that part on a quiet machine: the load is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import FOOTAGE, RESULTS, machine, machine_line, write_results
from benchmarks.track_clips import clips_text, closings_text, measure_clip
from benchmarks.track_people import measure_people, people_text
from benchmarks.track_speed import measure_speed, speed_text
from dubfew.errors import DubfewError

PARTS = ("people", "clips", "speed")
FAST = "mead_M003_level_1_disgusted_015.mp4"  # 1920 x 1080


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", nargs="*", type=Path, help="default: all of the footage folder")
    parser.add_argument("--only", default=",".join(PARTS), help="default %(default)s")
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help="folder with manifest.json")
    parser.add_argument("--fast", type=Path, help=f"1080p clip for speed; default {FAST}")
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
        texts.append(people_text(people, focal))
    if "clips" in parts:
        rows, closings = [], {}
        for clip in options.clips or _footage(options.footage):
            print(f"{clip.name} ...", file=sys.stderr)
            try:
                row, found = measure_clip(clip)
            except DubfewError as error:
                failed[clip.name] = str(error)
                continue
            rows.append(row)
            if found.fast:
                closings[clip.stem] = found
        data |= {"clips": rows, "closings": {name: vars(c) for name, c in closings.items()}}
        texts += [clips_text(rows), closings_text(closings)]
    if "speed" in parts:
        speed = measure_speed(options.fast or options.footage / FAST)
        data["speed"] = speed
        texts.append(speed_text(speed))
    texts += [f"Failed: {clip}: {reason}" for clip, reason in failed.items()]
    text = "\n\n".join(texts) + "\n"
    write_results(options.out, "track", text, data | {"failed": failed})
    print(text)
    return 1 if failed else 0


def _footage(folder: Path) -> list[Path]:
    manifest = folder / "manifest.json"
    if not manifest.exists():
        sys.exit(f"no {manifest}: name the clips on the command line, or give another --footage")
    return [folder / entry["file"] for entry in json.loads(manifest.read_text())]


if __name__ == "__main__":
    sys.exit(main())
