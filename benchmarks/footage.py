"""Cutting, delaying, blurring and looping clips without a further generation of losses."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

from dubfew.media import AudioSource, Frame, VideoWriter, probe, read_frames

ADAPT_SECONDS = 4


def count_frames(clip: Path) -> int:
    """Frames that can really be read, whatever the container says."""
    return sum(1 for _ in read_frames(clip))


def split_clip(clip: Path, adapt: Path, test: Path, *, seconds: float = ADAPT_SECONDS) -> int:
    """Write the first ``seconds`` of a clip, or half of a shorter one, and the rest; lossless, with
    the clip's own times and sound.

    Returns:
        Number of frames in the first part.
    """
    total = count_frames(clip)
    cut = min(round(seconds * float(probe(clip).fps)), total // 2)
    _write_part(adapt, clip, 0, cut)
    _write_part(test, clip, cut, total)
    return cut


def _write_part(path: Path, clip: Path, start: int, stop: int) -> None:
    info = probe(clip)
    first = next(iter(read_frames(clip, start=start))).time
    length = (stop - start) / float(info.fps)
    sound = AudioSource(clip, start=first, duration=length) if info.has_audio else None
    with VideoWriter(path, info, audio=sound, lossless=True) as writer:
        for index, frame in enumerate(read_frames(clip, start=start, stop=stop)):
            writer.write(frame.with_time(index, frame.stamp))


def write_frames(path: Path, like: Path, frames: Iterable[Frame], *, lossless: bool = True) -> None:
    """Write frames with size, rate and colours as in another clip, without sound.

    Each takes the next place in time, wherever it came from.
    """
    info = probe(like)
    with VideoWriter(path, info, lossless=lossless) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame.with_time(index, index / info.fps))


def delayed(clip: Path, frames: int = 1) -> Iterable[Frame]:
    """The clip's pictures some frames late, the first held; as many as before."""
    held: list[Frame] = []
    for frame in read_frames(clip):
        held.append(frame)
        yield held[0]
        if len(held) > frames:
            held.pop(0)


def edited(clip: Path, edit: Callable[[Frame], Frame]) -> Iterable[Frame]:
    """The clip with every frame edited."""
    return map(edit, read_frames(clip))


def looped(clip: Path, seconds: Fraction | int) -> Iterable[Frame]:
    """The clip again and again until ``seconds`` are full, one frame in memory at a time."""
    wanted = round(seconds * probe(clip).fps)
    endless = itertools.chain.from_iterable(read_frames(clip) for _ in itertools.count())
    return itertools.islice(endless, wanted)
