"""Which frames of clips are left as they are, and why; who and how many shots are found in them.

    python -m benchmarks.visibility [CLIP ...] [--footage CLIPS] [--drawn] [--out FOLDER]

One row for each clip, all of the footage folder by default, and their sums: frames, people, shots,
share of frames with a face, share of usable ones, frames by reason, the worst turn, the largest
share of the mouth's region outside of the picture, and how far the head is from the detector's
landmarks. ``--drawn``: paper, a microphone, a hand and a pen are drawn before each mouth for 20
frames of each clip, and the detector sees them; how many of these frames are found, by the splits
of the footage. Thresholds were chosen on the split "train". Clips are looked at one by one, and
only their rows are kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import FOOTAGE, RESULTS, machine, machine_line, markdown_table, write_results
from benchmarks.occluders import OCCLUDERS, found_share
from dubfew.errors import DubfewError
from dubfew.reconstruction.crop import compute_track_regions
from dubfew.reconstruction.detection.clip_detections import ClipDetections, detect_people
from dubfew.reconstruction.fitting.track_quality import measure_stability
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import FLAG_DESCRIPTIONS
from dubfew.reconstruction.tracking import track_person
from dubfew.reconstruction.visibility.pose_and_border import (
    estimate_turn_angle,
    measure_outside_fraction,
)

COVERED_FRAMES = 20  # of each clip, for each of the things that are drawn
UNKNOWN = "other"  # split of clips that no manifest names

Row = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", nargs="*", type=Path, help="default: all of the footage folder")
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help="folder with manifest.json")
    parser.add_argument("--drawn", action="store_true", help="draw things before the mouths, too")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    options = parser.parse_args(arguments)
    splits = _splits(options.footage, needed=not options.clips)
    rows: list[Row] = []
    drawn: list[Row] = []
    failed: dict[str, str] = {}
    for clip in options.clips or [options.footage / name for name in splits]:
        print(f"{clip.name} ...", file=sys.stderr)
        split = splits.get(clip.name, UNKNOWN)
        try:
            seen = detect_people(clip)
            rows.append({"clip": clip.stem, "split": split, **measure_clip(clip, seen)})
            if options.drawn:
                drawn += [{"split": split, **row} for row in draw_before(clip, seen)]
        except DubfewError as error:
            failed[clip.name] = str(error)
    texts = ["# Visibility", machine_line(), clips_text(rows)]
    texts += [drawn_text(drawn)] if drawn else []
    texts += [f"Failed: {clip}: {reason}" for clip, reason in failed.items()]
    text = "\n\n".join(texts) + "\n"
    data = {"machine": machine(), "clips": rows, "drawn": drawn, "failed": failed}
    write_results(options.out, "visibility", text, data)
    print(text)
    return 1 if failed else 0


def measure_clip(clip: Path, seen: ClipDetections) -> Row:
    """The row of a clip: who is seen most is tracked.

    Raises:
        NoFaceError: nobody is seen.
    """
    head = load_head_model()
    track = track_person(clip, seen, None, head=head)
    valid = track.valid
    hull = compute_track_regions(track, head).hull
    found = measure_stability(track, head)
    return {
        "frames": len(track),
        "people": len(seen.people),
        "shots": int(track.shot[-1]) + 1,
        "valid": int(valid.sum()),
        "usable": int(track.usable.sum()),
        **{
            reason: int(((track.flags & bit) > 0).sum())
            for bit, reason in FLAG_DESCRIPTIONS.items()
        },
        "turn": float(np.rad2deg(estimate_turn_angle(track.landmarks[valid]).max())),
        "outside": 100
        * float(measure_outside_fraction(hull, (track.width, track.height))[valid].max()),
        "error": 100 * float(np.nanmean(found.error)),
    }


def clips_text(rows: list[Row]) -> str:
    """The table of clips as Markdown; its last row has sums, the worst cases and the mean error."""
    reasons = list(FLAG_DESCRIPTIONS.values())
    sums = ["frames", "people", "shots", "valid", "usable", *reasons]
    last: Row = {"clip": "**all**", "split": None} | {
        key: sum(r[key] for r in rows) for key in sums
    }
    last |= {key: max(row[key] for row in rows) for key in ("turn", "outside")}
    last["error"] = float(np.mean([row["error"] for row in rows]))
    lines = [
        [
            *(row[key] for key in ("clip", "split", "frames", "people", "shots")),
            f"{100 * row['valid'] / row['frames']:.1f}",
            f"{100 * row['usable'] / row['frames']:.1f}",
            *(row[reason] for reason in reasons),
            f"{row['turn']:.0f}",
            f"{row['outside']:.0f}",
            row["error"],
        ]
        for row in [*rows, last]
    ]
    headers = [
        "clip", "split", "frames", "people", "shots", "face in %", "usable %", *reasons,
        "turn, degrees", "outside %", "error %",
    ]  # fmt: skip
    return markdown_table(headers, lines)


def draw_before(clip: Path, seen: ClipDetections) -> list[Row]:
    """What is found of each thing before the mouth of who is seen most, in one stretch each."""
    person = seen.people[0]
    shots = seen.shots[person.frames]
    if (shots != shots[0]).any():
        return []  # where a stretch may lie in two shots, the two would be judged apart
    rows = []
    for kind in OCCLUDERS:
        rng = np.random.default_rng(zlib.crc32(f"{clip.name} {kind}".encode()))
        first = int(rng.integers(0, max(1, len(person.frames) - COVERED_FRAMES)))
        stop = min(len(person.frames), first + COVERED_FRAMES)
        lost, found, beside = found_share(clip, person, kind, first, stop, rng)
        rows.append(
            {"clip": clip.stem, "kind": kind, "frames": stop - first, "lost": lost, "found": found}
            | {"beside": beside}
        )
    return rows


def drawn_text(rows: list[Row]) -> str:
    """The table of what was drawn as Markdown, by splits and things."""
    lines: list[list[object]] = []
    for split in sorted({row["split"] for row in rows}):
        for kind in OCCLUDERS:
            of = [row for row in rows if (row["split"], row["kind"]) == (split, kind)]
            frames, lost, found, beside = (
                sum(row[key] for row in of) for key in ("frames", "lost", "found", "beside")
            )
            left = f"{100 * (lost + found) / frames:.0f}"
            lines.append([split, kind, len(of), frames, lost, found, left, beside])
    headers = [
        "split", "drawn", "clips", "covered frames", "no face found", "found covered",
        "left as they are %", "flagged beside them",
    ]  # fmt: skip
    return "## Drawn before the mouth\n\n" + markdown_table(headers, lines)


def _splits(footage: Path, *, needed: bool) -> dict[str, str]:
    manifest = footage / "manifest.json"
    if not manifest.exists():
        if needed:
            sys.exit(f"no {manifest}: name the clips, or give another --footage")
        return {}
    return {entry["file"]: entry["split"] for entry in json.loads(manifest.read_text())}


if __name__ == "__main__":
    sys.exit(main())
