"""Fields of interlaced video: made frames of their own, and woven into frames again.

A frame of interlaced video holds two pictures of different times, one in its even and one in its
odd lines. What is painted over both at once loses its comb pattern and moves at half the rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from dubfew.media.frame import Frame
from dubfew.media.info import TOP_FIELD_ORDERS
from dubfew.media.pixels import new_picture


def split_fields(frames: Iterable[Frame], order: int) -> Iterator[Frame]:
    """Make two frames of every interlaced one, of half its duration; both have all lines.

    Lines of its own field are in a frame to the bit. Those between come from the frames around,
    where nothing moves, and from the lines beside them.

    Args:
        frames: whole frames in order, of one size and format.
        order: order of the fields, one of `FIELD_ORDERS`.

    Source: Weston and Thomas 1988, via FFmpeg's filter ``bwdif``.
    """
    parity = "tff" if order in TOP_FIELD_ORDERS else "bff"
    graph: av.filter.Graph | None = None
    waiting: list[Frame] = []  # whole frames whose fields did not come out yet
    count = 0

    def take() -> Iterator[Frame]:
        """Fields that the filter has ready."""
        nonlocal count
        assert graph is not None
        with suppress(av.BlockingIOError, av.EOFError):
            while True:
                picture = graph.pull()
                assert isinstance(picture, av.VideoFrame)
                whole, number = waiting[0], count % 2
                half = whole.duration / 2
                yield Frame(
                    picture,
                    2 * whole.index + number,
                    whole.stamp + number * half,
                    half,
                    whole.color,
                    whole.aspect,
                )
                count += 1
                if number == 1:
                    del waiting[0]

    for place, frame in enumerate(frames):
        if graph is None:
            graph = _make_splitter(frame.picture, parity)
        picture = new_picture(
            frame.pix_fmt, frame.picture.width, frame.picture.height, frame.planes()
        )
        picture.pts, picture.time_base = place, Fraction(1, 25)
        waiting.append(frame)
        graph.push(picture)
        yield from take()
    if graph is not None:
        graph.push(None)
        yield from take()


def _make_splitter(picture: av.VideoFrame, parity: str) -> av.filter.Graph:
    """Make the filter that gives two pictures for each one."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=Fraction(1, 25),
    )
    splitter = graph.add("bwdif", f"mode=send_field:parity={parity}:deint=all")
    graph.link_nodes(source, splitter, graph.add("buffersink"))
    graph.configure()
    return graph


def weave_fields(fields: Iterable[Frame], order: int) -> Iterator[Frame]:
    """Weave frames that were read as fields, two into one.

    Args:
        fields: frames from `split_fields`, in order, painted or not.
        order: order of the fields; 0 passes all frames as they are.

    Yields:
        A frame for every two; a last one without a partner keeps all of its lines.
    """
    if not order:
        yield from fields
        return
    first: Frame | None = None
    for field in fields:
        if first is None:
            first = field
            continue
        yield _weave_pair(first, field, order)
        first = None
    if first is not None:
        yield Frame(
            first.picture,
            first.index // 2,
            first.stamp,
            2 * first.duration,
            first.color,
            first.aspect,
        )


def _weave_pair(first: Frame, second: Frame, order: int) -> Frame:
    """Put lines of two fields into one frame."""
    planes = []
    late = 1 if order in TOP_FIELD_ORDERS else 0
    for early_plane, late_plane in zip(first.planes(), second.planes(), strict=True):
        woven = early_plane.copy()
        woven[late::2] = late_plane[late::2]
        planes.append(woven)
    picture = new_picture(first.pix_fmt, first.picture.width, first.picture.height, tuple(planes))
    return Frame(
        picture,
        first.index // 2,
        first.stamp,
        second.stamp + second.duration - first.stamp,
        first.color,
        first.aspect,
    )


def count_woven(fields: int, order: int) -> int:
    """Count the frames of a number of fields; of frames if ``order`` is 0."""
    return (fields + 1) // 2 if order else fields


def count_painted_frames(painted: NDArray[np.bool_], order: int) -> int:
    """Count the painted frames; a frame is painted where one of its fields is.

    Args:
        painted: whether each field was painted, or each frame if ``order`` is 0. [N]
        order: order of the fields.
    """
    if order:
        late = painted[1::2]
        painted = painted[::2].copy()
        painted[: len(late)] |= late
    return int(painted.sum())
