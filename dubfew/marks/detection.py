"""Looking for the watermark: without the original, by the face tracker, over many frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import NoFaceError
from dubfew.marks.pattern import ROUND, SIZE, SLOT, WAVES, cells, gather, project
from dubfew.marks.payload import read
from dubfew.marks.watermark import STEP_LARGE, STEP_SMALL, certainty
from dubfew.media import Frame, probe, read_frames
from dubfew.media.pixels import NATIVE, RANGE_FULL, rgb_to_yuv
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.crop import FEATHER, Regions, soft_mask, track_regions
from dubfew.reconstruction.head import load_head
from dubfew.reconstruction.tracking import track_video

# A stretch of the video is read at a time, and no more once the id is found.
STRETCH = 300  # frames
STRETCHES = 4
# The tracker finds the mouth of a changed video a little elsewhere: shares of the window, scales.
SHIFTS = (-0.01, 0.0, 0.01)
SCALES = (0.985, 1.0, 1.015)
# A video whose beginning was cut off starts anywhere in the round of slots.
STARTS = np.arange(0, ROUND * SLOT, SLOT / 4)
# The readings that look most like a watermark are checked; more would let more noise through.
CHECKED = 24
# Trust in a cell falls where its picture is steep, levels per sample: there misplacing weighs most.
STEEP = 4.0


@dataclass(frozen=True)
class Found:
    """A watermark.

    Attributes:
        id: ten hexadecimal digits.
        certainty: mean over the bits, in standard deviations of what an unmarked video shows
            (there about 0.8).
        corrected: bits that were turned over, of 72.
        frames: looked at.
    """

    id: str
    certainty: float
    corrected: int
    frames: int


@dataclass(frozen=True)
class Sight:
    """What frames show of the mouth, for every shift and scale.

    Attributes:
        projections: levels. [N, A, PLACES]
        trust: in each. [N, PLACES]
        times: s. [N]
    """

    projections: NDArray[np.float32]
    trust: NDArray[np.float32]
    times: NDArray[np.float64]


# The straight look comes first.
LOOKS = sorted(itertools.product(SHIFTS, SHIFTS, SCALES), key=lambda a: a != (0.0, 0.0, 1.0))


def find_watermark(path: Path | str, *, progress: ProgressCallback = silent) -> Found | None:
    """Read the watermark of a video.

    Args:
        path: a video; of a long one up to four stretches of 300 frames are read.
        progress: told of the tracking and of the stretches.

    Returns:
        What was found, or None. Chance finds something in less than one of 100,000 unmarked
        videos: `payload.read` bounds a reading, and at most 4 x (2 + 2 x 24) are made.

    Raises:
        MediaError: the file cannot be read as video.
    """
    path = Path(path)
    seen: list[Sight] = []
    found = None
    for start, stop in _stretches(probe(path).frames):
        try:
            seen.append(look(path, start, stop, progress))
        except NoFaceError:
            continue
        found = best_reading(seen)
        progress(Progress("read", len(seen), STRETCHES))
        if found is not None:
            break
    return found


def _stretches(frames: int | None) -> Iterator[tuple[int, int | None]]:
    if (
        frames is None
    ):  # a stream that does not say: the first frames, and no more if there are none
        yield 0, STRETCH
        return
    count = max(1, min(STRETCHES, -(-frames // STRETCH)))
    for number in range(count):
        start = round(number * max(0, frames - STRETCH) / max(1, count - 1))
        yield start, min(start + STRETCH, frames)


def look(path: Path, start: int, stop: int | None, progress: ProgressCallback = silent) -> Sight:
    """Follow the mouth through some frames and project it on the patterns.

    Raises:
        NoFaceError: no frame shows a face.
    """
    head = load_head()
    track = track_video(path, head=head, start=start, stop=stop, progress=progress)
    regions = track_regions(track, head)
    projections, trust, times = [], [], []
    for row, frame in enumerate(read_frames(path, start=start, stop=stop)):
        if row < len(track) and track.valid[row]:
            straight = sampled(frame, regions.window[row])
            trust.append(_trust(straight, regions, row))
            projections.append(
                [
                    project(sampled(frame, moved(regions.window[row], look)) if n else straight)
                    for n, look in enumerate(LOOKS)
                ]
            )
            times.append(frame.time)
    return Sight(np.array(projections), np.array(trust), np.array(times))


def best_reading(seen: list[Sight]) -> Found | None:
    """The id that the frames together tell, or None."""
    projections = np.concatenate([sight.projections for sight in seen])
    trust = np.concatenate([sight.trust for sight in seen])
    times = np.concatenate([sight.times for sight in seen])
    for starts, looks, checked in ((STARTS[:1], 1, 2), (STARTS, len(LOOKS), 2 * CHECKED)):
        readings = [
            certainty(projections[:, number], trust, step, times + start)
            for step in (STEP_SMALL, STEP_LARGE)
            for number in range(looks)
            for start in starts
        ]
        readings.sort(key=lambda reading: -np.abs(reading).mean())
        for reading in readings[:checked]:
            word = read(reading)
            if word is not None:
                mean = float(np.abs(reading).mean())
                return Found(word.id, mean, word.corrected, len(times))
    return None


def moved(window: NDArray, look: tuple[float, float, float]) -> NDArray:
    """A window (left, top, side) shifted and scaled about its middle."""
    left, top, side = window
    across, down, scale = look
    margin = side * (1 - scale) / 2
    return np.array([left + across * side + margin, top + down * side + margin, side * scale])


def sampled(frame: Frame, window: NDArray) -> NDArray[np.float32]:
    """Luma of a window, levels 0 to 255; 0 outside the frame. [SIZE, SIZE]"""
    left, top, side = map(float, window)
    x0, y0 = max(int(np.floor(left)), 0), max(int(np.floor(top)), 0)
    x1 = min(int(np.ceil(left + side)), frame.width)
    y1 = min(int(np.ceil(top + side)), frame.height)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((SIZE, SIZE), np.float32)
    part = luma_of(frame, x0, y0, x1, y1)
    rows, columns = gather(top - y0, side, y1 - y0), gather(left - x0, side, x1 - x0)
    return rows @ part @ columns.T


def luma_of(frame: Frame, left: int, top: int, right: int, bottom: int) -> NDArray[np.float32]:
    """Luma of a box as it is stored, on the scale of levels 0 to 255. [h, w]"""
    form = NATIVE[frame.pix_fmt]
    if form.kind in ("rgb", "gbrp"):
        weights, _ = rgb_to_yuv(frame.colour.matrix_for(frame.height), True, 8)
        return frame.crop_rgb(left, top, right, bottom).astype(np.float32) @ weights[:, 0]
    luma = frame.planes()[0][top:bottom, left:right].astype(np.float32) / 2 ** (form.bits - 8)
    if frame.colour.range_for(form) != RANGE_FULL:
        luma = (luma - 16) * (255 / 219)
    return luma.astype(np.float32)


def _trust(samples: NDArray[np.float32], regions: Regions, row: int) -> NDArray[np.float32]:
    """How far each place is to be believed. [PLACES]"""
    left, top, side = map(float, regions.window[row])
    mask = soft_mask(regions.hull[row], FEATHER * side, left, top, side / SIZE, SIZE, SIZE)
    inside = (cells(mask) > 0).mean((1, 2)) > 0.5
    down, across = np.gradient(samples)
    steep = cells(np.abs(down) + np.abs(across)).mean((1, 2))
    return np.repeat(inside / (1 + (steep / STEEP) ** 2), len(WAVES)).astype(np.float32)
