"""SyncNet's score of a video: face crops at 25 fps and the sound beside them, as a stream.

The published pipeline (``run_pipeline.py`` of syncnet_python) needs FFmpeg, S3FD and several passes
over files. This one needs one pass and constant memory. It differs in three points: the face's box
comes from MediaPipe's landmarks, the pictures are not compressed twice on the way, and the
smoothing of the box does not take zeros for the frames beyond the ends of a track.
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
from dubfew.evaluate.lipsync.syncnet import (
    CEPSTRA_PER_WINDOW,
    FRAMES_PER_WINDOW,
    SYNCNET_INPUT_SIZE_PX,
    LipSyncScore,
    ShiftDistances,
    SyncNet,
)
from dubfew.media import Frame, probe, read_frames, stream_audio
from dubfew.media.mfcc import SYNCNET_RATE_HZ, mfcc
from dubfew.progress import Progress, ProgressCallback, no_progress

# Frame rate that SyncNet was trained at, Hz.
SYNCNET_FPS = 25
# Samples of sound beside one picture.
SAMPLES_PER_FRAME = SYNCNET_RATE_HZ // SYNCNET_FPS
# Rows of `mfcc` beside one picture.
CEPSTRA_PER_FRAME = 4
# Landmarks on the face; those after them are on the irises and add nothing to its box.
NUM_MESH_LANDMARKS = 468
# Margin of the crop, in units of half the edge of the face's box. The crop begins at the top of the
# box and reaches this margin to both sides and twice this margin below, as SyncNet was trained.
SYNCNET_CROP_SCALE = 0.4
# Length of the median over the face's boxes, in frames, as in the authors' pipeline.
SQUARE_MEDIAN_FRAMES = 13
# Gray level beyond the edges of the frame, as in the authors' pipeline.
PADDING_GRAY = 110
# Pictures that must be there before a window counts: the authors' code needs the picture after the
# window's last one, too.
FRAMES_NEEDED_PER_WINDOW = FRAMES_PER_WINDOW + 1
# Windows that go through the network together. Its first layer needs 10 MB for each.
WINDOWS_PER_BATCH = 8
# Full scale of 16-bit samples.
INT16_SCALE = 32768.0

# Center x, center y and half the edge of a face's box, px. [3]
FaceSquare = NDArray[np.float64]


def measure_lip_sync(
    video: Path | str,
    landmarks: NDArray[np.float32],  # [N, 478, 3]
    syncnet: SyncNet,
    *,
    progress: ProgressCallback = no_progress,
) -> LipSyncScore:
    """Measure LSE-C, LSE-D and offset of the longest run of frames with a face.

    Gaps of up to a second without a face are bridged.

    Args:
        video: file with sound.
        landmarks: landmarks of its first N frames, px; rows of frames without a face are NaN, and
            later frames are ignored. [N, 478, 3]
        syncnet: network with its weights.
        progress: function that is called with the state of the stage "lip sync".

    Returns:
        The score; NaN without sound, without a face, or if there are less than 0.84 s of both.

    Raises:
        MediaError: The file cannot be read.

    Source: Prajwal et al. 2020, "A Lip Sync Expert Is All You Need for Speech to Lip Generation in
    the Wild" (arXiv 2008.10010), section 4.
    """
    info = probe(video)
    start, stop = find_longest_face_run(has_face(landmarks), round(info.fps))
    if start == stop or not info.has_audio:
        return LipSyncScore()
    # Only the run is decoded; its first frame gives the start of the sound.
    squares = compute_face_squares(landmarks[start:stop])
    frames = read_frames(video, start=start, stop=stop)
    first = next(frames)
    pictures = (
        crop_syncnet_face(frame, squares[frame.index - start])
        for frame in resample_frames(chain([first], frames))
    )
    # From here on in pictures at 25 fps instead of frames of the video.
    total = round((stop - start) / info.fps * SYNCNET_FPS)
    distances = ShiftDistances()
    sound = stream_audio_frames(video, round(first.stamp * SYNCNET_RATE_HZ))
    with torch.inference_mode():
        for clip, cepstra in batch_windows(zip(pictures, sound, strict=False)):
            distances.add(syncnet.embed_frames(clip), syncnet.embed_audio(cepstra))
            progress(Progress("lip sync", distances.num_windows + FRAMES_PER_WINDOW, total))
    return distances.compute_score()


def find_longest_face_run(shows_face: NDArray[np.bool_], max_gap_frames: int) -> tuple[int, int]:
    """Find the longest run of frames with a face.

    Args:
        shows_face: True for frames that show a face. [N]
        max_gap_frames: largest distance, in frames, of two faces that belong to one run.

    Returns:
        First frame of the run, and frame after its last; 0 and 0 without a face.

    Example:
        >>> find_longest_face_run(np.array([1, 0, 0, 1, 0, 1, 1], bool), 2)
        (3, 7)
    """
    faces = np.flatnonzero(shows_face)
    if not len(faces):
        return 0, 0
    runs = np.split(faces, np.flatnonzero(np.diff(faces) > max_gap_frames) + 1)
    longest = max(runs, key=lambda run: run[-1] - run[0])
    return int(longest[0]), int(longest[-1]) + 1


def compute_face_squares(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the smoothed square from forehead to chin in every frame.

    Args:
        landmarks: landmarks in px; rows without a face are NaN and get a square between those of
            their neighbors. The first and the last row must show a face. [N, 478, 3]

    Returns:
        Center x, center y and half the edge, px. [N, 3]
    """
    faces = np.flatnonzero(has_face(landmarks))
    # The bounding box of the face, as a square.
    mesh = landmarks[faces, :NUM_MESH_LANDMARKS, :2].astype(np.float64)
    low, high = mesh.min(axis=1), mesh.max(axis=1)
    measured = np.column_stack([(low + high) / 2, (high - low).max(axis=1) / 2])
    frames = np.arange(len(landmarks))
    squares = np.column_stack([np.interp(frames, faces, column) for column in measured.T])
    return np.asarray(median_filter(squares, size=(SQUARE_MEDIAN_FRAMES, 1), mode="nearest"))


