"""Original and take beside each other in one video, which a page wipes and enlarges."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter, probe, read_audio, read_frames
from dubfew.utils.files import atomic_path

# Largest width of each of the two pictures, px: a mouth in a wide shot can still be enlarged.
MAX_CELL_PX = 960
# Quality of the page's video, x264's scale: faults stay visible.
PAIR_CRF = 18
# Edge of the blocks of pixels whose means are compared, px: what an encoder changes cancels out in
# them.
_BLOCK_PX = 8
# Difference of means from which a block counts as painted, 8-bit levels.
_PAINTED_LEVELS = 5
# Margin around what was painted, as a factor of its size.
_BOX_MARGIN = 1.7
# Standard deviation of the filter that calms the box, frames.
_BOX_SMOOTHING_FRAMES = 4.0
# Sample rate at which the peaks of the sound are read, Hz.
_PEAK_RATE_HZ = 16000


@dataclass(frozen=True)
class PairFacts:
    """What a page needs to know of a pair.

    Attributes:
        width: width of each picture in the video, px.
        height: its height, px.
        fps: exact frame rate.
        frames: number of frames.
        peaks: loudest sample of each frame, 0 to 100; empty without sound.
        boxes: middle of what was painted in each frame, x and y as shares of the picture; empty if
            nothing was. [N][2]
        box_size: edge of the square around it, as a share of the picture's width.
    """

    width: int
    height: int
    fps: Fraction
    frames: int
    peaks: tuple[int, ...]
    boxes: tuple[tuple[float, float], ...]
    box_size: float

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON."""
        return {
            "width": self.width,
            "height": self.height,
            "fps": [self.fps.numerator, self.fps.denominator],
            "frames": self.frames,
            "peaks": self.peaks,
            "boxes": self.boxes,
            "box_size": self.box_size,
        }


def write_pair(scene: Path, take: Path, out: Path, still: Path) -> PairFacts:
    """Write scene and take beside each other, with the sound of the take, and a still of the take.

    The video ends with the shorter of them.

    Args:
        scene: the original.
        take: an output that was made from it.
        out: video to write, .mp4.
        still: picture to write, .jpg: the middle of the take.

    Raises:
        MediaError: A file cannot be read or written.
    """
    info = probe(take)
    shape = info.height / float(info.width * info.sample_aspect)
    width = 2 * (min(MAX_CELL_PX, round(info.width * float(info.sample_aspect))) // 2)
    height = 2 * max(1, round(width * shape / 2))
    sound = AudioSource(take, pad=False) if info.has_audio else None
    found: list[tuple[float, float, float] | None] = []
    middle: Image.Image | None = None
    half = (info.frames or 0) // 2
    canvas_info = VideoInfo(out, 2 * width, height, info.fps)
    with VideoWriter(out, canvas_info, audio=sound, crf=PAIR_CRF, preset="veryfast") as writer:
        for row, pair in enumerate(zip(read_frames(scene), read_frames(take), strict=False)):
            pictures = [frame.to_rgb() for frame in pair]
            found.append(_find_painted(*pictures))
            images = [Image.fromarray(each).resize((width, height)) for each in pictures]
            canvas = Image.new("RGB", (2 * width, height))
            canvas.paste(images[0], (0, 0))
            canvas.paste(images[1], (width, 0))
            if row <= half:
                middle = images[1]
            writer.write(Frame.from_rgb(np.asarray(canvas), row, info.fps))
    assert middle is not None  # a video has frames
    with atomic_path(still) as temporary:
        middle.save(temporary, format="JPEG", quality=85)
    boxes, size = _follow_boxes(found, width / height)
    peaks = _read_peaks(take, info.fps, len(found)) if info.has_audio else ()
    return PairFacts(width, height, info.fps, len(found), peaks, boxes, size)


def _find_painted(
    before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> tuple[float, float, float] | None:
    """Find middle x and y and the larger edge of what differs, as shares of width and height."""
    if before.shape != after.shape:
        return None
    pair = [
        np.asarray(Image.fromarray(each).convert("L").reduce(_BLOCK_PX), np.float32)
        for each in (before, after)
    ]
    rows, columns = np.nonzero(np.abs(pair[0] - pair[1]) > _PAINTED_LEVELS)
    if len(rows) < 3:
        return None
    height, width = pair[0].shape
    # Without the outermost pixels, which may be an encoder's.
    top, bottom = np.quantile(rows, (0.05, 0.95))
    left, right = np.quantile(columns, (0.05, 0.95))
    edge = max(right - left, bottom - top) + 1
    return (left + right + 1) / 2 / width, (top + bottom + 1) / 2 / height, edge / width


def _follow_boxes(
    found: list[tuple[float, float, float] | None], aspect: float
) -> tuple[tuple[tuple[float, float], ...], float]:
    """Make a calm path and one size of what was found in single frames."""
    rows = [row for row, each in enumerate(found) if each is not None]
    if not rows:
        return (), 0.0
    known = np.array([found[row] for row in rows], np.float64)
    every = np.arange(len(found))
    path = np.stack([np.interp(every, rows, known[:, k]) for k in range(2)], 1)
    path = gaussian_filter1d(path, _BOX_SMOOTHING_FRAMES, axis=0, mode="nearest")
    size = float(np.clip(_BOX_MARGIN * np.quantile(known[:, 2], 0.9), 0.08, min(1.0, 1 / aspect)))
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in path), round(size, 4)


def _read_peaks(path: Path, fps: Fraction, frames: int) -> tuple[int, ...]:
    """Read the loudest sample of each frame, 0 to 100."""
    samples = np.abs(read_audio(path, _PEAK_RATE_HZ).samples)
    edges = [round(k / fps * _PEAK_RATE_HZ) for k in range(frames + 1)]
    loudest = max(float(samples.max(initial=0)), 1e-6)
    return tuple(
        round(100 * float(samples[first:last].max(initial=0)) / loudest)
        for first, last in pairwise(edges)
    )
