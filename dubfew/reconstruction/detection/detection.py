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
from dubfew.reconstruction.detection.face_tracks import (
    DetectedPerson,
    FaceTracker,
    cluster_tracklets,
    find_frame_runs,
)
from dubfew.reconstruction.detection.landmarks import FaceCounter, FaceLandmarker
from dubfew.reconstruction.detection.shots import ShotDetector, number_shots, sample_luma_grid
from dubfew.utils.prefetch import prefetch

# While one face is followed, others are looked for every so many frames and where a shot begins:
# looking in every frame would double the time of a clip that shows one.
FACE_COUNT_INTERVAL_FRAMES = 12
MAX_TRACKED_FACES = 4  # faces that are followed at once
MULTI_FACE_CONFIRMATIONS = (
    3  # looks in a row that must find several, unless a shot begins with them
)


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


class MultiFaceLandmarker:
    """Landmarks of all faces of frame after frame; one face costs no more than one does.

    Use as a context manager.
    """

    def __init__(self) -> None:
        self._single_landmarker = FaceLandmarker()
        self._face_counter = FaceCounter()
        self._multi_landmarker: FaceLandmarker | None = None
        self._frames_since_count = FACE_COUNT_INTERVAL_FRAMES
        self._confirmations = MULTI_FACE_CONFIRMATIONS - 1

    def __enter__(self) -> MultiFaceLandmarker:
        return self

    def __exit__(self, *error: object) -> None:
        for part in (self._single_landmarker, self._face_counter, self._multi_landmarker):
            if part is not None:
                part.__exit__(None, None, None)

    def __call__(self, rgb: NDArray[np.uint8], is_new_shot: bool) -> list[NDArray[np.float32]]:
        """Landmarks of the faces in the next frame, [478, 3] px each."""
        if is_new_shot:
            self._single_landmarker.reset()
            self._close_multi_landmarker()
            self._frames_since_count, self._confirmations = (
                FACE_COUNT_INTERVAL_FRAMES,
                MULTI_FACE_CONFIRMATIONS - 1,
            )
        if self._multi_landmarker is None:
            self._update_face_count(rgb)
        if self._multi_landmarker is not None:
            return self._multi_landmarker.detect_all(rgb)
        return self._single_landmarker.detect_all(rgb)

    def _update_face_count(self, rgb: NDArray[np.uint8]) -> None:
        self._frames_since_count += 1
        if (
            self._frames_since_count < FACE_COUNT_INTERVAL_FRAMES
            and not 0 < self._confirmations < MULTI_FACE_CONFIRMATIONS
        ):
            return
        self._frames_since_count = 0
        self._confirmations = self._confirmations + 1 if self._face_counter(rgb) > 1 else 0
        if self._confirmations == MULTI_FACE_CONFIRMATIONS:
            self._multi_landmarker = FaceLandmarker(max_faces=MAX_TRACKED_FACES)

    def _close_multi_landmarker(self) -> None:
        if self._multi_landmarker is not None:
            self._multi_landmarker.__exit__(None, None, None)
            self._multi_landmarker = None
