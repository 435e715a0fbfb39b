"""Benchmark of the photometric fit against the landmark fit: errors and time.

    python -m benchmarks.photometric [CLIP ...] [--people N] [--out FOLDER]

Synthetic people with known ground truth are rendered with light and words of their own and tracked
through the real detector. Real clips have no ground truth: for them it measures the error of
colors, the distance of the head from the detected landmarks, and the jitter of its lips. Albedo and
light are estimated in the same way for both tracks, and the error of colors is taken in other
frames.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS, machine, machine_line, markdown_table, write_results
from benchmarks.track_people import (
    CAST,
    CLIP_SECONDS,
    CLIP_SIZE_PX,
    COLUMNS,
    CastMember,
    compare_with_truth,
)
from dubfew.reconstruction.fitting.photometric import fit_photometric
from dubfew.reconstruction.fitting.photometric.measure import measure_photometric_error
from dubfew.reconstruction.fitting.track_quality import measure_stability
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.synthetic import SyntheticPerson, write_clip

# Headers of the tables of synthetic people and of real clips.
PEOPLE_HEADERS = ["", "fit", *COLUMNS, "colour %", "focal / true", "frames/s"]
CLIP_HEADERS = [
    "clip", "fit", "colour %", "error px", "error %", "jitter %", "detector's %", "focal / side",
    "frames/s",
]  # fmt: skip


@dataclass(frozen=True)
class FitPair:
    """Both fits of a clip.

    Attributes:
        landmarks: landmark fit.
        photometric: photometric fit, which starts from the landmark fit.
        seconds: processor time of the photometric fit, s.
    """

    landmarks: Track
    photometric: Track
    seconds: float


def fit_both(video: Path, track: Track) -> FitPair:
    """Run the photometric fit of a clip from its landmark fit."""
    start = time.process_time()
    fit = fit_photometric(video, track)
    return FitPair(track, fit, time.process_time() - start)


def measure_person(member: CastMember, folder: Path, frames: int) -> list[list[object]]:
    """Measure a synthetic person; return the rows of the landmark and the photometric fit."""
    head = load_head_model()
    video = folder / f"person-{member.seed}.mp4"
    if not video.with_suffix(".track").exists():
        write_clip(
            SyntheticPerson(member.seed), video, seconds=CLIP_SECONDS, size=CLIP_SIZE_PX,
            seed=member.seed, head_turn=member.turn,
        )  # fmt: skip
    truth = Track.load(video.with_suffix(".track")).select(slice(frames))
    pair = fit_both(video, track_video(video, stop=frames))
    rows: list[list[object]] = []
    for track in (pair.landmarks, pair.photometric):
        errors = vars(compare_with_truth(track, truth, head)).values()
        color_error = 100 * measure_photometric_error(video, track)
        focal_ratio = track.camera.focal / truth.camera.focal
        rows.append([member.label, track.method, *errors, color_error, focal_ratio])
    rows[1].append(len(truth) / pair.seconds)
    rows[0].append(None)
    return rows


def measure_clip(video: Path, frames: int) -> list[list[object]]:
    """Measure a real clip; return the rows of the landmark and the photometric fit."""
    head = load_head_model()
    pair = fit_both(video, track_video(video, stop=frames))
    rows: list[list[object]] = []
    for track in (pair.landmarks, pair.photometric):
        stability = measure_stability(track, head)
        still = stability.is_still & np.isfinite(stability.jitter)
        rows.append(
            [
                video.stem,
                track.method,
                100 * measure_photometric_error(video, track),
                float(np.nanmean(stability.error_px)),
                100 * float(np.nanmean(stability.error)),
                100 * float(stability.jitter[still].mean()) if still.any() else None,
                100 * float(stability.detector_jitter[still].mean()) if still.any() else None,
                track.camera.focal / max(track.width, track.height),
            ]
        )
    rows[1].append(len(pair.landmarks) / pair.seconds)
    rows[0].append(None)
    return rows


def append_means(rows: list[list[object]]) -> list[list[object]]:
    """Append a row of means for each method."""
    result = list(rows)
    for method in ("landmarks", "photometric"):
        values = [row for row in rows if row[1] == method]
        columns = [
            [v for v in c if isinstance(v, float)] for c in list(zip(*values, strict=True))[2:]
        ]
        means = [float(np.mean(column)) if column else None for column in columns]
        result.append(["**mean**", method, *means])
    return result


def _write(out: Path, people: list[list[object]], clips: list[list[object]]) -> None:
    """Write the results so far, because every clip takes a minute."""
    texts = ["# Photometric fit", machine_line()]
    for title, headers, rows in (
        ("Synthetic people", PEOPLE_HEADERS, people),
        ("Real clips", CLIP_HEADERS, clips),
    ):
        if rows:
            texts += [f"## {title}", markdown_table(headers, append_means(rows))]
    data = {"machine": machine(), "people": people, "clips": clips}
    write_results(out, "photometric", "\n\n".join(texts), data)


def main(arguments: list[str] | None = None) -> int:
    """Measure people and clips, and write the tables after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", nargs="*", type=Path, help="real clips")
    parser.add_argument("--people", type=int, default=len(CAST), help="default %(default)s")
    parser.add_argument(
        "--frames", type=int, default=100, help="frames of each; default %(default)s"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    options = parser.parse_args(arguments)
    folder = options.out / "people"
    folder.mkdir(parents=True, exist_ok=True)
    people: list[list[object]] = []
    clips: list[list[object]] = []
    for member in CAST[: options.people]:
        print(f"{member.label} ...", file=sys.stderr)
        people += measure_person(member, folder, options.frames)
        _write(options.out, people, clips)
    for clip in options.clips:
        print(f"{clip.name} ...", file=sys.stderr)
        clips += measure_clip(clip, options.frames)
        _write(options.out, people, clips)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
