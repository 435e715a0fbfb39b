"""Choose the references of a frame: near in mouth and pose, far enough in time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track
from dubfew.references.steady_insides import MouthInsides, hold_insides
from dubfew.references.track_geometry import compute_frame_keys

# Least distance in frames between a target and a reference from the same clip. Neighbors show
# nearly the target itself, which a dub never has: its mouths are not in the footage. The
# values are a trade of realism against the number of references that are left.
#
# The prior is trained on clips of minutes: 0.4 s at 25 fps costs nothing there, and the mouth has
# gone on to another sound by then.
MIN_REFERENCE_GAP_TRAIN = 10
# Alignment compares meshes: closer frames share the errors of the tracker, so that the mesh would
# be confirmed where it is. Farther ones look less alike and are harder to match.
MIN_REFERENCE_GAP_ALIGN = 6
# An actor has a few seconds of footage: a wider gap would leave too few references.
MIN_REFERENCE_GAP_ADAPT = 4
# Validation takes all references from one part of a clip and all targets from another: between the
# two parts a short gap is enough.
MIN_REFERENCE_GAP_VALIDATE = 5

# Frames whose keys are computed at once, which bounds memory: 64 meshes of FLAME take 4 MB.
KEY_BLOCK_FRAMES = 64
# Standard deviation, in frames, of the smoothing of distances over time in a render. Without it the
# order of equally good references changes from frame to frame, and the picture flickers.
DISTANCE_SMOOTHING_FRAMES = 1.0
# Factor on the pose's part of the keys (on top of `POSE_WEIGHT`) in a render whose mouths are not
# the scene's own. The mesh carries a mouth over ten degrees well; a mouth of another shape it can
# only stretch, and sound asks for mouths never seen in the scene's pose.
POSE_DISTANCE_WEIGHT = 0.3


def find_candidate_rows(
    frames: NDArray,  # [N]
    row: int,
    min_gap: int,
    rows: NDArray | None = None,
) -> NDArray[np.int64]:
    """Find the rows that may serve as references of a row.

    Args:
        frames: number of each row's frame in the clip. [N]
        row: the target.
        min_gap: least distance in frames between target and reference.
        rows: rows to choose from; all by default. [M]

    Returns:
        The rows that are far enough, in their order. All rows, the target too, where none is: some
        footage is shorter than the gap.
    """
    offered = np.arange(len(frames)) if rows is None else rows
    far = offered[np.abs(frames[offered] - frames[row]) >= min_gap]
    return far if len(far) else offered


def select_nearest(
    distances: NDArray,  # [..., R]
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Select the references of least distance, nearest first.

    Args:
        distances: from each frame to each of R references. [..., R]
        count: how many to select, K; where R is smaller the nearest is repeated.

    Returns:
        Rows of the references and their distances. [..., K] each
    """
    # Copied: a view would keep the order of all references.
    rows = np.argsort(distances, axis=-1, kind="stable")[..., :count].copy()
    missing = count - rows.shape[-1]
    if missing > 0:
        rows = np.concatenate([rows, np.repeat(rows[..., :1], missing, axis=-1)], axis=-1)
    return rows, np.take_along_axis(distances, rows, axis=-1).astype(np.float32)


def find_nearest_references(
    query_key: NDArray,  # [D]
    reference_keys: NDArray,  # [R, D]
    num_references: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the references nearest to one frame, nearest first.

    Args:
        query_key: key of the frame, see `TrackGeometry.key`. [D]
        reference_keys: keys of the references. [R, D]
        num_references: how many, K; fewer references than that repeat the nearest.

    Returns:
        Rows of the references and their distances. [K] each
    """
    return select_nearest(np.linalg.norm(reference_keys - query_key, axis=1), num_references)


def choose_references(
    track: Track,
    head: HeadModel,
    reference_keys: NDArray,  # [R, D]
    num_references: int,
    *,
    mouth_in_scene: bool,
    insides: MouthInsides | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Choose references for every frame of a track, steady over time.

    Args:
        track: N frames to render.
        head: the track's head model.
        reference_keys: keys of the actor's references. [R, D]
        num_references: how many for each frame, K; fewer references than that repeat the nearest.
        mouth_in_scene: whether the frames' own mouths are rendered, which were seen in the frames'
            own pose; otherwise the pose counts by `POSE_DISTANCE_WEIGHT` only.
        insides: what is seen between the lips, which is held while they are open; by default it is
            not looked at.

    Returns:
        Rows of the references and their distances. [N, K] each
    """
    # The last three entries of a key are the head's rotation.
    weight = np.ones(reference_keys.shape[1], np.float32)
    weight[-3:] = 1.0 if mouth_in_scene else POSE_DISTANCE_WEIGHT
    reference_keys = reference_keys * weight
    distances = np.empty((len(track), len(reference_keys)), np.float32)
    for start in range(0, len(track), KEY_BLOCK_FRAMES):
        rows = slice(start, start + KEY_BLOCK_FRAMES)
        keys = compute_frame_keys(track.select(rows), head) * weight
        # |a - b|^2 = |a|^2 + |b|^2 - 2 ab: one matrix product instead of an [N, R, D] array.
        squared = (keys**2).sum(1)[:, None] + (reference_keys**2).sum(1)
        squared -= 2 * keys @ reference_keys.T
        distances[rows] = np.sqrt(np.maximum(squared, 0))
    distances = gaussian_filter1d(distances, DISTANCE_SMOOTHING_FRAMES, axis=0, mode="nearest")
    if insides is not None:
        distances = hold_insides(distances, insides, track.shot, num_references)
    return select_nearest(distances, num_references)


def spread_rows(first: int, last: int, count: int) -> NDArray[np.int64]:
    """Spread rows evenly over a range, both ends included.

    Args:
        first: first row of the range.
        last: last row of the range.
        count: how many rows; all of the range where it has fewer.

    Returns:
        Rows in ascending order, none twice.

    Example:
        >>> spread_rows(0, 9, 4).tolist()
        [0, 3, 6, 9]
    """
    return np.unique(np.linspace(first, last, count).astype(int))


def farthest_point_sampling(keys: NDArray, count: int) -> NDArray[np.int64]:
    """Select rows that span the keys: each next row is farthest from those before it.

    The references that an actor stores are selected in this way.

    Args:
        keys: one point per row. [N, D]
        count: how many rows; all where there are fewer.

    Returns:
        Rows in ascending order. [min(count, N)]

    Source: Gonzalez 1985, Clustering to Minimize the Maximum Intercluster Distance, Theoretical
        Computer Science 38 (the greedy algorithm).
    """
    # Start with the most ordinary frame: the one nearest to the mean.
    rows = [int(np.argmin(np.linalg.norm(keys - keys.mean(0), axis=1)))]
    distance = np.linalg.norm(keys - keys[rows[0]], axis=1)
    while len(rows) < min(count, len(keys)):
        rows.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(keys - keys[rows[-1]], axis=1))
    return np.sort(np.array(rows, np.int64))
