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
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.detection.face_tracks import FaceLinker, Person, people_of, stretches
from dubfew.reconstruction.detection.landmarks import FaceCounter, FaceLandmarker
from dubfew.reconstruction.detection.shots import ShotFinder, points_of, shot_numbers
from dubfew.utils.prefetch import beside

# While one face is followed, others are looked for every so many frames and where a shot begins:
# looking in every frame would double the time of a clip that shows one.
LOOK = 12
MOST = 4  # faces that are followed at once
AGREED = 3  # looks in a row that must find several, unless a shot begins with them


@dataclass(frozen=True)
class Detection:
    """What the pictures of a clip show, N frames.

    Attributes:
        times: of the frames, s. [N]
        size: width and height, px.
        shots: number of each frame's shot. [N]
        people: who is seen most first.
    """

    times: NDArray[np.float64]
    size: tuple[int, int]
    shots: NDArray[np.int32]
    people: list[Person]

    def summary(self) -> list[dict[str, Any]]:
        """Who is seen in which frames, and where: for people to read and programs to use."""
        return [
            {
                "face": person.number,
                "frames": len(person.frames),
                "width": round(person.width),
                "seen": stretches(person.frames),
                "at": _place(person.landmarks),
            }
            for person in self.people
        ]


def _place(landmarks: NDArray[np.float32]) -> list[int]:
    """Where a face mostly is, px; told from a hundred frames. [2]"""
    some = landmarks[:: max(1, len(landmarks) // 100), :, :2]
    return [round(float(value)) for value in np.median(some, (0, 1))]


def detect(
    path: Path | str,
    *,
    start: int = 0,
    stop: int | None = None,
    progress: ProgressCallback = silent,
) -> Detection:
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
    shots, linker = ShotFinder(), FaceLinker()
    reading = beside(_pictures(path, start, stop), depth=2)
    with FaceFollower() as follower, closing(reading) as pictures:
        for row, (time, points, rgb) in enumerate(pictures):
            height, width = rgb.shape[:2]
            cut = shots.see_points(row, points)
            linker.see(row, follower(rgb, cut), rgb, cut)
            times.append(time)
            if len(times) % 10 == 0:
                progress(Progress("track", len(times), total))
    if not times:
        raise NoFaceError(
            f"{path} has no frames{f' from number {start} on' if start else ''}: give a video that "
            "shows a face"
        )
    people = people_of(linker.sightings(), shots.starts, len(times))
    return Detection(
        np.array(times), (width, height), shot_numbers(shots.starts, len(times)), people
    )


def _pictures(
    path: Path | str, start: int, stop: int | None
) -> Iterator[tuple[float, NDArray[np.float32], NDArray[np.uint8]]]:
    """Time, points for shots and RGB of every frame."""
    for frame in read_frames(path, start=start, stop=stop):
        yield frame.time, points_of(frame), frame.to_rgb(fast=True)


class FaceFollower:
    """Landmarks of all faces of frame after frame; one face costs no more than one does.

    Use as a context manager.
    """

    def __init__(self) -> None:
        self._one = FaceLandmarker()
        self._counter = FaceCounter()
        self._several: FaceLandmarker | None = None
        self._since = LOOK
        self._agreed = AGREED - 1

    def __enter__(self) -> FaceFollower:
        return self

    def __exit__(self, *error: object) -> None:
        for part in (self._one, self._counter, self._several):
            if part is not None:
                part.__exit__(None, None, None)

    def __call__(self, rgb: NDArray[np.uint8], new_shot: bool) -> list[NDArray[np.float32]]:
        """Landmarks of the faces in the next frame, [478, 3] px each."""
        if new_shot:
            self._one.forget()
            self._drop_several()
            self._since, self._agreed = LOOK, AGREED - 1
        if self._several is None:
            self._look(rgb)
        if self._several is not None:
            return self._several.every(rgb)
        return self._one.every(rgb)

    def _look(self, rgb: NDArray[np.uint8]) -> None:
        self._since += 1
        if self._since < LOOK and not 0 < self._agreed < AGREED:
            return
        self._since = 0
        self._agreed = self._agreed + 1 if self._counter(rgb) > 1 else 0
        if self._agreed == AGREED:
            self._several = FaceLandmarker(faces=MOST)

    def _drop_several(self) -> None:
        if self._several is not None:
            self._several.__exit__(None, None, None)
            self._several = None
