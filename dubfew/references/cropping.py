"""Cut the mouth windows of a tracked clip out of its frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.errors import MediaError
from dubfew.media import Frame, read_frames
from dubfew.motion.extraction import motion_from_track
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track
from dubfew.references.footage import Footage
from dubfew.references.track_geometry import compute_track_geometry

# Frames between two reports of progress; more frequent ones would only cost time.
PROGRESS_EVERY_FRAMES = 10
# Whole pixels around a window that the resampling filter reads, beside one px of the result. At
# scale 1 that makes 3 px, the reach of Lanczos; where a window shrinks the filter's tails are cut
# off at the window's border. Less would blur the border of windows that keep their size.
FILTER_MARGIN_PX = 2


class CroppableFrame(Protocol):
    """The part of a frame that `crop_window` uses; `dubfew.media.Frame` has it."""

    @property
    def width(self) -> int:
        """Return the width, px."""

    @property
    def height(self) -> int:
        """Return the height, px."""

    def crop_rgb(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
        """Return RGB pixels of a box within the frame, right and bottom exclusive. [H, W, 3]"""


def crop_window(
    frame: CroppableFrame,
    window: NDArray,  # [3]
    output_size: int,
) -> NDArray[np.uint8]:  # [size, size, 3]
    """Cut a square window out of a frame and resample it with anti-aliasing.

    Args:
        frame: the frame.
        window: left, top and side of the window, px of the frame, not rounded. It may reach beyond
            the frame, whose edge pixels are repeated there. [3]
        output_size: edge of the result, px.

    Returns:
        RGB. [output_size, output_size, 3]
    """
    left, top, side = (float(v) for v in window)
    return _resample(frame, (left, top, side, side), (output_size, output_size))


def crop_quickly(
    frame: Frame,
    window: NDArray,  # [3]
    output_size: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Cut a square out of a frame and shrink it in a fraction of the time of `crop_window`.

    Good enough to find people, not to paint one: see `Frame.shrink_rgb`.

    Args:
        frame: the frame.
        window: left, top and side of the square, px of the frame, not rounded. It may reach beyond
            the frame, whose edge pixels are repeated there. [3]
        output_size: edge of the result, px.

    Returns:
        RGB [output_size, output_size, 3], and the square of whole px that it shows: its left, top
        and side [3].
    """
    # Chroma cells begin at even pixels.
    left, top, side = (2 * round(float(v) / 2) for v in window)
    side = max(side, 2)
    inner, shown = [], []
    for start, length in ((left, frame.width), (top, frame.height)):
        # What lies inside the frame, at least one pixel of it and of the result.
        first = min(max(start, 0), (length - 1) // 2 * 2)
        end = max(min(start + side, length), first + 1)
        before, behind = (round((edge - start) * output_size / side) for edge in (first, end))
        before = min(max(before, 0), output_size - 1)
        inner.append((first, end))
        shown.append((before, min(max(behind, before + 1), output_size)))
    (x0, x1), (y0, y1) = inner
    (u0, u1), (v0, v1) = shown
    pixels = frame.shrink_rgb(x0, y0, x1, y1, (u1 - u0, v1 - v0))
    padding = ((v0, output_size - v1), (u0, output_size - u1), (0, 0))
    return np.pad(pixels, padding, mode="edge"), np.array([left, top, side])


def crop_box(
    frame: CroppableFrame,
    box: NDArray,  # [4]
    output_size: tuple[int, int],
) -> NDArray[np.uint8]:  # [height, width, 3]
    """Cut a rectangle out of a frame and resample it with anti-aliasing, see `crop_window`.

    Args:
        frame: the frame.
        box: left, top, right, bottom, px of the frame, not rounded. It may reach beyond the frame,
            whose edge pixels are repeated there. [4]
        output_size: width and height of the result, px.

    Returns:
        RGB. [height, width, 3]
    """
    left, top, right, bottom = (float(v) for v in box)
    return _resample(frame, (left, top, right - left, bottom - top), output_size)


def _resample(
    frame: CroppableFrame,
    place: tuple[float, float, float, float],
    output_size: tuple[int, int],
) -> NDArray[np.uint8]:
    """Cut out and resample a rectangle: left, top, width and height, px of the frame."""
    left, top, width, height = place
    # Whole pixels around the window, with what the filter reaches on either side.
    margin_x = FILTER_MARGIN_PX + width / output_size[0]
    margin_y = FILTER_MARGIN_PX + height / output_size[1]
    x0, y0 = int(np.floor(left - margin_x)), int(np.floor(top - margin_y))
    x1, y1 = int(np.ceil(left + width + margin_x)), int(np.ceil(top + height + margin_y))
    # The part of it that lies inside the frame, at least one pixel, so that there is an edge to
    # repeat even for a window that lies wholly outside.
    inner = (
        min(max(x0, 0), frame.width - 1),
        min(max(y0, 0), frame.height - 1),
        max(min(x1, frame.width), 1),
        max(min(y1, frame.height), 1),
    )
    inner = (inner[0], inner[1], max(inner[2], inner[0] + 1), max(inner[3], inner[1] + 1))
    pixels = frame.crop_rgb(*inner)
    padding = (
        (max(0, inner[1] - y0), max(0, y1 - inner[3])),
        (max(0, inner[0] - x0), max(0, x1 - inner[2])),
    )
    if any(p for pair in padding for p in pair):
        pixels = np.pad(pixels, (*padding, (0, 0)), mode="edge")
    # Lanczos keeps the finest detail of windows between pixels; bicubic enlargement took a third.
    box = (left - x0, top - y0, left - x0 + width, top - y0 + height)
    image = Image.fromarray(pixels).resize(output_size, Image.Resampling.LANCZOS, box=box)
    return np.asarray(image)


def footage_from_frames(
    frames: Iterator[Frame],
    track: Track,
    head: HeadModel,
    motion: NDArray[np.float32],  # [N, P, 3]
    *,
    window_size: int,
    rows: Sequence[int] | NDArray | None = None,
    frame_numbers: NDArray | None = None,
    progress: ProgressCallback = no_progress,
) -> Footage:
    """Cut the windows of some frames out of a stream.

    Reads no frame beyond the last one that it needs, so that a caller can go on with the stream.

    Args:
        frames: the tracked clip, from the track's first frame or earlier.
        track: the clip's track, N rows.
        head: the track's head model.
        motion: mouth motion of every row. [N, P, 3]
        window_size: edge of the windows, px.
        rows: rows of the track to cut; all usable ones by default.
        frame_numbers: number in the clip of each row of the track; by default the track begins
            at frame 0 and leaves no frame out. [N]
        progress: called every ten frames.

    Returns:
        The windows, without those of frames that the stream no longer has.

    Raises:
        MediaError: The stream has none of the frames.
    """
    # Look rows up by frame number: the stream may begin before the track, and may miss frames.
    numbers = np.arange(len(track)) if frame_numbers is None else np.asarray(frame_numbers)
    selected = np.nonzero(track.usable)[0] if rows is None else np.asarray(rows, np.int64)
    geometry = compute_track_geometry(track, head)
    row_of_frame = {int(numbers[row]): int(row) for row in selected}
    images: dict[int, NDArray[np.uint8]] = {}
    for frame in frames:
        row = row_of_frame.get(frame.index)
        if row is not None:
            images[row] = crop_window(frame, geometry.regions.window[row], window_size)
            if len(images) % PROGRESS_EVERY_FRAMES == 0:
                progress(Progress("cut", len(images), len(row_of_frame)))
        if len(images) == len(row_of_frame):
            break
    progress(Progress("cut", len(images), len(images)))
    # Keep the order of ``rows``, which need not be that of the frames.
    found = np.array([row for row in selected if row in images], np.int64)
    if not len(found):
        raise MediaError(f"none of {len(selected)} tracked frames can be read again: try again")
    return Footage(
        images=np.stack([images[row] for row in found]),
        vertices=np.stack([geometry.vertices_in_window(row, window_size) for row in found]),
        hulls=np.stack([geometry.hull_in_window(row, window_size) for row in found]),
        key=geometry.key[found],
        motion=motion[found],
        frames=numbers[found].astype(np.int64),
    )


def load_clip_footage(
    path: Path | str,
    track: Track,
    head: HeadModel,
    *,
    window_size: int,
    progress: ProgressCallback = no_progress,
) -> Footage:
    """Cut the windows of every usable frame of a clip.

    Args:
        path: the tracked video.
        track: its track, from its first frame on.
        head: the track's head model.
        window_size: edge of the windows, px.
        progress: called every ten frames.

    Raises:
        MediaError: The video cannot be read, or has none of the frames.
    """
    return footage_from_frames(
        read_frames(path, stop=len(track)),
        track,
        head,
        motion_from_track(track, head).displacement,
        window_size=window_size,
        progress=progress,
    )
