"""Pieces of a file, exact to the frame and to the sample."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from dubfew.errors import MediaError
from dubfew.media.audio import Audio, stream_audio
from dubfew.media.frame import Frame
from dubfew.media.info import probe
from dubfew.media.reading import read_frames
from dubfew.media.writing import VideoWriter


def cut_pictures(path: Path, out: Path, first: int, count: int, *, timecode: str = "") -> None:
    """Write some frames of a video into a file of their own, without sound and without any loss.

    Args:
        path: a video.
        out: file to write, .mkv.
        first: first frame, from 0.
        count: number of frames.
        timecode: timecode of the first of them, or "".

    Raises:
        MediaError: The video cannot be read, or ends before the last of them.
    """
    info = probe(path)
    with VideoWriter(out, info, lossless=True, codec="ffv1", timecode=timecode) as writer:
        for number, frame in enumerate(read_frames(path, start=first, stop=first + count)):
            # On the grid of the rate, which editors count in.
            stamp, shown = number / info.fps, 1 / info.fps
            writer.write(Frame(frame.picture, number, stamp, shown, frame.color))
        if writer.frames != count:
            raise MediaError(
                f"{path} ends at frame {first + writer.frames}, and frames {first} to "
                f"{first + count} are wanted"
            )


def read_sound_between(path: Path, begin: Fraction, seconds: Fraction, rate: int) -> Audio:
    """Read a piece of a file's sound, in memory that does not grow with what lies before it.

    Args:
        path: a video or sound file; one without sound counts as silent.
        begin: begin of the piece after the first frame, s; may be negative.
        seconds: length, s.
        rate: sample rate of the result, Hz.

    Returns:
        Mono sound of exactly that length; silence before the begin and behind the end of the file.

    Raises:
        MediaError: The file cannot be read.
    """
    first, count = round(begin * rate), round(seconds * rate)
    samples = np.zeros(count, np.float32)
    try:
        has_sound = probe(path).has_audio
    except MediaError:
        has_sound = True  # no video: sound alone, or an error below
    if not has_sound:
        return Audio(samples, rate)
    position = 0
    for block in stream_audio(path, rate):
        low, high = max(position, first), min(position + len(block), first + count)
        if low < high:
            samples[low - first : high - first] = block[low - position : high - position]
        position += len(block)
        if position >= first + count:
            break
    return Audio(samples, rate)
