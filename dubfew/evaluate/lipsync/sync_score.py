"""A video as SyncNet is shown it: the face's crop at 25 fps and the sound beside it.

What the papers' pipeline (``run_pipeline.py`` of syncnet_python) does with FFmpeg and S3FD, in one
pass and constant memory. Not the same: the face's box is that of MediaPipe's landmarks, the
pictures are not compressed twice on the way, and at the ends of a track the smoothing of the box
does not take what lies beyond them for zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from torch import Tensor
from torch.nn import functional as F

from dubfew.evaluate.face_geometry import has_face
from dubfew.evaluate.lipsync.mfcc import RATE, mfcc
from dubfew.evaluate.lipsync.syncnet import (
    CEPSTRA,
    PICTURES,
    SIZE,
    LipSync,
    ShiftDistances,
    SyncNet,
)
from dubfew.media import Frame, probe, read_frames, stream_audio
from dubfew.progress import Progress, ProgressCallback, silent

PICTURE_RATE = 25  # per second
BEAT = RATE // PICTURE_RATE  # samples beside a picture
CEPSTRA_PER_BEAT = 4
MESH = 468  # landmarks on the face; the others are on the irises and add nothing
# The crop reaches from the top of the face's box to this share of its half side below the box, and
# as far in all to the sides.
CROP_SCALE = 0.4
BOX_SMOOTHING = 13  # frames, a median
OUTSIDE = 110  # grey beyond the frame's edges
# The authors' code asks for the beat after a window's last one, too.
BEATS = PICTURES + 1
# Windows at a time: the first layer needs 10 MB for each.
BATCH = 8

Square = NDArray[np.float64]  # [3] centre x, centre y, half the side of the face's box, px


def lip_sync(
    video: Path | str,
    landmarks: NDArray[np.float32],  # [N, 478, 3]
    syncnet: SyncNet,
    *,
    progress: ProgressCallback = silent,
) -> LipSync:
    """LSE-C, LSE-D and offset of a video's longest stretch with a face.

    Gaps of up to a second without a face are bridged. The figures are NaN without sound, without a
    face, and if less than 0.84 s of both are there.

    Args:
        video: with sound.
        landmarks: of its first N frames, px; the rest is not looked at. Rows of frames without a
            face are NaN. [N, 478, 3]
        syncnet: with its weights.
        progress: told of the stage "lip sync".

    Raises:
        MediaError: the file cannot be read.

    Source: Prajwal et al. 2020, A lip sync expert is all you need, sec. 4.
    """
    info = probe(video)
    start, stop = longest_stretch(has_face(landmarks), round(info.fps))
    if start == stop or not info.has_audio:
        return LipSync()
    squares = face_squares(landmarks[start:stop])
    frames = read_frames(video, start=start, stop=stop)
    first = next(frames)
    pictures = (
        face_picture(frame, squares[frame.index - start])
        for frame in at_picture_rate(chain([first], frames))
    )
    total = round((stop - start) / info.fps * PICTURE_RATE)
    distances = ShiftDistances()
    sound = beats_of_sound(video, round(first.stamp * RATE))
    with torch.inference_mode():
        for clip, cepstra in windows(zip(pictures, sound, strict=False)):
            distances.add(syncnet.of_pictures(clip), syncnet.of_sound(cepstra))
            progress(Progress("lip sync", distances.windows + PICTURES, total))
    return distances.result()


def longest_stretch(faces: NDArray[np.bool_], bridge: int) -> tuple[int, int]:
    """First frame, and frame after the last, of the longest stretch with a face.

    Args:
        faces: which frames show one. [N]
        bridge: faces at most so many frames apart belong to one stretch.
    """
    seen = np.flatnonzero(faces)
    if not len(seen):
        return 0, 0
    stretches = np.split(seen, np.flatnonzero(np.diff(seen) > bridge) + 1)
    longest = max(stretches, key=lambda stretch: stretch[-1] - stretch[0])
    return int(longest[0]), int(longest[-1]) + 1


def face_squares(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where the face is, frame by frame: forehead to chin, smoothed. [N, 478, 3] -> [N, 3]

    Args:
        landmarks: px; rows without a face are NaN and get what lies between their neighbours.
            The first and the last row show one. [N, 478, 3]
    """
    faces = np.flatnonzero(has_face(landmarks))
    mesh = landmarks[faces, :MESH, :2].astype(np.float64)
    low, high = mesh.min(axis=1), mesh.max(axis=1)
    found = np.column_stack([(low + high) / 2, (high - low).max(axis=1) / 2])
    every = np.arange(len(landmarks))
    squares = np.column_stack([np.interp(every, faces, column) for column in found.T])
    return np.asarray(median_filter(squares, size=(BOX_SMOOTHING, 1), mode="nearest"))


