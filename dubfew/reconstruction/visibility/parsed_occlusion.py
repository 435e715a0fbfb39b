"""Is something in front of the mouth? Told by a network that knows the parts of a face.

Beside ``covering.py``, which needs no network and knows the mouth from the rest of the clip only:
what stays in front of it, or is there in most frames, is seen here, too.
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

# Faces are looked at at this size, px: FaRL's own.
PARSING_SIZE_PX = 448
# So much of the paint may lie on what is not the face: its edge, on a turned head.
MAX_HIDDEN_FRACTION = 0.1


def flag_occluded_frames(
    path: Path | str,
    track: Track,
    segmenter: Segmenter,
    head: HeadModel,
    *,
    first_frame: int = 0,
    progress: ProgressCallback = no_progress,
) -> Track:
    """The track, ``FLAG_MOUTH_COVERED`` also where the segmenter sees something before the mouth.

    Reads the video once more, a frame at a time.

    Args:
        path: the video that was tracked.
        track: of its frames from ``first_frame`` on.
        segmenter: one that ``divides``.
        head: the track's.
        first_frame: number of the track's first frame.
        progress: told every ten frames.

    Raises:
        MediaError: the file cannot be read as video.
    """
    regions = compute_track_regions(track, head)
    hidden = np.zeros(len(track), bool)
    for row, frame in enumerate(
        read_frames(path, start=first_frame, stop=first_frame + len(track))
    ):
        if track.valid[row]:
            box, window = track.box[row], regions.window[row]
            share = measure_hidden_fraction(
                frame, box, track.landmarks[row], regions.hull[row], window[2], segmenter
            )
            hidden[row] = share > MAX_HIDDEN_FRACTION
        if row % 10 == 9:
            progress(Progress("occluders", row + 1, len(track)))
    for number in np.unique(track.shot):  # a stretch does not reach into another shot
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
    """Share of the mouth's paint that would lie on something else than the face.

    Args:
        frame: of the video.
        box: crop of the head: left, top, right, bottom, px. [4]
        landmarks: px. [478, 3]
        hull: corners of the mouth's region, px. [48, 2]
        window_side: of the mouth's window, px.
        segmenter: one that ``divides``.
    """
    x0, y0 = np.maximum(np.floor(box[:2]).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(box[2:]).astype(int), (frame.width, frame.height))
    scale = PARSING_SIZE_PX / max(x1 - x0, y1 - y0, 1)
    width, height = round((x1 - x0) * scale), round((y1 - y0) * scale)
    if width < 1 or height < 1:
        return 0.0
    paint = render_soft_mask(
        hull, MASK_FEATHER_FRACTION * window_side, x0, y0, 1 / scale, height, width
    )
    if paint.sum() < 1:
        return 0.0
    crop = Image.fromarray(frame.crop_rgb(x0, y0, x1, y1))
    rgb = np.asarray(crop.resize((width, height), Image.Resampling.BILINEAR))
    placed = (landmarks - np.array([x0, y0, 0], np.float32)) * np.float32(scale)
    return float((segmenter(rgb, placed).occluder_probability * paint).sum() / paint.sum())
