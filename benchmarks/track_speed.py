"""Tracking benchmark: speed, time of each step, and memory by length of the clip."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.common import markdown_table
from benchmarks.footage import looped, write_frames
from benchmarks.memory import run_fresh
from dubfew.media import probe

# Lengths of the timed clips: the clip is looped to 10 s and to 40 s.
LENGTH_FACTORS = (1, 4)
BASE_SECONDS = 10
# Frames whose steps are timed one by one.
NUM_STEP_FRAMES = 100

# Runs in a new process. The first track loads models and compiled code, the second one is timed.
# On Linux ru_maxrss starts with the peak of the parent process and VmHWM does not; elsewhere
# ru_maxrss is in bytes.
TRACK_PROGRAM = """
import json, os, resource, sys, time
from pathlib import Path
from dubfew.reconstruction.tracking import track_video
def peak_mb():
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
warm, clip = sys.argv[1:]
track_video(warm)
before, cpu = time.perf_counter(), time.process_time()
track = track_video(clip)
wall, cpu = time.perf_counter() - before, time.process_time() - cpu
print(json.dumps({"frames": len(track), "wall": wall, "cpu": cpu, "peak_mb": peak_mb(),
                  "load": os.getloadavg()[0]}))
"""

# The same work one step at a time: milliseconds of processor time and of clock time.
STEPS_PROGRAM = """
import json, os, sys, time
from fractions import Fraction
import numpy as np
from dubfew.media import probe, read_frames
from dubfew.reconstruction.detection.multi_face_landmarker import MultiFaceLandmarker
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Camera
from dubfew.reconstruction.tracking import fit_track
clip, count = sys.argv[1], int(sys.argv[2])
spent, found, times = {}, [], []
def timed(stage, work):
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    old = spent.setdefault(stage, [0.0, 0.0])
    old[0] += time.process_time() - cpu
    old[1] += time.perf_counter() - wall
    return result
frames = read_frames(clip, stop=count)
with MultiFaceLandmarker() as landmarker:
    landmarker(next(read_frames(clip)).to_rgb(fast=True), True)
    while (frame := timed("decode", lambda: next(frames, None))) is not None:
        rgb = timed("to RGB", lambda: frame.to_rgb(fast=True))
        marks = timed("detect", lambda: landmarker(rgb, False))
        if marks:
            found.append(marks[0])
            times.append(frame.time)
info = probe(clip)
head, size = load_head_model(), (info.width, info.height)
fit = lambda: fit_track(np.stack(found), np.array(times), head,
                        Camera(1.5 * max(size), size[0] / 2, size[1] / 2),
                        fps=info.fps, frame_size=size, source=clip, sha256="")
fit()
timed("fit", fit)
print(json.dumps({stage: [1000 * s / len(found) for s in pair] for stage, pair in spent.items()}))
"""


def measure_speed(clip: Path) -> dict[str, object]:
    """Measure one clip, looped to each length."""
    info = probe(clip)
    runs = {}
    with tempfile.TemporaryDirectory(prefix="dubfew-track-") as name:
        folder = Path(name)
        warm = folder / "warm.mp4"
        write_frames(warm, clip, looped(clip, 1), lossless=False)
        for factor in LENGTH_FACTORS:
            path = folder / f"{factor}.mp4"
            write_frames(path, clip, looped(clip, factor * BASE_SECONDS), lossless=False)
            runs[factor] = run_fresh(TRACK_PROGRAM, str(warm), str(path))
        stages = run_fresh(
            STEPS_PROGRAM, str(folder / f"{LENGTH_FACTORS[0]}.mp4"), str(NUM_STEP_FRAMES)
        )
    return {
        "clip": clip.name,
        "size": [info.width, info.height],
        "runs": runs,
        "stages": stages,
    }


def format_speed(found: dict) -> str:
    """Format both tables as Markdown."""
    rows = [
        [
            f"{factor * BASE_SECONDS} s",
            int(run["frames"]),
            run["frames"] / run["wall"],
            1000 * run["cpu"] / run["frames"],
            run["peak_mb"],
            run["load"],
        ]
        for factor, run in found["runs"].items()
    ]
    first, last = found["runs"][LENGTH_FACTORS[0]], found["runs"][LENGTH_FACTORS[-1]]
    growth = 1024 * (last["peak_mb"] - first["peak_mb"]) / (last["frames"] - first["frames"])
    total = sum(cpu for cpu, _ in found["stages"].values())
    stages = [
        [stage, cpu, wall, f"{100 * cpu / total:.0f}"]
        for stage, (cpu, wall) in found["stages"].items()
    ]
    return "\n\n".join(
        [
            "## Speed and memory",
            f"{found['clip']}, {found['size'][0]} x {found['size'][1]}, end to end:",
            markdown_table(
                ["clip", "frames", "fps", "processor ms a frame", "peak MB", "load"], rows
            ),
            f"Memory grows by {growth:.1f} kB a frame.",
            f"Each step of {NUM_STEP_FRAMES} frames. Processor time of all threads, so that "
            "decoding ahead counts for the step in which it happens:",
            markdown_table(["stage", "processor ms", "clock ms", "share %"], stages),
        ]
    )