def face_picture(frame: Frame, square: Square) -> Tensor:
    """The crop that SyncNet is shown: the face low in the middle, grey beyond the frame.

    Returns:
        BGR, whole numbers 0 to 255. [3, 224, 224]
    """
    x, y, half = square
    side, below = half * (1 + CROP_SCALE), half * (1 + 2 * CROP_SCALE)
    left, top, right, bottom = (
        int(np.floor(edge)) for edge in (x - side, y - half, x + side, y + below)
    )
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    crop = np.full((bottom - top, right - left, 3), OUTSIDE, np.uint8)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(right, frame.width), min(bottom, frame.height)
    if x0 < x1 and y0 < y1:
        crop[y0 - top : y1 - top, x0 - left : x1 - left] = frame.crop_rgb(x0, y0, x1, y1)
    image = torch.from_numpy(crop).permute(2, 0, 1).flip(0)[None].float()
    # Bilinear without anti-aliasing, as OpenCV's resize: SyncNet has never seen anything else.
    return F.interpolate(image, (SIZE, SIZE), mode="bilinear", align_corners=False)[0].round()


def at_picture_rate(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The frame nearest in time at every 1/25 s, from the first frame's time to the last's end.

    Frames are repeated or left out where the video has fewer or more; of two equally near the
    earlier is taken.
    """
    step = Fraction(1, PICTURE_RATE)
    previous: Frame | None = None
    moment = Fraction(0)
    for frame in frames:
        if previous is None:
            moment = frame.stamp
        else:
            while moment <= (previous.stamp + frame.stamp) / 2:
                yield previous
                moment += step
        previous = frame
    # Half a picture is none: durations are rounded in many files.
    while previous is not None and moment + step / 2 < previous.stamp + previous.duration:
        yield previous
        moment += step


def beats_of_sound(video: Path | str, start: int) -> Iterator[NDArray[np.float64]]:
    """A video's sound in whole blocks of 1/25 s, rounded as in 16-bit files. [640] each

    Args:
        start: sample at 16 kHz with which to begin.
    """
    rest = np.zeros(0, np.float32)
    for block in stream_audio(video, RATE):
        skipped = min(start, len(block))
        start -= skipped
        rest = np.concatenate([rest, block[skipped:]])
        while len(rest) >= BEAT:
            yield np.clip(np.rint(np.nan_to_num(rest[:BEAT]) * 32768.0), -32768, 32767)
            rest = rest[BEAT:]


def windows(
    beats: Iterable[tuple[Tensor, NDArray[np.float64]]],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures and sound in step, as batches of B windows, one window a beat.

    Yields:
        Pictures [B + 4, 3, 224, 224], of which every five are a window, and the windows' cepstra
        [B, 13, 20].
    """
    pictures: list[Tensor] = []
    sound: list[NDArray[np.float64]] = []
    before = 0.0
    for picture, samples in beats:
        pictures.append(picture)
        sound.append(samples)
        if len(pictures) == BATCH + BEATS - 1:
            yield _batch(pictures, sound, before)
            before = float(sound[BATCH - 1][-1])
            del pictures[:BATCH], sound[:BATCH]
    if len(pictures) >= BEATS:
        yield _batch(pictures, sound, before)


def _batch(
    pictures: list[Tensor], sound: list[NDArray[np.float64]], before: float
) -> tuple[Tensor, Tensor]:
    count = len(pictures) - BEATS + 1
    cepstra = mfcc(np.concatenate(sound), before)
    views = np.lib.stride_tricks.sliding_window_view(cepstra, CEPSTRA, axis=0)
    views = views[::CEPSTRA_PER_BEAT][:count]  # [B, 13, 20]
    return torch.stack(pictures[:-1]), torch.from_numpy(views.astype(np.float32))
