"""Find out whether the fields of interlaced video show two times, or one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from dubfew.media.frame import Frame
from dubfew.media.info import VideoInfo
from dubfew.media.pixels import NATIVE_FORMATS
from dubfew.media.reading import read_frames

# Frames at the start of a video, and step between those, in which lines are compared: the second
# half of a second of speech shows a moving mouth.
SEARCH_FRAMES, SEARCH_STEP = 75, 5
# A pixel is combed if its line differs from the lines beside it by this many levels of 8 bit more
# than from the lines of its own field, twice over.
COMB_LEVELS = 8.0
# Part of a picture's pixels that are combed from which its fields have two times. Noise and edges
# of pictures without fields stay below 0.0001; a mouth that moves in a head-and-shoulders shot
# combs 0.001.
MIN_COMBED_FRACTION = 3e-4


def find_field_order(info: VideoInfo) -> int:
    """Return the order in which a video's fields are to be painted; 0 if its frames are.

    Video that is flagged as interlaced and whose fields have one time (film in a broadcast file) is
    painted frame by frame.

    Args:
        info: properties of the video, of whole frames.

    Raises:
        MediaError: The file cannot be read as video.
    """
    if not info.is_interlaced or info.rotation or not NATIVE_FORMATS[info.pix_fmt].is_yuv:
        return 0
    state = info.path.stat()
    is_combed = _has_combed_frames(info.path.resolve(), state.st_mtime_ns, state.st_size)
    return info.field_order if is_combed else 0


@lru_cache(maxsize=64)
def _has_combed_frames(path: Path, modified: int, size: int) -> bool:
    """Look for combed frames at the start of a file, once for each state of it."""
    return any(
        measure_combing(frame) >= MIN_COMBED_FRACTION
        for frame in read_frames(path, stop=SEARCH_FRAMES, whole=True)
        if frame.index % SEARCH_STEP == 0
    )


def measure_combing(frame: Frame) -> float:
    """Measure the part of a frame's pixels in which its lines alternate between two pictures."""
    luma = frame.planes()[0].astype(np.float32)
    if len(luma) < 8:
        return 0.0
    luma /= 1 << (NATIVE_FORMATS[frame.pix_fmt].bits - 8)
    middle = luma[2:-2]
    beside = (luma[1:-3] + luma[3:-1]) / 2 - middle
    own = (luma[:-4] + luma[4:]) / 2 - middle
    combed = np.abs(beside) > 2 * np.abs(own) + COMB_LEVELS
    # One thin line differs from its neighbors in one direction; combs alternate.
    alternates = combed[1:] & combed[:-1] & (beside[1:] * beside[:-1] < 0)
    return float(alternates.mean())
