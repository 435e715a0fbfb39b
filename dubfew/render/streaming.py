"""The stages that a frame goes through: what is to be painted, the drawing, the painted frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from dubfew.media import Frame
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track
from dubfew.references.footage import Geometry, geometry, keys
from dubfew.references.inputs import motion_window
from dubfew.render.compositing import Drawn, Order, Painter
from dubfew.render.transitions import opacity, presence

BLOCK = 64  # frames whose meshes are held at once
BATCH = 4  # frames that go through the network together
# Distances to the references are smoothed over time, so that their order does not flicker.
CHOICE_SMOOTHING = 1.0
# Share of the pose's weight in these distances, against that in keys as they are stored, where
# the mouth is not the scene's own. The mesh carries a mouth over ten degrees well; a mouth of
# another shape it can only stretch, and sound asks for mouths never seen in the scene's pose.
POSE_SHARE = 0.3


def drawn(
    frames: Iterator[Frame],
    track: Track,
    motion: MouthMotion,
    head: HeadModel,
    painter: Painter,
) -> Iterator[Frame | Drawn]:
    """What is to be painted into the frames; those without a face that can be
    painted pass untouched."""
    rows, scores = choose_references(track, head, painter)
    usable, seen = track.usable, opacity(presence(track))
    block: Geometry | None = None
    waiting: list[Frame | Order] = []
    orders = 0
    for number, frame in enumerate(frames):
        if number >= len(track):
            break
        if number % BLOCK == 0:
            block = geometry(track.select(slice(number, number + BLOCK)), head)
        if usable[number]:
            assert block is not None
            waiting.append(
                Order(
                    frame,
                    block,
                    number % BLOCK,
                    motion_window(motion.displacement, number),
                    rows[number],
                    scores[number],
                    float(seen[number]),
                )
            )
            orders += 1
        else:
            waiting.append(frame)
        if orders == BATCH or len(waiting) == 4 * BATCH:
            yield from _flush(waiting, painter)
            waiting, orders = [], 0
    yield from _flush(waiting, painter)


def _flush(waiting: list[Frame | Order], painter: Painter) -> Iterator[Frame | Drawn]:
    orders = [item for item in waiting if isinstance(item, Order)]
    drawings = iter(painter.draw(orders) if orders else [])
    for item in waiting:
        yield Drawn(item, next(drawings)) if isinstance(item, Order) else item


def painted(items: Iterable[Frame | Drawn], painter: Painter) -> Iterator[Frame]:
    """The frames with their mouths painted."""
    for item in items:
        yield painter.compose(item.order, item.drawing) if isinstance(item, Drawn) else item


def choose_references(
    track: Track, head: HeadModel, painter: Painter
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For every frame the references whose mouth and pose are nearest. [N, K] each"""
    wanted = np.concatenate(
        [keys(track.select(slice(i, i + BLOCK)), head) for i in range(0, len(track), BLOCK)]
    )
    weight = np.ones(wanted.shape[1], np.float32)
    weight[-3:] = 1.0 if painter.aligns else POSE_SHARE
    bank, wanted = painter.references.key * weight, wanted * weight
    squared = (wanted**2).sum(1)[:, None] + (bank**2).sum(1) - 2 * wanted @ bank.T
    distance = gaussian_filter1d(
        np.sqrt(np.maximum(squared, 0)), CHOICE_SMOOTHING, axis=0, mode="nearest"
    )
    count = painter.renderer.config.references
    rows = np.argsort(distance, axis=1, kind="stable")[:, :count]
    if rows.shape[1] < count:
        rows = np.concatenate([rows, np.repeat(rows[:, :1], count - rows.shape[1], 1)], 1)
    return rows, np.take_along_axis(distance, rows, 1).astype(np.float32)
