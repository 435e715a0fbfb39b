"""Benchmark of visibility: frames that are left unchanged, by reason; people and shots.

    python -m benchmarks.visibility [CLIP ...] [--footage CLIPS] [--split NAME ...] [--drawn]
        [--out FOLDER]

The table has one row per clip (by default all of the footage folder) and their sums: frames,
people, shots, fractions of frames with a face and of usable frames, frames by reason, the largest
turn, the largest fraction of the mouth region outside of the frame, and the landmark error.
``--drawn``: paper, a microphone, a hand and a pen are drawn in front of each mouth in 20 frames of
each clip before detection. The second table has how many of these frames are found, by split of the
footage. The thresholds were chosen on the split "train".
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
from benchmarks.occluders import OCCLUDERS, count_found_frames
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

# Frames of each clip that each object covers.
NUM_COVERED_FRAMES = 20
# Split of clips that are not in a manifest.
UNKNOWN_SPLIT = "other"

Row = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Measure all clips and write the tables; return 1 if a clip failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", nargs="*", type=Path, help="default: all of the footage folder")
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help="folder with manifest.json")
    parser.add_argument("--split", nargs="+", help="only clips of these splits of the manifest")
    parser.add_argument("--drawn", action="store_true", help="also draw objects in front of mouths")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    options = parser.parse_args(arguments)
    splits = _read_splits(options.footage, needed=not options.clips)
    rows: list[Row] = []
    drawn: list[Row] = []
    failed: dict[str, str] = {}
    named = [
        options.footage / name
        for name, split in splits.items()
        if options.split is None or split in options.split
    ]
    for clip in options.clips or named:
        print(f"{clip.name} ...", file=sys.stderr)
        split = splits.get(clip.name, UNKNOWN_SPLIT)
        try:
            detections = detect_people(clip)
            rows.append({"clip": clip.stem, "split": split, **measure_clip(clip, detections)})
            if options.drawn:
                drawn += [{"split": split, **row} for row in measure_occluders(clip, detections)]
        except DubfewError as error:
            failed[clip.name] = str(error)
    texts = ["# Visibility", machine_line(), format_clips(rows)]
    texts += [format_occluders(drawn)] if drawn else []
    texts += [f"Failed: {clip}: {reason}" for clip, reason in failed.items()]
    text = "\n\n".join(texts) + "\n"
    data = {"machine": machine(), "clips": rows, "drawn": drawn, "failed": failed}
    write_results(options.out, "visibility", text, data)
    print(text)
    return 1 if failed else 0


def measure_clip(clip: Path, detections: ClipDetections) -> Row:
    """Track the most seen person of a clip and measure the row of the table.

    Raises:
        NoFaceError: The clip shows no face.
    """
    head = load_head_model()
    track = track_person(clip, detections, None, head=head)
    valid = track.valid
    hull = compute_track_regions(track, head).hull
    stability = measure_stability(track, head)
    return {
        "frames": len(track),
        "people": len(detections.people),
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
        "error": 100 * float(np.nanmean(stability.error)),
    }


def format_clips(rows: list[Row]) -> str:
    """Format the table of clips as Markdown; the last row has sums, worst cases, mean error."""
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


def measure_occluders(clip: Path, detections: ClipDetections) -> list[Row]:
    """Cover the mouth of the most seen person by each object, in one run of frames each."""
    person = detections.people[0]
    shots = detections.shots[person.frames]
    # Shots are compared separately, so that a run over two shots would be two tests.
    if (shots != shots[0]).any():
        return []
    rows = []
    for kind in OCCLUDERS:
        rng = np.random.default_rng(zlib.crc32(f"{clip.name} {kind}".encode()))
        first = int(rng.integers(0, max(1, len(person.frames) - NUM_COVERED_FRAMES)))
        stop = min(len(person.frames), first + NUM_COVERED_FRAMES)
        lost, found, beside = count_found_frames(clip, person, kind, first, stop, rng)
        rows.append(
            {"clip": clip.stem, "kind": kind, "frames": stop - first, "lost": lost, "found": found}
            | {"beside": beside}
        )
    return rows


def format_occluders(rows: list[Row]) -> str:
    """Format the table of covered frames as Markdown, by split and object."""
    lines: list[list[object]] = []
    for split in sorted({row["split"] for row in rows}):
        for kind in OCCLUDERS:
            own_rows = [row for row in rows if (row["split"], row["kind"]) == (split, kind)]
            frames, lost, found, beside = (
                sum(row[key] for row in own_rows) for key in ("frames", "lost", "found", "beside")
            )
            left = f"{100 * (lost + found) / frames:.0f}"
            lines.append([split, kind, len(own_rows), frames, lost, found, left, beside])
    headers = [
        "split", "drawn", "clips", "covered frames", "no face found", "found covered",
        "left as they are %", "flagged beside them",
    ]  # fmt: skip
    return "## Drawn before the mouth\n\n" + markdown_table(headers, lines)


def _read_splits(footage: Path, *, needed: bool) -> dict[str, str]:
    """Read the split of every clip from a footage folder's manifest."""
    manifest = footage / "manifest.json"
    if not manifest.exists():
        if needed:
            sys.exit(f"no {manifest}: name the clips, or give another --footage")
        return {}
    return {entry["file"]: entry["split"] for entry in json.loads(manifest.read_text())}


if __name__ == "__main__":
    sys.exit(main())
