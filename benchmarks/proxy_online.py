"""Proxy and online: one edited motion on a scene in several sizes, and where the lips lie in each.

    python -m benchmarks.proxy_online SCENE SOUND --actor ID

The scene is scaled to 540, 1080 and 2160 px (its shorter side), so that the largest is enlarged
where the scene is smaller. The motion is predicted from the sound and edited: offset, scale, hold.
Then the lips of the driven mesh are compared with those of the smallest size, frame by frame, in
parts of the distance between the outer eye corners: once with a track of each size's own, once with
``--proxy``. With ``--render`` the sizes are also rendered with ``--proxy``, and a face detector
looks at the outputs; how much it differs between sizes of the filmed scene is its own error.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import dubfew
from benchmarks.common import RESULTS, machine_line, markdown_table
from dubfew.media import Frame, VideoWriter, probe, read_frames
from dubfew.progress import no_progress
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.heads.landmark_indices import (
    EYE_CORNERS,
    INNER_LIPS,
    MOUTH_POINTS,
    OUTER_LIPS,
)
from dubfew.references.track_geometry import compute_track_geometry
from dubfew.registry import Registry
from dubfew.render.actor_matching import FaceChoice
from dubfew.render.job import prepare_job
from dubfew.render.options import RenderOptions
from dubfew.render.scene import drive_scene, track_scene
from dubfew.takes.edits import MotionEdit

# Shorter sides of the sizes, px; the first is the proxy.
SIZES = (540, 1080, 2160)
LIPS = OUTER_LIPS + INNER_LIPS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("sound", type=Path)
    parser.add_argument("--actor", required=True)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "proxy_online")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    scenes = {size: given.out / f"scene-{size}.mov" for size in SIZES}
    for size, path in scenes.items():
        if not path.exists():
            _scale(given.scene, path, size, given.frames)
    take = dubfew.record_motion(given.sound)
    for edit in (
        MotionEdit("offset", 0.04),
        MotionEdit("scale", 1.3, 0.4, 1.0),
        MotionEdit("hold", None, 1.2, 1.5),
    ):
        take = take.edit(edit)
    motion = given.out / "line.motion"
    take.save(motion)
    rows = []
    proxy = scenes[SIZES[0]]
    wanted, unit = _place_lips(given.actor, proxy, None, motion)
    for size in SIZES[1:]:
        for name, other in (("its own", None), ("--proxy", proxy)):
            found, _ = _place_lips(given.actor, scenes[size], other, motion)
            rows.append([f"{size} px, track {name}", *_describe(wanted, found, unit)])
    if given.render:
        rows += _compare_renders(given, scenes, motion)
    print(machine_line())
    print(markdown_table(["lips against 540 px, % of the eyes' distance", "mean", "p95"], rows))


def _compare_renders(
    given: argparse.Namespace, scenes: dict[int, Path], motion: Path
) -> Iterator[list[str]]:
    """Render every size, and compare what a detector sees in them."""
    filmed, made = {}, {}
    for size, scene in scenes.items():
        out = given.out / f"dub-{size}.mov"
        dubfew.render(
            given.actor,
            video=scene,
            proxy=None if size == SIZES[0] else scenes[SIZES[0]],
            audio=given.sound,
            motion=motion,
            out=out,
            fit="trim",
            overwrite=True,
        )
        filmed[size], made[size] = _detect(scene), _detect(out)
    for name, seen in (("filmed scene, detected", filmed), ("render, detected", made)):
        first = seen[SIZES[0]]
        unit = np.linalg.norm(first[:, EYE_CORNERS[0]] - first[:, EYE_CORNERS[1]], axis=1)
        for size in SIZES[1:]:
            yield [f"{size} px, {name}", *_describe(first[:, LIPS], seen[size][:, LIPS], unit)]


def _scale(scene: Path, out: Path, size: int, frames: int) -> None:
    """Write the first frames of a scene in another size."""
    info = probe(scene)
    factor = size / min(info.width, info.height)
    width, height = (round(side * factor / 2) * 2 for side in (info.width, info.height))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    with VideoWriter(
        out, replace(info, width=width, height=height), crf=12, preset="ultrafast"
    ) as writer:
        for frame in read_frames(scene, stop=frames):
            rgb = frame.to_rgb()
            if factor != 1:
                rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=method), np.uint8)
            writer.write(Frame.from_rgb(rgb, frame.index, info.fps, color=frame.color))


def _place_lips(
    actor: str, scene: Path, proxy: Path | None, motion: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the driven lips [N, P, 2] and the eyes' distance [N], in widths of the picture."""
    options = RenderOptions(
        video=scene, proxy=proxy, motion=motion, fit="trim", out="unused.mp4", overwrite=True
    )
    job = prepare_job(actor, options, Registry())
    choice = FaceChoice(job.actor.revision.actor, None, False, proxy)
    track, _ = track_scene(scene, job.actor, choice, job.parser, no_progress)
    driven = drive_scene(job, track, no_progress)
    head = job.actor.head
    geometry = compute_track_geometry(driven.track, head)
    matrix = head.point_matrix((*MOUTH_POINTS, *EYE_CORNERS))
    points = np.array([matrix @ each for each in geometry.vertices[..., :2]]) / driven.track.width
    rows = [MOUTH_POINTS.index(point) for point in LIPS]
    return points[:, rows], np.linalg.norm(points[:, -1] - points[:, -2], axis=1)


def _detect(path: Path) -> NDArray[np.float64]:
    """Detect landmarks in every frame, in widths of the picture. [N, 478, 2]"""
    found = []
    with FaceLandmarker(use_tracking=False) as landmarker:
        for frame in read_frames(path):
            faces = landmarker.detect_all(frame.to_rgb())
            blank = np.full((478, 2), np.nan)
            found.append(faces[0][:, :2] / frame.width if faces else blank)
    return np.array(found, np.float64)


def _describe(first: NDArray, second: NDArray, unit: NDArray) -> list[str]:
    """Describe distances of points [N, P, 2] in parts of a unit [N], in per cent."""
    count = min(len(first), len(second))
    found = np.linalg.norm(first[:count] - second[:count], axis=-1) / unit[:count, None] * 100
    return [f"{np.nanmean(found):.3f}", f"{np.nanquantile(found, 0.95):.3f}"]


if __name__ == "__main__":
    main()
