"""What the photometric fit makes better than the landmark fit, and what it costs.

    python -m benchmarks.photometric [CLIP ...] [--people N] [--out FOLDER]

Synthetic people, whose truth is known, are filmed with light and words of their own and tracked
through the real detector; real clips have no truth, so how well the head explains their pictures
is compared, how far it is from the detector's landmarks, and how its lips jitter. Albedo and
light are estimated for each of both tracks in the same way, and the difference of colour is taken
in frames that they were not estimated from.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS, machine, machine_line, markdown_table, write_results
from benchmarks.track_people import CAST, COLUMNS, SECONDS, SIZE, Cast, compare
from dubfew.reconstruction.fitting.photometric import fit_photometric
from dubfew.reconstruction.fitting.photometric.measure import measure_photometric_error
from dubfew.reconstruction.fitting.track_quality import measure_stability
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.synthetic import SyntheticPerson, write_clip

PEOPLE_HEADERS = ["", "fit", *COLUMNS, "colour %", "focal / true", "frames/s"]
CLIP_HEADERS = [
    "clip", "fit", "colour %", "error px", "error %", "jitter %", "detector's %", "focal / side",
    "frames/s",
]  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A clip tracked both ways.

    Attributes:
        landmarks: the landmark fit.
        photometric: carried on from it.
        seconds: that this took, of the processor.
    """

    landmarks: Track
    photometric: Track
    seconds: float


def carried_on(video: Path, track: Track) -> Pair:
    """Fit a clip's pictures, beginning with its landmark fit."""
    start = time.process_time()
    fit = fit_photometric(video, track)
    return Pair(track, fit, time.process_time() - start)


def person_rows(cast: Cast, folder: Path, frames: int) -> list[list[object]]:
    """Two rows of the table of people: landmark fit and photometric fit."""
    head = load_head_model()
    video = folder / f"person-{cast.seed}.mp4"
    if not video.with_suffix(".track").exists():
        write_clip(
            SyntheticPerson(cast.seed), video, seconds=SECONDS, size=SIZE, seed=cast.seed,
            head_turn=cast.turn,
        )  # fmt: skip
    truth = Track.load(video.with_suffix(".track")).select(slice(frames))
    pair = carried_on(video, track_video(video, stop=frames))
    rows: list[list[object]] = []
    for found in (pair.landmarks, pair.photometric):
        colour = 100 * measure_photometric_error(video, found)
        ratio = found.camera.focal / truth.camera.focal
        rows.append(
            [cast.label, found.method, *vars(compare(found, truth, head)).values(), colour, ratio]
        )
    rows[1].append(len(truth) / pair.seconds)
    rows[0].append(None)
    return rows


def clip_rows(video: Path, frames: int) -> list[list[object]]:
    """Two rows of the table of real clips."""
    head = load_head_model()
    pair = carried_on(video, track_video(video, stop=frames))
    rows: list[list[object]] = []
    for found in (pair.landmarks, pair.photometric):
        figures = measure_stability(found, head)
        still = figures.is_still & np.isfinite(figures.jitter)
        rows.append(
            [
                video.stem,
                found.method,
                100 * measure_photometric_error(video, found),
                float(np.nanmean(figures.error_px)),
                100 * float(np.nanmean(figures.error)),
                100 * float(figures.jitter[still].mean()) if still.any() else None,
                100 * float(figures.detector_jitter[still].mean()) if still.any() else None,
                found.camera.focal / max(found.width, found.height),
            ]
        )
    rows[1].append(len(pair.landmarks) / pair.seconds)
    rows[0].append(None)
    return rows


def with_means(rows: list[list[object]]) -> list[list[object]]:
    """The rows, then the mean of each method."""
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
    """What there is so far: one clip takes a minute."""
    texts = ["# Photometric fit", machine_line()]
    for title, headers, rows in (
        ("Synthetic people", PEOPLE_HEADERS, people),
        ("Real clips", CLIP_HEADERS, clips),
    ):
        if rows:
            texts += [f"## {title}", markdown_table(headers, with_means(rows))]
    data = {"machine": machine(), "people": people, "clips": clips}
    write_results(out, "photometric", "\n\n".join(texts), data)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", nargs="*", type=Path, help="real clips")
    parser.add_argument("--people", type=int, default=len(CAST), help="default %(default)s")
    parser.add_argument("--frames", type=int, default=100, help="of each; default %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    options = parser.parse_args(arguments)
    folder = options.out / "people"
    folder.mkdir(parents=True, exist_ok=True)
    people: list[list[object]] = []
    clips: list[list[object]] = []
    for cast in CAST[: options.people]:
        print(f"{cast.label} ...", file=sys.stderr)
        people += person_rows(cast, folder, options.frames)
        _write(options.out, people, clips)
    for clip in options.clips:
        print(f"{clip.name} ...", file=sys.stderr)
        clips += clip_rows(clip, options.frames)
        _write(options.out, people, clips)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
