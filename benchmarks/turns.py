"""Quality against the turn of the head: Dubbing for Everyone's figure 10.

    python -m benchmarks.turns ORIGINAL OUTPUT [ORIGINAL OUTPUT ...] [--out FOLDER]

Each output is a render of its original with the original's own motion. The head's turn is its
yaw and pitch away from the camera, as tracked in the original. Frames that the output left as they
are, which large turns often are, are counted and not measured.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), appendix C.3.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmarks.common import RESULTS, machine_line, markdown_table, write_results
from dubfew.evaluate.face_geometry import clip_mouth_box
from dubfew.evaluate.metrics.psnr import psnr
from dubfew.media import read_frames
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video

# Edges of the bins, degrees. Frames beyond the last one form a bin of their own.
TURN_EDGES_DEGREES = (0, 10, 20, 30, 40)


def measure_turns(track: Track) -> NDArray[np.float64]:  # [N]
    """Measure the angle between the face's direction and the camera's, degrees."""
    forward = Rotation.from_rotvec(track.rotation.astype(np.float64)).apply([0.0, 0.0, 1.0])
    return np.degrees(np.arccos(np.clip(forward[:, 2], -1, 1)))


def bin_by_turn(
    turns: NDArray[np.float64],  # [N]
    values: NDArray[np.float64],  # [N]
) -> list[tuple[str, int, int, float | None]]:
    """Average values over frames of similar turns.

    Args:
        turns: angle of each frame, degrees. [N]
        values: quality of each frame; NaN where it was left as it is. [N]

    Returns:
        Name of the bin, frames in it, frames left as they are, and the mean of the others.
    """
    rows = []
    edges = [*TURN_EDGES_DEGREES, np.inf]
    for low, high in itertools.pairwise(edges):
        here = (turns >= low) & (turns < high)
        if not here.any():
            continue
        name = f"{low} to {high:g}" if np.isfinite(high) else f"{low} and more"
        left = int(np.isnan(values[here]).sum())
        found = values[here][~np.isnan(values[here])]
        rows.append((name, int(here.sum()), left, float(found.mean()) if len(found) else None))
    return rows


def measure_pair(original: Path, output: Path) -> tuple[NDArray, NDArray]:
    """Measure turn (degrees) and mouth PSNR (dB, NaN for untouched frames) of every frame."""
    track = track_video(original)
    turns, values = [], []
    pairs = zip(read_frames(original), read_frames(output), strict=False)
    angles = measure_turns(track)
    for row, (film, painted) in enumerate(pairs):
        if row >= len(track) or not track.valid[row]:
            continue
        box = clip_mouth_box(track.landmarks[row : row + 1], film.height, film.width)
        first, second = (
            frame.crop_rgb(box.left, box.top, box.right, box.bottom) for frame in (film, painted)
        )
        turns.append(angles[row])
        values.append(np.nan if (first == second).all() else psnr(first, second))
    return np.array(turns), np.array(values)


def draw_plot(path: Path, rows: Sequence[tuple[str, int, int, float | None]]) -> None:
    """Draw quality and the share of painted frames over the turn."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5, 3.2))
    names = [row[0] for row in rows]
    axis.plot(names, [np.nan if row[3] is None else row[3] for row in rows], marker="o")
    axis.set_xlabel("turn of the head, degrees")
    axis.set_ylabel("mouth PSNR, dB")
    other = axis.twinx()
    other.bar(names, [100 * (1 - row[2] / row[1]) for row in rows], alpha=0.2)
    other.set_ylabel("painted frames, %")
    other.set_ylim(0, 100)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all pairs together, and write table and plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path, help="originals and outputs by turns")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    if len(options.videos) % 2:
        parser.error("give an output for each original")
    measured = [
        measure_pair(original, output)
        for original, output in zip(options.videos[::2], options.videos[1::2], strict=True)
    ]
    turns, values = (np.concatenate(each) for each in zip(*measured, strict=True))
    rows = bin_by_turn(turns, values)
    table = markdown_table(
        ["turn, degrees", "frames", "left as they are", "mouth PSNR, dB"],
        [list(row) for row in rows],
    )
    text = machine_line() + "\n\n" + table
    write_results(options.out, "turns", text, {"rows": rows})
    draw_plot(options.out / "turns.png", rows)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
