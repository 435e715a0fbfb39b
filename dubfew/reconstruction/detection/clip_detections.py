"""The one pass through a clip's pictures: shots, faces and their landmarks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import NoFaceError
from dubfew.media import probe, read_frames
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.face_tracker import FaceTracker
from dubfew.reconstruction.detection.multi_face_landmarker import MultiFaceLandmarker
from dubfew.reconstruction.detection.people import (
    DetectedPerson,
    cluster_tracklets,
    find_frame_runs,
)
from dubfew.reconstruction.detection.shots import ShotDetector, number_shots, sample_luma_grid
from dubfew.utils.prefetch import prefetch


@dataclass(frozen=True)
class ClipDetections:
    """What the pictures of a clip show, N frames.

    Attributes:
        times: of the frames, s. [N]
        frame_size: width and height, px.
        shots: number of each frame's shot. [N]
        people: who is seen most first.
    """

    times: NDArray[np.float64]
    frame_size: tuple[int, int]
    shots: NDArray[np.int32]
    people: list[DetectedPerson]

    def summary(self) -> list[dict[str, Any]]:
        """Who is seen in which frames, and where: for people to read and programs to use."""
        return [
            {
                "face": person.number,
                "frames": len(person.frames),
                "width": round(person.face_width),
                "seen": find_frame_runs(person.frames),
                "at": _median_position(person.landmarks),
            }
            for person in self.people
        ]


def _median_position(landmarks: NDArray[np.float32]) -> list[int]:
    """Where a face mostly is, px; told from a hundred frames. [2]"""
    some = landmarks[:: max(1, len(landmarks) // 100), :, :2]
    return [round(float(value)) for value in np.median(some, (0, 1))]


def detect_people(
    path: Path | str,
    *,
    start: int = 0,
    stop: int | None = None,
    progress: ProgressCallback = no_progress,
) -> ClipDetections:
    """Look at every frame from ``start`` to ``stop`` once. Nobody there is no error here.

    Raises:
        MediaError: the file cannot be read as video.
        NoFaceError: there are no such frames.
    """
    info = probe(path)
    times: list[float] = []
    width, height = info.width, info.height
    last = stop or info.frames
    total = None if last is None else last - start
    shots, linker = ShotDetector(), FaceTracker()
    reading = prefetch(_read_detection_frames(path, start, stop), buffer_size=2)
    with MultiFaceLandmarker() as follower, closing(reading) as pictures:
        for row, (time, points, rgb) in enumerate(pictures):
            height, width = rgb.shape[:2]
            cut = shots.update_from_grid(row, points)
            linker.update(row, follower(rgb, cut), rgb, cut)
            times.append(time)
            if len(times) % 10 == 0:
                progress(Progress("track", len(times), total))
    if not times:
        raise NoFaceError(
            f"{path} has no frames{f' from number {start} on' if start else ''}: give a video that "
            "shows a face"
        )
    people = cluster_tracklets(linker.take_tracklets(), shots.starts, len(times))
    return ClipDetections(
        np.array(times), (width, height), number_shots(shots.starts, len(times)), people
    )


def _read_detection_frames(
    path: Path | str, start: int, stop: int | None
) -> Iterator[tuple[float, NDArray[np.float32], NDArray[np.uint8]]]:
    """Time, points for shots and RGB of every frame."""
    for frame in read_frames(path, start=start, stop=stop):
        yield frame.time, sample_luma_grid(frame), frame.to_rgb(fast=True)
