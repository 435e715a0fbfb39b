"""Detection on a whole clip: one pass over the frames finds shots, people and landmarks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import NoFaceError
from dubfew.media import Frame, probe, read_frames
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.face_region import FaceRegion
from dubfew.reconstruction.detection.face_tracker import FaceTracker
from dubfew.reconstruction.detection.multi_face_landmarker import MultiFaceLandmarker
from dubfew.reconstruction.detection.people import (
    DetectedPerson,
    cluster_tracklets,
    find_frame_runs,
)
from dubfew.reconstruction.detection.shots import ShotDetector, number_shots, sample_luma_grid
from dubfew.utils.prefetch import prefetch

# Frames decoded ahead in another thread. Two keep the detector busy; more only take memory.
DECODED_AHEAD_FRAMES = 2
# Frames between two calls of the progress callback.
PROGRESS_INTERVAL_FRAMES = 10
# Frames from which a person's position is estimated: enough for a median, whatever the length.
POSITION_SAMPLE_FRAMES = 100


@dataclass(frozen=True)
class ClipDetections:
    """Shots and people of a clip of N frames.

    Attributes:
        times: presentation times of the frames, s. [N]
        frame_size: width and height, px.
        shots: number of each frame's shot, from 0 on. [N]
        people: everyone in the clip, the most seen person first.
    """

    times: NDArray[np.float64]
    frame_size: tuple[int, int]
    shots: NDArray[np.int32]
    people: list[DetectedPerson]

    def summary(self) -> list[dict[str, Any]]:
        """Summarize who is seen in which frames, and where, as plain values for JSON."""
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
    """Estimate where a face is most of the time, px. [2]"""
    step = max(1, len(landmarks) // POSITION_SAMPLE_FRAMES)
    return [round(float(value)) for value in np.median(landmarks[::step, :, :2], (0, 1))]


def detect_people(
    path: Path | str,
    *,
    start: int = 0,
    stop: int | None = None,
    progress: ProgressCallback = no_progress,
) -> ClipDetections:
    """Find shots, people and landmarks in the frames of a clip; every frame is read once.

    A clip without people is not an error.

    Args:
        path: the clip.
        start: first frame.
        stop: frame after the last one; default: the end of the clip.
        progress: called every ten frames.

    Raises:
        MediaError: The file cannot be read as video.
        NoFaceError: The clip has no frames in this range.
    """
    # The header may lack the number of frames; then progress has no total.
    info = probe(path)
    times: list[float] = []
    width, height = info.width, info.height
    # A range may reach beyond the end of the clip.
    ends = [end for end in (stop, info.frames) if end is not None]
    total = max(0, min(ends) - start) if ends else None
    shots, tracker, region = ShotDetector(), FaceTracker(), FaceRegion()
    reading = prefetch(_read_detection_frames(path, start, stop), buffer_size=DECODED_AHEAD_FRAMES)
    with MultiFaceLandmarker() as landmarker, closing(reading) as frames:
        for index, (frame, luma_grid) in enumerate(frames):
            height, width = frame.height, frame.width
            # The detector must know of a cut before it searches near the faces of the last shot.
            is_new_shot = shots.update_from_grid(index, luma_grid)
            rgb = region.read(frame, None if is_new_shot else landmarker.followed_face)
            faces = landmarker(rgb, is_new_shot)
            tracker.update(index, faces, region.read_around(frame, faces), is_new_shot)
            times.append(frame.time)
            if len(times) % PROGRESS_INTERVAL_FRAMES == 0:
                progress(Progress("track", len(times), total))
    if not times:
        raise NoFaceError(
            f"{path} has no frames{f' from number {start} on' if start else ''}: give a video that "
            "shows a face"
        )
    progress(Progress("track", len(times), len(times)))
    # Shots are final only now: a flash may take a cut back, and cross-fades are found late.
    people = cluster_tracklets(tracker.take_tracklets(), shots.starts, len(times))
    return ClipDetections(
        np.array(times), (width, height), number_shots(shots.starts, len(times)), people
    )


def _read_detection_frames(
    path: Path | str, start: int, stop: int | None
) -> Iterator[tuple[Frame, NDArray[np.float32]]]:
    """Read every frame and its brightness grid."""
    for frame in read_frames(path, start=start, stop=stop):
        yield frame, sample_luma_grid(frame)
