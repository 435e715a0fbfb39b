"""Dynamic time warping of a spoken reference onto a recording, with pauses for free.

Written here because of the pauses: the packages that offer warping (librosa, dtaidistance, fastdtw,
tslearn, dtw-python) have one kind of step everywhere, so a breath in the recording would be paid
for as if a vowel had been stretched over it. Here a second layer of states, one between any two
sounds, absorbs what is quiet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.utils.arrays import FloatArray
from dubfew.utils.jit import njit_cached

# Costs beside the distance of two frames, which is about 0.8 where they say the same: of a
# reference frame that lasts for one more, of one that is left out, of a pause that begins, of a
# pause that is as loud as speech.
STAY_COST, SKIP_COST, PAUSE_START_COST, LOUD_PAUSE_COST = 0.3, 0.5, 1.0, 4.0
# What the path can do: 0 stays, 1 to 3 reference frames forward, out of a pause, begin.
_LEAVE_PAUSE_STEP, _BEGIN_STEP = 4, 5


def align_with_pauses(
    reference: FloatArray,  # [M, D]
    boundaries: NDArray[np.bool_],  # [M]
    recording: FloatArray,  # [N, D]
    loudness: FloatArray,  # [N]
) -> tuple[NDArray[np.int32], float]:
    """The reference frame that is heard in every frame of the recording.

    Every frame of the recording is either a reference frame or a pause; the reference is run
    through in order, at up to three times its own rate and as slowly as need be. Pauses are before,
    after, and wherever a sound begins; they cost what they are loud.

    Args:
        reference: features without pauses. [M, D]
        boundaries: True where a sound of the reference begins. [M]
        recording: features. [N, D]
        loudness: 0 quiet to 1 as loud as speech. [N]

    Returns:
        Reference frame of each frame, -1 in pauses [N], and the cost per frame spoken.
    """
    n, m = len(recording), len(reference)
    if n == 0 or m == 0:
        return np.full(n, -1, np.int32), float("inf")
    steps = np.empty((n, m), np.int8)
    entered = np.zeros((n, m + 1), np.bool_)
    in_pause = _accumulate_costs(
        np.ascontiguousarray(reference, np.float32),
        np.append(boundaries, True),
        np.ascontiguousarray(recording, np.float32),
        np.ascontiguousarray(loudness, np.float32),
        steps,
        entered,
    )
    path, cost = _trace_path(steps, entered, in_pause[0] < in_pause[1]), min(in_pause)
    return path, float(cost) / max(1, int((path >= 0).sum()))


@njit_cached
def _accumulate_costs(reference, boundaries, recording, loudness, steps, entered):
    n, d = recording.shape
    m = len(reference)
    infinite = np.float32(1e30)
    # Cheapest way to be in reference frame i, and in the pause before it, at the last frame.
    said = np.full(m, infinite, np.float32)
    paused = np.full(m + 1, infinite, np.float32)
    for frame in range(n):
        # Backwards, because frame i needs what i - 1 to i - 3 were before.
        for i in range(m, -1, -1):
            before = paused[i]
            if frame == 0 and i == 0:
                before = np.float32(0)
            if i < m:
                best, step = said[i] + np.float32(STAY_COST), 0
                if i > 0 and said[i - 1] < best:
                    best, step = said[i - 1], 1
                if i > 1 and said[i - 2] + np.float32(SKIP_COST) < best:
                    best, step = said[i - 2] + np.float32(SKIP_COST), 2
                if i > 2 and said[i - 3] + np.float32(2 * SKIP_COST) < best:
                    best, step = said[i - 3] + np.float32(2 * SKIP_COST), 3
                if before < best:
                    best, step = before, _LEAVE_PAUSE_STEP if frame > 0 else _BEGIN_STEP
                distance = np.float32(0)
                for k in range(d):
                    difference = reference[i, k] - recording[frame, k]
                    distance += difference * difference
                steps[frame, i] = step
                now = best + np.sqrt(distance)
            if boundaries[i]:
                if i > 0 and said[i - 1] + np.float32(PAUSE_START_COST) < before:
                    before = said[i - 1] + np.float32(PAUSE_START_COST)
                    entered[frame, i] = True
                paused[i] = before + np.float32(LOUD_PAUSE_COST) * loudness[frame]
            if i < m:
                said[i] = now
    return paused[m], said[m - 1]


@njit_cached
def _trace_path(steps, entered, in_pause):
    n, m = steps.shape
    path = np.full(n, -1, np.int32)
    i = m if in_pause else m - 1
    for frame in range(n - 1, -1, -1):
        if in_pause:
            if entered[frame, i]:
                in_pause = False
                i -= 1
        else:
            path[frame] = i
            step = steps[frame, i]
            if step == _LEAVE_PAUSE_STEP:
                in_pause = True
            elif step < _LEAVE_PAUSE_STEP:
                i -= step
    return path
