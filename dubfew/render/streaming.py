"""The stages that a frame goes through: what is to be painted, the drawing, the painted frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dubfew.media import Frame
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track
from dubfew.references.inputs import select_motion_window
from dubfew.references.selection import choose_references
from dubfew.references.track_geometry import TrackGeometry, compute_track_geometry
from dubfew.render.compositing import FrameTask, MouthCompositor, PredictedFrame
from dubfew.render.transitions import paint_opacity, transition_weights

GEOMETRY_BLOCK_FRAMES = 64  # frames whose meshes are held at once
NETWORK_BATCH_FRAMES = 4  # frames that go through the network together


def predict_frames(
    frames: Iterator[Frame],
    track: Track,
    motion: MouthMotion,
    head: HeadModel,
    compositor: MouthCompositor,
) -> Iterator[Frame | PredictedFrame]:
    """What is to be painted into the frames; those without a face that can be
    painted pass untouched."""
    rows, scores = choose_references(
        track,
        head,
        compositor.references.key,
        compositor.renderer.config.references,
        mouth_in_scene=compositor.align_meshes,
    )
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
