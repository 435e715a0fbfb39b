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
from scipy.ndimage import binary_dilation, gaussian_filter1d, label

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
# Standard deviation of the filter that calms the box, frames: about a syllable's jitter of what
# differs, and less than a turn of the head.
_BOX_SMOOTHING_FRAMES = 3.0
# Gap between painted blocks up to which they are one mouth, blocks; and the fewest of a mouth.
_GAP_BLOCKS, _MIN_BLOCKS = 2, 3
# Distance that a mouth moves at most from one painted frame to the next, as a multiple of its size.
_MAX_STEP_SIZES = 1.0
# Share of the painted frames from which something that was painted counts as a mouth.
_MIN_MOUTH_SHARE = 0.1
# Sample rate at which the peaks of the sound are read, Hz.
_PEAK_RATE_HZ = 16000


@dataclass(frozen=True)
class PaintedMouth:
    """The way of one painted mouth through a take.

    Attributes:
        path: middle of it in each frame, x and y as shares of the picture. [N][2]
        size: edge of the square around it, as a share of the picture's width.
    """

    path: tuple[tuple[float, float], ...]
    size: float


@dataclass(frozen=True)
class PairFacts:
    """What a page needs to know of a pair.

    Attributes:
        width: width of each picture in the video, px.
        height: its height, px.
        fps: exact frame rate.
        frames: number of frames.
        peaks: loudest sample of each frame, 0 to 100; empty without sound.
        mouths: what was painted, from left to right.
    """

    width: int
    height: int
    fps: Fraction
    frames: int
    peaks: tuple[int, ...]
    mouths: tuple[PaintedMouth, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON."""
        return {
            "width": self.width,
            "height": self.height,
            "fps": [self.fps.numerator, self.fps.denominator],
            "frames": self.frames,
            "peaks": self.peaks,
            "mouths": [{"path": mouth.path, "size": mouth.size} for mouth in self.mouths],
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
    found: list[list[tuple[float, float, float]]] = []
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
    mouths = _follow_mouths(found, width / height)
    peaks = _read_peaks(take, info.fps, len(found)) if info.has_audio else ()
    return PairFacts(width, height, info.fps, len(found), peaks, mouths)


def _find_painted(
    before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> list[tuple[float, float, float]]:
    """Find middle x and y and the larger edge of all that differs, as shares of width and height.

    Parts that lie apart, such as two mouths, are listed by themselves.
    """
    if before.shape != after.shape:
        return []
    pair = [
        np.asarray(Image.fromarray(each).convert("L").reduce(_BLOCK_PX), np.float32)
        for each in (before, after)
    ]
    differs = np.abs(pair[0] - pair[1]) > _PAINTED_LEVELS
    near = np.ones((2 * _GAP_BLOCKS + 1, 2 * _GAP_BLOCKS + 1), bool)
    parts, count = label(binary_dilation(differs, near))
    height, width = differs.shape
    found = []
    for part in range(1, count + 1):
        rows, columns = np.nonzero(differs & (parts == part))
        if len(rows) < _MIN_BLOCKS:
            continue
        # Without the outermost pixels, which may be an encoder's.
        top, bottom = np.quantile(rows, (0.05, 0.95))
        left, right = np.quantile(columns, (0.05, 0.95))
        edge = float(max(right - left, bottom - top) + 1)
        middle = float(left + right + 1) / 2 / width, float(top + bottom + 1) / 2 / height
        found.append((*middle, edge / width))
    return found


def _follow_mouths(
    found: list[list[tuple[float, float, float]]], aspect: float
) -> tuple[PaintedMouth, ...]:
    """Follow each painted part from frame to frame, along a calm path and in one size."""
    tracks: list[list[tuple[int, tuple[float, float, float]]]] = []
    for row, parts in enumerate(found):
        # The nearest first, so that a part of noise takes no mouth's place.
        pairs = sorted(
            (float(np.hypot(part[0] - last[0], (part[1] - last[1]) / aspect)), k, number)
            for k, part in enumerate(parts)
            for number, track in enumerate(tracks)
            for last in (track[-1][1],)
        )
        free, open_tracks = {*range(len(parts))}, {*range(len(tracks))}
        for distance, k, number in pairs:
            reach = _MAX_STEP_SIZES * max(parts[k][2], tracks[number][-1][1][2])
            if k in free and number in open_tracks and distance <= reach:
                tracks[number].append((row, parts[k]))
                free.discard(k)
                open_tracks.discard(number)
        tracks += [[(row, parts[k])] for k in sorted(free)]
    painted = sum(bool(parts) for parts in found)
    kept = [track for track in tracks if len(track) >= max(1, _MIN_MOUTH_SHARE * painted)]
    mouths = []
    for track in kept:
        rows = [row for row, _ in track]
        known = np.array([part for _, part in track], np.float64)
        every = np.arange(len(found))
        path = np.stack([np.interp(every, rows, known[:, k]) for k in range(2)], 1)
        path = gaussian_filter1d(path, _BOX_SMOOTHING_FRAMES, axis=0, mode="nearest")
        edge = _BOX_MARGIN * float(np.quantile(known[:, 2], 0.9))
        size = float(np.clip(edge, 0.08, min(1.0, 1 / aspect)))
        plain = tuple((round(float(x), 4), round(float(y), 4)) for x, y in path)
        mouths.append(PaintedMouth(plain, round(size, 4)))
    return tuple(sorted(mouths, key=lambda mouth: mouth.path[0][0]))


def _read_peaks(path: Path, fps: Fraction, frames: int) -> tuple[int, ...]:
    """Read the loudest sample of each frame, 0 to 100."""
    samples = np.abs(read_audio(path, _PEAK_RATE_HZ).samples)
    edges = [round(k / fps * _PEAK_RATE_HZ) for k in range(frames + 1)]
    loudest = max(float(samples.max(initial=0)), 1e-6)
    return tuple(
        round(100 * float(samples[first:last].max(initial=0)) / loudest)
        for first, last in pairwise(edges)
    )
