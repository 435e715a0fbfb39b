"""Streams of frames through a render: tasks, predictions, composited frames."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from numpy.typing import NDArray

from dubfew.media import Frame
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.crop import FaceRegions
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track
from dubfew.references.inputs import select_motion_window
from dubfew.references.selection import choose_references, find_nearest_references
from dubfew.references.steady_insides import MouthInsides, find_teeth
from dubfew.references.track_geometry import TrackGeometry, compute_track_geometry
from dubfew.render.compositing import MouthCompositor
from dubfew.render.painting import PaintingPredictor
from dubfew.render.prediction import MouthPredictor, PreparedBatch
from dubfew.render.tasks import FilmedMouth, FrameTask, PredictedFrame
from dubfew.render.transitions import paint_opacity, transition_weights
from dubfew.utils.growable_array import release_pages

# Frames whose meshes are in memory at once. FLAME's take 60 kB each.
GEOMETRY_BLOCK_FRAMES = 64
# Frames that go through the network together. More are no faster on a CPU, and take memory. Two
# would take 50 MB less, and a tenth more of the network's time.
NETWORK_BATCH_FRAMES = 4
# Pixels of the frames that go through the network together: four batches are on their way at once,
# and a frame of 4K has 12 MB. Such frames go by twos, larger ones one by one.
NETWORK_BATCH_PIXELS = 2 * 3840 * 2160
# Frames that wait behind decoding, network and compositing: a frame of 1080p has 3 MB.
WAITING_FRAMES = 2
# Batches that wait for the match of light, and for the network, beside the one that is made
# meanwhile, which keeps them busy: each has 12 MB of inputs, and its frames.
PREPARED_BATCHES = 0
# Batches of frames that wait for one batch at most, with the untouched ones among them: a long
# stretch without a face must not fill the memory.
MAX_PENDING_BATCHES = 4


def make_frame_tasks(
    frames: Iterable[Frame],
    track: Track,
    motion: MouthMotion,
    predictor: MouthPredictor | PaintingPredictor,
    filmed: Track | None = None,
) -> Generator[Frame | FrameTask, None, None]:
    """Decide for every frame what is to be painted into it.

    Args:
        frames: frames of the scene, in the output's order.
        track: track of the same frames, with the mouths to render.
        motion: mouth motion of that track.
        predictor: the network that will paint, with the actor's references.
        filmed: track of the same frames with the mouths that they show, by which the light of a
            shot is learned and things before the face are found; None where those are the mouths
            to render, or are not to be looked at.

    Yields:
        A task for each frame that can be painted; the frame itself where it is to stay untouched.
        No more than the track has rows.
    """
    # Mouths of the scene are in the footage, or near: there the nearest reference knows best.
    insides = (
        None
        if predictor.align_meshes
        else MouthInsides(
            find_teeth(predictor.references.footage, predictor.head), motion.aperture()
        )
    )
    rows, distances = choose_references(
        track,
        predictor.head,
        predictor.references.footage.key,
        predictor.num_references,
        mouth_in_scene=predictor.align_meshes,
        insides=insides,
    )
    mouths = None
    if filmed is not None:
        keys = predictor.references.footage.key
        mouths = FilmedMouths(filmed, predictor.head, keys, predictor.num_references)
    usable, opacity = track.usable, paint_opacity(transition_weights(track))
    # The rows come first, so that no frame is read for nothing at the end.
    for number, frame in zip(range(len(track)), frames, strict=False):
        if number % GEOMETRY_BLOCK_FRAMES == 0:
            release_pages(track.landmarks)  # of earlier blocks
            block = compute_track_geometry(
                track.select(slice(number, number + GEOMETRY_BLOCK_FRAMES)), predictor.head
            )
        if usable[number]:
            yield FrameTask(
                frame,
                block,
                number % GEOMETRY_BLOCK_FRAMES,
                select_motion_window(motion.displacement, number),
                rows[number],
                distances[number],
                float(opacity[number]),
                int(track.shot[number]),
                number,
                track.landmarks[number],
                None if mouths is None else partial(mouths.find, number, block.regions),
            )
        else:
            yield frame


class FilmedMouths:
    """Finds the mouths that the frames of a track show, in blocks of frames, once one is asked for.

    Args:
        track: the frames, with their own mouths.
        head: the track's head model.
        reference_keys: keys of the actor's references. [R, D]
        num_references: how many for each frame.
    """

    def __init__(
        self, track: Track, head: HeadModel, reference_keys: NDArray, num_references: int
    ) -> None:
        self._track, self._head = track, head
        self._reference_keys, self._num_references = reference_keys, num_references
        self._number = -1
        self._block: TrackGeometry | None = None

    def find(self, number: int, regions: FaceRegions | None = None) -> FilmedMouth:
        """Find the mouth of a frame; fastest in the order of the frames.

        Args:
            number: row of the track.
            regions: those of its block, which do not depend on mouths; None to compute them.
        """
        block, row = divmod(number, GEOMETRY_BLOCK_FRAMES)
        if self._block is None or block != self._number:
            start = block * GEOMETRY_BLOCK_FRAMES
            part = self._track.select(slice(start, start + GEOMETRY_BLOCK_FRAMES))
            self._block = compute_track_geometry(part, self._head, regions)
            self._number = block
        references, distances = find_nearest_references(
            self._block.key[row], self._reference_keys, self._num_references
        )
        return FilmedMouth(self._block, row, references, distances)


@dataclass(frozen=True)
class FrameBatch:
    """Consecutive items of the stream, and the inputs of the tasks among them.

    Attributes:
        items: frames and tasks.
        prepared: the tasks, prepared for the network but for their light, until `match_frames`
            has matched it; None if there are none, and for painting renderers, which prepare
            windows of frames by themselves.
    """

    items: list[Frame | FrameTask]
    prepared: PreparedBatch | None = None


def prepare_frames(
    items: Iterable[Frame | FrameTask], predictor: MouthPredictor | PaintingPredictor
) -> Generator[FrameBatch, None, None]:
    """Prepare tasks in small batches, all but their light; untouched frames go with them.

    Args:
        items: frames and tasks, see `make_frame_tasks`.
        predictor: the network.

    Yields:
        All items, in their order.
    """
    if isinstance(predictor, PaintingPredictor):
        yield from (FrameBatch([item]) for item in items)
        return
    pending: list[Frame | FrameTask] = []
    num_tasks = 0
    shot = None
    for item in items:
        if isinstance(item, FrameTask):
            # The first frames of a shot tell its light, so a batch begins with it.
            if num_tasks and item.shot != shot:
                yield _prepare_pending(pending, predictor)
                pending, num_tasks = [], 0
            shot = item.shot
        # Untouched frames wait with the tasks, so that the order is kept.
        pending.append(item)
        num_tasks += isinstance(item, FrameTask)
        limit = _count_batch_frames(item.frame if isinstance(item, FrameTask) else item)
        if num_tasks == limit or len(pending) == MAX_PENDING_BATCHES * limit:
            yield _prepare_pending(pending, predictor)
            pending, num_tasks = [], 0
    yield _prepare_pending(pending, predictor)


def _count_batch_frames(frame: Frame) -> int:
    """Return how many frames of this size go through the network together."""
    fitting = NETWORK_BATCH_PIXELS // (frame.width * frame.height)
    return min(max(fitting, 1), NETWORK_BATCH_FRAMES)


def _prepare_pending(pending: list[Frame | FrameTask], predictor: MouthPredictor) -> FrameBatch:
    """Prepare one batch, which may have no tasks."""
    tasks = [item for item in pending if isinstance(item, FrameTask)]
    return FrameBatch(pending, predictor.make_batch(tasks) if tasks else None)


def match_frames(
    batches: Iterable[FrameBatch], predictor: MouthPredictor | PaintingPredictor
) -> Generator[FrameBatch, None, None]:
    """Bring prepared batches into the light of the actor's footage.

    Args:
        batches: see `prepare_frames`.
        predictor: the network.

    Yields:
        The same batches, ready for the network.
    """
    for batch in batches:
        if batch.prepared is not None and not isinstance(predictor, PaintingPredictor):
            batch = replace(batch, prepared=predictor.match_batch(batch.prepared))
        yield batch


def predict_frames(
    batches: Iterable[FrameBatch], predictor: MouthPredictor | PaintingPredictor
) -> Iterator[Frame | PredictedFrame]:
    """Predict the mouths of prepared batches; untouched frames pass in their order.

    Args:
        batches: see `match_frames`.
        predictor: the network.

    Yields:
        As many items as came in, in the same order.
    """
    if isinstance(predictor, PaintingPredictor):
        # Windows of frames need their neighbors.
        yield from predictor.paint_frames(item for batch in batches for item in batch.items)
        return
    for batch in batches:
        prepared = batch.prepared
        predictions = iter(predictor.predict_prepared(prepared) if prepared is not None else ())
        for item in batch.items:
            yield next(predictions) if isinstance(item, FrameTask) else item


def composite_frames(
    items: Iterable[Frame | PredictedFrame], compositor: MouthCompositor
) -> Iterator[Frame]:
    """Paint the predicted mouths into their frames; untouched frames pass.

    Args:
        items: frames and predictions, see `predict_frames`.
        compositor: blends the mouths in.
    """
    for item in items:
        yield compositor.composite(item) if isinstance(item, PredictedFrame) else item
