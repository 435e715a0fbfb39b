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
from dubfew.evaluate.lipsync.mfcc import SYNCNET_RATE_HZ, mfcc
from dubfew.evaluate.lipsync.syncnet import (
    CEPSTRA_PER_WINDOW,
    FRAMES_PER_WINDOW,
    SYNCNET_INPUT_SIZE_PX,
    LipSyncScore,
    ShiftDistances,
    SyncNet,
)
from dubfew.media import Frame, probe, read_frames, stream_audio
from dubfew.progress import Progress, ProgressCallback, no_progress

SYNCNET_FPS = 25  # per second
SAMPLES_PER_FRAME = SYNCNET_RATE_HZ // SYNCNET_FPS  # samples beside a picture
CEPSTRA_PER_FRAME = 4
NUM_MESH_LANDMARKS = 468  # landmarks on the face; the others are on the irises and add nothing
# The crop reaches from the top of the face's box to this share of its half side below the box, and
# as far in all to the sides.
SYNCNET_CROP_SCALE = 0.4
SQUARE_MEDIAN_FRAMES = 13  # frames, a median
PADDING_GRAY = 110  # grey beyond the frame's edges
# The authors' code asks for the beat after a window's last one, too.
FRAMES_NEEDED_PER_WINDOW = FRAMES_PER_WINDOW + 1
# Windows at a time: the first layer needs 10 MB for each.
WINDOWS_PER_BATCH = 8

FaceSquare = NDArray[np.float64]  # [3] centre x, centre y, half the side of the face's box, px


def measure_lip_sync(
    video: Path | str,
    landmarks: NDArray[np.float32],  # [N, 478, 3]
    syncnet: SyncNet,
    *,
    progress: ProgressCallback = no_progress,
) -> LipSyncScore:
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
    start, stop = find_longest_face_run(has_face(landmarks), round(info.fps))
    if start == stop or not info.has_audio:
        return LipSyncScore()
    squares = compute_face_squares(landmarks[start:stop])
    frames = read_frames(video, start=start, stop=stop)
    first = next(frames)
    pictures = (
        crop_syncnet_face(frame, squares[frame.index - start])
        for frame in resample_frames(chain([first], frames))
    )
    total = round((stop - start) / info.fps * SYNCNET_FPS)
    distances = ShiftDistances()
    sound = stream_audio_frames(video, round(first.stamp * SYNCNET_RATE_HZ))
    with torch.inference_mode():
        for clip, cepstra in batch_windows(zip(pictures, sound, strict=False)):
            distances.add(syncnet.embed_frames(clip), syncnet.embed_audio(cepstra))
            progress(Progress("lip sync", distances.num_windows + FRAMES_PER_WINDOW, total))
    return distances.compute_score()


def find_longest_face_run(shows_face: NDArray[np.bool_], max_gap_frames: int) -> tuple[int, int]:
    """First frame, and frame after the last, of the longest stretch with a face.

    Args:
        shows_face: which frames show one. [N]
        max_gap_frames: faces at most so many frames apart belong to one stretch.
    """
    seen = np.flatnonzero(shows_face)
    if not len(seen):
        return 0, 0
    stretches = np.split(seen, np.flatnonzero(np.diff(seen) > max_gap_frames) + 1)
    longest = max(stretches, key=lambda stretch: stretch[-1] - stretch[0])
    return int(longest[0]), int(longest[-1]) + 1