def crop_syncnet_face(frame: Frame, square: FaceSquare) -> Tensor:
    """Crop a face for SyncNet, with gray beyond the edges of the frame.

    Args:
        frame: decoded frame.
        square: the face's square from `compute_face_squares`. [3]

    Returns:
        BGR, whole numbers 0 to 255. [3, 224, 224]
    """
    x, y, half = square
    side, below = half * (1 + SYNCNET_CROP_SCALE), half * (1 + 2 * SYNCNET_CROP_SCALE)
    left, top, right, bottom = (
        int(np.floor(edge)) for edge in (x - side, y - half, x + side, y + below)
    )
    # At least one pixel; gray where the crop leaves the frame.
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    crop = np.full((bottom - top, right - left, 3), PADDING_GRAY, np.uint8)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(right, frame.width), min(bottom, frame.height)
    if x0 < x1 and y0 < y1:
        crop[y0 - top : y1 - top, x0 - left : x1 - left] = frame.crop_rgb(x0, y0, x1, y1)
    image = torch.from_numpy(crop).permute(2, 0, 1).flip(0)[None].float()
    # Bilinear without anti-aliasing, like OpenCV's resize, with which SyncNet was trained.
    return F.interpolate(
        image, (SYNCNET_INPUT_SIZE_PX, SYNCNET_INPUT_SIZE_PX), mode="bilinear", align_corners=False
    )[0].round()


def resample_frames(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Resample frames to 25 fps by taking the nearest in time.

    Frames are repeated or left out where the video has fewer or more.

    Args:
        frames: frames in order, with their own times.

    Yields:
        The nearest frame at every 1/25 s, from the first frame's time to the last one's end; of
        two frames equally near, the earlier.
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
    # The last picture counts only if at least half of it is shown: many files round durations.
    while previous is not None and moment + step / 2 < previous.stamp + previous.duration:
        yield previous
        moment += step


def stream_audio_frames(video: Path | str, start_sample: int) -> Iterator[NDArray[np.float64]]:
    """Read a video's sound in whole blocks of 1/25 s, rounded as in 16-bit files.

    Args:
        video: file with sound.
        start_sample: first sample to take, counted at 16 kHz.

    Yields:
        Samples in the units of 16-bit files, -32768 to 32767; an incomplete last block is left
        out. [640] each

    Raises:
        MediaError: The sound cannot be read.
    """
    rest = np.zeros(0, np.float32)
    for block in stream_audio(video, SYNCNET_RATE_HZ):
        # Blocks of the decoder have any length.
        skipped = min(start_sample, len(block))
        start_sample -= skipped
        rest = np.concatenate([rest, block[skipped:]])
        while len(rest) >= SAMPLES_PER_FRAME:
            scaled = np.rint(np.nan_to_num(rest[:SAMPLES_PER_FRAME]) * INT16_SCALE)
            yield np.clip(scaled, -INT16_SCALE, INT16_SCALE - 1)
            rest = rest[SAMPLES_PER_FRAME:]


def batch_windows(
    frame_pairs: Iterable[tuple[Tensor, NDArray[np.float64]]],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Collect pictures and sound into batches of B windows that are one picture apart.

    Args:
        frame_pairs: a face crop [3, 224, 224] and the samples beside it [640], in order.

    Yields:
        Pictures, every five of which are a window [B + 4, 3, 224, 224], and the cepstra of the
        windows [B, 13, 20].
    """
    pictures: list[Tensor] = []
    sound: list[NDArray[np.float64]] = []
    # The sample before the batch, which pre-emphasis needs.
    before = 0.0
    for picture, samples in frame_pairs:
        pictures.append(picture)
        sound.append(samples)
        # Neighboring windows share pictures, so a batch needs a few more than it has windows.
        if len(pictures) == WINDOWS_PER_BATCH + FRAMES_NEEDED_PER_WINDOW - 1:
            yield _stack_windows(pictures, sound, before)
            before = float(sound[WINDOWS_PER_BATCH - 1][-1])
            del pictures[:WINDOWS_PER_BATCH], sound[:WINDOWS_PER_BATCH]
    if len(pictures) >= FRAMES_NEEDED_PER_WINDOW:
        yield _stack_windows(pictures, sound, before)


def _stack_windows(
    pictures: list[Tensor], sound: list[NDArray[np.float64]], before: float
) -> tuple[Tensor, Tensor]:
    """One batch of windows; its last picture only completes the last window's sound."""
    count = len(pictures) - FRAMES_NEEDED_PER_WINDOW + 1
    cepstra = mfcc(np.concatenate(sound), before)
    # A window of cepstra begins at every picture.
    views = np.lib.stride_tricks.sliding_window_view(cepstra, CEPSTRA_PER_WINDOW, axis=0)
    views = views[::CEPSTRA_PER_FRAME][:count]  # [B, 13, 20]
    return torch.stack(pictures[:-1]), torch.from_numpy(views.astype(np.float32))
