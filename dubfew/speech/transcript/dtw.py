"""Dynamic time warping of a spoken reference onto a recording, with quiet pauses for free.

The packages for dynamic time warping (librosa, dtaidistance, fastdtw, tslearn, dtw-python) allow
the same steps everywhere, so that a breath in the recording costs as much as a vowel stretched over
it. Here a second layer of states, one between any two sounds, absorbs quiet moments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.utils.arrays import FloatArray
from dubfew.utils.jit import njit_cached

# Costs that are added to the distance of two frames, which is about 0.8 for frames of the same
# sound: for staying on a reference frame, for every one that is skipped, for the start of a pause,
# and per frame for a pause that is as loud as speech. Lower pause costs put pauses into speech,
# higher ones stretch sounds over breaths.
STAY_COST, SKIP_COST, PAUSE_START_COST, LOUD_PAUSE_COST = 0.3, 0.5, 1.0, 4.0
# Codes of the path's steps: 0 stays, 1 to 3 go forward by as many reference frames, then these: out
# of a pause, and the beginning.
_LEAVE_PAUSE_STEP, _BEGIN_STEP = 4, 5


def align_with_pauses(
    reference: FloatArray,  # [M, D]
    boundaries: NDArray[np.bool_],  # [M]
    recording: FloatArray,  # [N, D]
    loudness: FloatArray,  # [N]
) -> tuple[NDArray[np.int32], float]:
    """Find the reference frame that is spoken in every frame of a recording.

    Every frame of the recording is either a reference frame or a pause. The reference is passed
    through in order, at up to three times its own rate and as slowly as necessary. Pauses may lie
    before it, after it and wherever one of its sounds begins; they cost as much as they are loud.

    Args:
        reference: features without pauses. [M, D]
        boundaries: True where a sound of the reference begins. [M]
        recording: features of the recording. [N, D]
        loudness: 0 quiet to 1 as loud as speech. [N]

    Returns:
        Reference frame of each frame, -1 in pauses [N], and the mean cost per spoken frame;
        infinity if one of the two is empty, and above 1e6 if the recording is too short.

    Source: Sakoe and Chiba 1978, Dynamic Programming Algorithm Optimization for Spoken Word
    Recognition (IEEE Trans. ASSP 26(1)), with pause states added.
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
    """Fill in steps [N, M] and pause entries [N, M + 1], frame by frame.

    Returns:
        Lowest costs of paths that end in a pause and in the last reference frame.
    """
    n, d = recording.shape
    m = len(reference)
    infinite = np.float32(1e30)
    # Lowest cost of a path that ends in reference frame i (``spoken``) or in the pause before it
    # (``paused``) at the frame before.
    spoken = np.full(m, infinite, np.float32)
    paused = np.full(m + 1, infinite, np.float32)
    for frame in range(n):
        # Backwards, because frame i needs the costs of i - 1 to i - 3 from the frame before.
        for i in range(m, -1, -1):
            # ``before``: cost of coming from the pause before this frame, or of beginning here.
            before = paused[i]
            if frame == 0 and i == 0:
                before = np.float32(0)
            if i < m:
                # The cheapest of staying, going on, skipping one or two, and leaving the pause.
                best, step = spoken[i] + np.float32(STAY_COST), 0
                if i > 0 and spoken[i - 1] < best:
                    best, step = spoken[i - 1], 1
                if i > 1 and spoken[i - 2] + np.float32(SKIP_COST) < best:
                    best, step = spoken[i - 2] + np.float32(SKIP_COST), 2
                if i > 2 and spoken[i - 3] + np.float32(2 * SKIP_COST) < best:
                    best, step = spoken[i - 3] + np.float32(2 * SKIP_COST), 3
                if before < best:
                    best, step = before, _LEAVE_PAUSE_STEP if frame > 0 else _BEGIN_STEP
                distance = np.float32(0)
                for k in range(d):
                    difference = reference[i, k] - recording[frame, k]
                    distance += difference * difference
                steps[frame, i] = step
                now = best + np.sqrt(distance)
            # A pause begins after the end of a sound, or goes on.
            if boundaries[i]:
                if i > 0 and spoken[i - 1] + np.float32(PAUSE_START_COST) < before:
                    before = spoken[i - 1] + np.float32(PAUSE_START_COST)
                    entered[frame, i] = True
                paused[i] = before + np.float32(LOUD_PAUSE_COST) * loudness[frame]
            if i < m:
                spoken[i] = now
    return paused[m], spoken[m - 1]


@njit_cached
def _trace_path(steps, entered, in_pause):
    """Follow the steps back from the end. [N]"""
    n, m = steps.shape
    path = np.full(n, -1, np.int32)
    i = m if in_pause else m - 1
    for frame in range(n - 1, -1, -1):
        if in_pause:
            if entered[frame, i]:
                in_pause = False
                i -= 1
        else:
            # Frames in a pause keep -1.
            path[frame] = i
            step = steps[frame, i]
            if step == _LEAVE_PAUSE_STEP:
                in_pause = True
            elif step < _LEAVE_PAUSE_STEP:
                i -= step
    return path
