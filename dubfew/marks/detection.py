"""Looking for the watermark: without the original, by the face tracker, over many frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import NoFaceError
from dubfew.marks.pattern import SIZE, WAVES, cells, gather, project
from dubfew.marks.payload import BITS, read
from dubfew.marks.watermark import STARTS, STEP_LARGE, STEP_SMALL, certainties, gathered
from dubfew.media import Frame, probe, read_frames
from dubfew.media.pixels import NATIVE, RANGE_FULL, rgb_to_yuv
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.crop import FEATHER, Regions, soft_mask, track_regions
from dubfew.reconstruction.detection.detection import detect
from dubfew.reconstruction.heads.head_model import load_head
from dubfew.reconstruction.tracking import track_person

# A stretch of the video is read at a time, and no more once the id is found.
STRETCH = 300  # frames
STRETCHES = 4
# The tracker finds the mouth of a changed video a little elsewhere: shares of the window, scales.
SHIFTS = (-0.01, 0.0, 0.01)
SCALES = (0.985, 1.0, 1.015)
# The readings that look most like a watermark are checked; more would let more noise through.
STRAIGHT, CHECKED = 2, 6
# Trust in a cell falls where its picture is steep, levels per sample: there misplacing weighs most.
STEEP = 4.0


@dataclass(frozen=True)
class Found:
    """A watermark.

    Attributes:
        id: ten hexadecimal digits.
        certainty: mean over the bits, see `watermark.certainties`. Wrong readings reach about 3,
            because neighbouring frames show the same.
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


# Shift across and down, and scale. The straight look comes first.
LOOKS = sorted(itertools.product(SHIFTS, SHIFTS, SCALES), key=lambda a: a != (0.0, 0.0, 1.0))


def find_watermark(path: Path | str, *, progress: ProgressCallback = silent) -> Found | None:
    """Read the watermark of a video.

    Args:
        path: a video; of a long one up to four stretches of 300 frames are read.
        progress: told of the tracking and of the stretches.

    Returns:
        What was found, or None. Chance finds something in at most one of 30,000 unmarked videos of
        one face: `payload.read` bounds what passes its checksum, and that is tried 4 x (2 + 6)
        times, for each of the faces that are seen.

    Raises:
        MediaError: the file cannot be read as video.
    """
    path = Path(path)
    seen: dict[int, list[Sight]] = {}
    found = None
    for count, (start, stop) in enumerate(_stretches(probe(path).frames), 1):
        try:
            faces = look(path, start, stop, progress)
        except NoFaceError:
            continue
        for number, sight in enumerate(faces):
            seen.setdefault(number, []).append(sight)
            found = found or best_reading(seen[number])
        progress(Progress("read", count, STRETCHES))
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


def look(
    path: Path, start: int, stop: int | None, progress: ProgressCallback = silent
) -> list[Sight]:
    """Follow everybody's mouth through some frames, of who is seen most first, and project it on
    the patterns.

    Raises:
        NoFaceError: no frame shows a face.
    """
    head = load_head()
    seen = detect(path, start=start, stop=stop, progress=progress)
    tracks = [
        track_person(path, seen, str(number), head=head, start=start)
        for number in range(max(1, len(seen.people)))
    ]
    regions = [track_regions(track, head) for track in tracks]
    sights: list[list[tuple[NDArray, NDArray, float]]] = [[] for _ in tracks]
    for row, frame in enumerate(read_frames(path, start=start, stop=stop)):
        for track, where, sight in zip(tracks, regions, sights, strict=True):
            if row < len(track) and track.valid[row]:
                samples = looked_at(frame, where.window[row])
                sight.append((project(samples), _trust(samples[0], where, row), frame.time))
    return [
        Sight(*(np.array(part) for part in zip(*sight, strict=True))) for sight in sights if sight
    ]


def best_reading(seen: list[Sight]) -> Found | None:
    """The id that the frames together tell, or None."""
    for looks, starts, checked in ((1, 1, STRAIGHT), (len(LOOKS), STARTS, CHECKED)):
        for reading in readings(seen, looks, starts)[:checked]:
            word = read(reading)
            if word is not None:
                mean = float(np.abs(reading).mean())
                frames = sum(len(sight.times) for sight in seen)
                return Found(word.id, mean, word.corrected, frames)
    return None


def readings(
    seen: list[Sight], looks: int = len(LOOKS), starts: int = STARTS
) -> NDArray[np.float64]:
    """What the bits may be, by every way to look at the frames; the most certain first.

    Args:
        seen: the frames.
        looks: how many of ``LOOKS`` are tried.
        starts: how many times in the round of slots at which the video may begin.

    Returns:
        See `certainties`. [2 * looks * starts, BITS]
    """
    projections = np.concatenate([sight.projections[:, :looks] for sight in seen])
    trust = np.concatenate([sight.trust for sight in seen])
    times = np.concatenate([sight.times for sight in seen])
    found = np.concatenate(
        [
            certainties(*gathered(projections, trust, times, step))[:starts].reshape(-1, BITS)
            for step in (STEP_SMALL, STEP_LARGE)
        ]
    )
    return found[np.argsort(-np.abs(found).mean(1), kind="stable")]


def looked_at(frame: Frame, window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Luma of a window by every one of ``LOOKS``; 0 outside the frame. [A, SIZE, SIZE]"""
    left, top, side = map(float, window)
    reach = side * (max(SHIFTS) + max(SCALES) - 1)
    x0, y0 = max(int(left - reach), 0), max(int(top - reach), 0)
    x1 = min(int(np.ceil(left + side + reach)), frame.width)
    y1 = min(int(np.ceil(top + side + reach)), frame.height)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((len(LOOKS), SIZE, SIZE), np.float32)
    part = luma_of(frame, x0, y0, x1, y1)
    seen = {}
    for scale in SCALES:
        margin, size = side * (1 - scale) / 2, side * scale
        down, across = (
            np.concatenate([gather(low + margin + shift * side, size, count) for shift in SHIFTS])
            for low, count in ((top - y0, y1 - y0), (left - x0, x1 - x0))
        )
        both = (down @ part @ across.T).reshape(len(SHIFTS), SIZE, len(SHIFTS), SIZE)
        for i, j in itertools.product(range(len(SHIFTS)), repeat=2):
            seen[SHIFTS[j], SHIFTS[i], scale] = both[i, :, j]
    return np.stack([seen[look] for look in LOOKS])


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
