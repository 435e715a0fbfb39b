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
from dubfew.references.footage import TrackGeometry, compute_frame_keys, compute_track_geometry
from dubfew.references.inputs import select_motion_window
from dubfew.render.compositing import FrameTask, MouthCompositor, PredictedFrame
from dubfew.render.transitions import paint_opacity, transition_weights

GEOMETRY_BLOCK_FRAMES = 64  # frames whose meshes are held at once
NETWORK_BATCH_FRAMES = 4  # frames that go through the network together
# Distances to the references are smoothed over time, so that their order does not flicker.
DISTANCE_SMOOTHING_FRAMES = 1.0
# Share of the pose's weight in these distances, against that in keys as they are stored, where
# the mouth is not the scene's own. The mesh carries a mouth over ten degrees well; a mouth of
# another shape it can only stretch, and sound asks for mouths never seen in the scene's pose.
POSE_DISTANCE_WEIGHT = 0.3


def predict_frames(
    frames: Iterator[Frame],
    track: Track,
    motion: MouthMotion,
    head: HeadModel,
    compositor: MouthCompositor,
) -> Iterator[Frame | PredictedFrame]:
    """What is to be painted into the frames; those without a face that can be
    painted pass untouched."""
    rows, scores = choose_references(track, head, compositor)
    usable, seen = track.usable, paint_opacity(transition_weights(track))
    block: TrackGeometry | None = None
    waiting: list[Frame | FrameTask] = []
    orders = 0
    for number, frame in enumerate(frames):
        if number >= len(track):
            break
        if number % GEOMETRY_BLOCK_FRAMES == 0:
            block = compute_track_geometry(
                track.select(slice(number, number + GEOMETRY_BLOCK_FRAMES)), head
            )
        if usable[number]:
            assert block is not None
            waiting.append(
                FrameTask(
                    frame,
                    block,
                    number % GEOMETRY_BLOCK_FRAMES,
                    select_motion_window(motion.displacement, number),
                    rows[number],
                    scores[number],
                    float(seen[number]),
                )
            )
            orders += 1
        else:
            waiting.append(frame)
        if orders == NETWORK_BATCH_FRAMES or len(waiting) == 4 * NETWORK_BATCH_FRAMES:
            yield from _predict_pending(waiting, compositor)
            waiting, orders = [], 0
    yield from _predict_pending(waiting, compositor)


def _predict_pending(
    pending: list[Frame | FrameTask], compositor: MouthCompositor
) -> Iterator[Frame | PredictedFrame]:
    orders = [item for item in pending if isinstance(item, FrameTask)]
    drawings = iter(compositor.predict_batch(orders) if orders else [])
    for item in pending:
        yield PredictedFrame(item, next(drawings)) if isinstance(item, FrameTask) else item


def composite_frames(
    items: Iterable[Frame | PredictedFrame], compositor: MouthCompositor
) -> Iterator[Frame]:
    """The frames with their mouths painted."""
    for item in items:
        yield (
            compositor.composite(item.task, item.prediction)
            if isinstance(item, PredictedFrame)
            else item
        )


def choose_references(
    track: Track, head: HeadModel, compositor: MouthCompositor
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For every frame the references whose mouth and pose are nearest. [N, K] each"""
    wanted = np.concatenate(
        [
            compute_frame_keys(track.select(slice(i, i + GEOMETRY_BLOCK_FRAMES)), head)
            for i in range(0, len(track), GEOMETRY_BLOCK_FRAMES)
        ]
    )
    weight = np.ones(wanted.shape[1], np.float32)
    weight[-3:] = 1.0 if compositor.align_meshes else POSE_DISTANCE_WEIGHT
    bank, wanted = compositor.references.key * weight, wanted * weight
    squared = (wanted**2).sum(1)[:, None] + (bank**2).sum(1) - 2 * wanted @ bank.T
    distance = gaussian_filter1d(
        np.sqrt(np.maximum(squared, 0)), DISTANCE_SMOOTHING_FRAMES, axis=0, mode="nearest"
    )
    count = compositor.renderer.config.references
    rows = np.argsort(distance, axis=1, kind="stable")[:, :count]
    if rows.shape[1] < count:
        rows = np.concatenate([rows, np.repeat(rows[:, :1], count - rows.shape[1], 1)], 1)
    return rows, np.take_along_axis(distance, rows, 1).astype(np.float32)
