"""Cutting, delaying and looping of clips, without a further generation of losses."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from dubfew.media import AudioSource, Frame, VideoWriter, probe, read_frames

# Length of the part of a clip that an actor is adapted on, s: as much as users have at least.
ADAPT_SECONDS = 4


def count_frames(clip: Path) -> int:
    """Count the frames that can be decoded; containers may state another number."""
    return sum(1 for _ in read_frames(clip))


def split_clip(
    clip: Path,
    adapt: Path,
    test: Path,
    *,
    seconds: float = ADAPT_SECONDS,
    test_seconds: float | None = None,
) -> int:
    """Cut a clip in two, without loss, with its own times and sound.

    Args:
        clip: file to cut.
        adapt: file for the first part.
        test: file for the rest.
        seconds: length of the first part, s; half of a clip that is shorter than twice that.
        test_seconds: longest length of the second part, s; None for all that is left.

    Returns:
        Number of frames in the first part.
    """
    total = count_frames(clip)
    cut = min(round(seconds * float(probe(clip).fps)), total // 2)
    _write_part(adapt, clip, 0, cut)
    rest = total - cut
    if test_seconds is not None:
        rest = min(rest, round(test_seconds * float(probe(clip).fps)))
    _write_part(test, clip, cut, cut + rest)
    return cut


def _write_part(path: Path, clip: Path, start: int, stop: int) -> None:
    """Write the frames [start, stop) of a clip with the sound beside them."""
    info = probe(clip)
    first = next(iter(read_frames(clip, start=start))).time
    length = (stop - start) / float(info.fps)
    sound = AudioSource(clip, start=first, duration=length) if info.has_audio else None
    with VideoWriter(path, info, audio=sound, lossless=True) as writer:
        for index, frame in enumerate(read_frames(clip, start=start, stop=stop)):
            writer.write(frame.with_time(index, frame.stamp))


def write_frames(path: Path, like: Path, frames: Iterable[Frame], *, lossless: bool = True) -> None:
    """Write frames with size, rate and colors of another clip, without sound.

    Args:
        path: file to write.
        like: clip whose properties are taken.
        frames: frames in order; their own times are ignored.
        lossless: encode without loss.
    """
    info = probe(like)
    with VideoWriter(path, info, lossless=lossless) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame.with_time(index, index / info.fps))


def delayed(clip: Path, frames: int = 1) -> Iterable[Frame]:
    """Delay the pictures of a clip; the first is repeated, and the number stays.

    Args:
        clip: file to read.
        frames: delay in frames.
    """
    waiting: list[Frame] = []
    for frame in read_frames(clip):
        waiting.append(frame)
        yield waiting[0]
        if len(waiting) > frames:
            waiting.pop(0)


def looped(clip: Path, seconds: Fraction | int) -> Iterable[Frame]:
    """Repeat a clip until a length is reached, with one frame in memory at a time.

    Args:
        clip: file to read.
        seconds: length of the result, s; a longer clip is cut.
    """
    count = round(seconds * probe(clip).fps)
    endless = itertools.chain.from_iterable(read_frames(clip) for _ in itertools.count())
    return itertools.islice(endless, count)
