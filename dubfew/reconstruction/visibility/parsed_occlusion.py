"""Occluded mouths, found by a segmenter that knows the parts of a face.

Unlike ``temporal_occlusion.py``, which compares the frames of a clip and needs no network, it also
finds an object that covers the mouth in most of the frames.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.media import Frame, read_frames
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.crop import (
    MASK_FEATHER_FRACTION,
    compute_track_regions,
    render_soft_mask,
)
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.segmenters import Segmenter
from dubfew.reconstruction.track import FLAG_MOUTH_COVERED, Track
from dubfew.reconstruction.visibility.pose_and_border import remove_short_runs

# Longer side of the crop that the segmenter gets, px: the size at which FaRL works.
PARSING_SIZE_PX = 448
# Largest hidden fraction of the mouth mask. On a turned head the mask's edge leaves the face, so
# that a smaller value flags free mouths.
MAX_HIDDEN_FRACTION = 0.1
# Frames between two calls of the progress callback.
PROGRESS_INTERVAL_FRAMES = 10


def flag_occluded_frames(
    path: Path | str,
    track: Track,
    segmenter: Segmenter,
    head: HeadModel,
    *,
    first_frame: int = 0,
    progress: ProgressCallback = no_progress,
) -> Track:
    """Add ``FLAG_MOUTH_COVERED`` where the segmenter finds something in front of the mouth.

    Reads the video once more, one frame at a time.

    Args:
        path: the video that was tracked.
        track: track of its frames from ``first_frame`` on.
        segmenter: segmenter with face parts.
        head: head model of the track.
        first_frame: number of the track's first frame in the video.
        progress: called every ten frames.

    Returns:
        The track with more flags.

    Raises:
        MediaError: The file cannot be read as video.
    """
    regions = compute_track_regions(track, head)
    hidden = np.zeros(len(track), bool)
    for row, frame in enumerate(
        read_frames(path, start=first_frame, stop=first_frame + len(track))
    ):
        # Frames without a face are flagged already.
        if track.valid[row]:
            window_side = regions.window[row, 2]
            fraction = measure_hidden_fraction(
                frame,
                track.box[row],
                track.landmarks[row],
                regions.hull[row],
                window_side,
                segmenter,
            )
            hidden[row] = fraction > MAX_HIDDEN_FRACTION
        if row % PROGRESS_INTERVAL_FRAMES == PROGRESS_INTERVAL_FRAMES - 1:
            progress(Progress("occluders", row + 1, len(track)))
    progress(Progress("occluders", len(track), len(track)))
    # Runs of covered frames are smoothed within each shot.
    for number in np.unique(track.shot):
        rows = track.shot == number
        hidden[rows] = remove_short_runs(hidden[rows])
    flags = track.flags | (hidden & track.valid) * np.uint8(FLAG_MOUTH_COVERED)
    return replace(track, flags=flags.astype(np.uint8))


def measure_hidden_fraction(
    frame: Frame,
    box: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    hull: NDArray[np.float32],
    window_side: float,
    segmenter: Segmenter,
) -> float:
    """Measure the fraction of the mouth mask that covers something else than the face.

    Args:
        frame: frame of the video.
        box: crop of the head: left, top, right, bottom, px. [4]
        landmarks: px. [478, 3]
        hull: corners of the mouth mask, px. [48, 2]
        window_side: edge of the mouth window, px.
        segmenter: segmenter with face parts.

    Returns:
        Fraction of the mask's opacity, 0 to 1; 0 if the crop or the mask is empty.
    """
    # The part of the head's crop that lies inside of the frame, at the segmenter's size.
    x0, y0 = np.maximum(np.floor(box[:2]).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(box[2:]).astype(int), (frame.width, frame.height))
    scale = PARSING_SIZE_PX / max(x1 - x0, y1 - y0, 1)
    width, height = round((x1 - x0) * scale), round((y1 - y0) * scale)
    if width < 1 or height < 1:
        return 0.0
    mask = render_soft_mask(
        hull, MASK_FEATHER_FRACTION * window_side, x0, y0, 1 / scale, height, width
    )
    # A mask outside of the frame covers nothing.
    if mask.sum() < 1:
        return 0.0
    crop = Image.fromarray(frame.crop_rgb(x0, y0, x1, y1))
    rgb = np.asarray(crop.resize((width, height), Image.Resampling.BILINEAR))
    crop_landmarks = (landmarks - np.array([x0, y0, 0], np.float32)) * np.float32(scale)
    occluders = segmenter(rgb, crop_landmarks).occluder_probability
    return float((occluders * mask).sum() / mask.sum())