def compute_face_squares(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where the face is, frame by frame: forehead to chin, smoothed. [N, 478, 3] -> [N, 3]

    Args:
        landmarks: px; rows without a face are NaN and get what lies between their neighbours.
            The first and the last row show one. [N, 478, 3]
    """
    faces = np.flatnonzero(has_face(landmarks))
    mesh = landmarks[faces, :NUM_MESH_LANDMARKS, :2].astype(np.float64)
    low, high = mesh.min(axis=1), mesh.max(axis=1)
    found = np.column_stack([(low + high) / 2, (high - low).max(axis=1) / 2])
    every = np.arange(len(landmarks))
    squares = np.column_stack([np.interp(every, faces, column) for column in found.T])
    return np.asarray(median_filter(squares, size=(SQUARE_MEDIAN_FRAMES, 1), mode="nearest"))


def crop_syncnet_face(frame: Frame, square: FaceSquare) -> Tensor:
    """The crop that SyncNet is shown: the face low in the middle, grey beyond the frame.

    Returns:
        BGR, whole numbers 0 to 255. [3, 224, 224]
    """
    x, y, half = square
    side, below = half * (1 + SYNCNET_CROP_SCALE), half * (1 + 2 * SYNCNET_CROP_SCALE)
    left, top, right, bottom = (
        int(np.floor(edge)) for edge in (x - side, y - half, x + side, y + below)
    )
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    crop = np.full((bottom - top, right - left, 3), PADDING_GRAY, np.uint8)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(right, frame.width), min(bottom, frame.height)
    if x0 < x1 and y0 < y1:
        crop[y0 - top : y1 - top, x0 - left : x1 - left] = frame.crop_rgb(x0, y0, x1, y1)
    image = torch.from_numpy(crop).permute(2, 0, 1).flip(0)[None].float()
    # Bilinear without anti-aliasing, as OpenCV's resize: SyncNet has never seen anything else.
    return F.interpolate(
        image, (SYNCNET_INPUT_SIZE_PX, SYNCNET_INPUT_SIZE_PX), mode="bilinear", align_corners=False
    )[0].round()


def resample_frames(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The frame nearest in time at every 1/25 s, from the first frame's time to the last's end.

    Frames are repeated or left out where the video has fewer or more; of two equally near the
    earlier is taken.
    """
    step = Fraction(1, SYNCNET_FPS)
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


def stream_audio_frames(video: Path | str, start_sample: int) -> Iterator[NDArray[np.float64]]:
    """A video's sound in whole blocks of 1/25 s, rounded as in 16-bit files. [640] each

    Args:
        start_sample: sample at 16 kHz with which to begin.
    """
    rest = np.zeros(0, np.float32)
    for block in stream_audio(video, SYNCNET_RATE_HZ):
        skipped = min(start_sample, len(block))
        start_sample -= skipped
        rest = np.concatenate([rest, block[skipped:]])
        while len(rest) >= SAMPLES_PER_FRAME:
            yield np.clip(np.rint(np.nan_to_num(rest[:SAMPLES_PER_FRAME]) * 32768.0), -32768, 32767)
            rest = rest[SAMPLES_PER_FRAME:]


def batch_windows(
    frame_pairs: Iterable[tuple[Tensor, NDArray[np.float64]]],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures and sound in step, as batches of B windows, one window a beat.

    Yields:
        Pictures [B + 4, 3, 224, 224], of which every five are a window, and the windows' cepstra
        [B, 13, 20].
    """
    pictures: list[Tensor] = []
    sound: list[NDArray[np.float64]] = []
    before = 0.0
    for picture, samples in frame_pairs:
        pictures.append(picture)
        sound.append(samples)
        if len(pictures) == WINDOWS_PER_BATCH + FRAMES_NEEDED_PER_WINDOW - 1:
            yield _stack_windows(pictures, sound, before)
            before = float(sound[WINDOWS_PER_BATCH - 1][-1])
            del pictures[:WINDOWS_PER_BATCH], sound[:WINDOWS_PER_BATCH]
    if len(pictures) >= FRAMES_NEEDED_PER_WINDOW:
        yield _stack_windows(pictures, sound, before)


def _stack_windows(
    pictures: list[Tensor], sound: list[NDArray[np.float64]], before: float
) -> tuple[Tensor, Tensor]:
    count = len(pictures) - FRAMES_NEEDED_PER_WINDOW + 1
    cepstra = mfcc(np.concatenate(sound), before)
    views = np.lib.stride_tricks.sliding_window_view(cepstra, CEPSTRA_PER_WINDOW, axis=0)
    views = views[::CEPSTRA_PER_FRAME][:count]  # [B, 13, 20]
    return torch.stack(pictures[:-1]), torch.from_numpy(views.astype(np.float32))
