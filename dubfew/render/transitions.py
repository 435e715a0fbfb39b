"""Into and out of frames that are left as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.track import FLAG_NO_FACE, Track

# Over so many frames beside such a frame the mouth goes over to its own motion, so that nothing
# jumps; over the nearest of them the paint fades as well, for it is never quite the scene's light.
MOTION_EASE_FRAMES, PAINT_FADE_FRAMES = 5, 2


def transition_weights(track: Track) -> NDArray[np.float32]:
    """How much of the new motion a frame gets: 0 where it is left as it is, rising to 1. [N]

    A face that comes into sight, or a cut, needs no transition.
    """
    weight = track.usable.astype(np.float32)
    left = track.valid & (track.flags & ~np.uint8(FLAG_NO_FACE) > 0)
    for near in range(1, min(MOTION_EASE_FRAMES + 1, len(track))):
        level = near / (MOTION_EASE_FRAMES + 1)
        for step in (-near, near):
            beside = np.zeros(len(track), bool)
            here = slice(max(0, step), len(track) + min(0, step))
            there = slice(max(0, -step), len(track) - max(0, step))
            beside[here] = left[there] & (track.shot[here] == track.shot[there])
            weight[beside] = np.minimum(weight[beside], level)
    return weight


def blend_mouth_motion(
    scene_motion: Track, new_motion: Track, weight: NDArray[np.float32]
) -> Track:
    """The wanted track, with the scene's own mouth where ``weight`` [N] is below 1."""
    share = (weight * weight * (3 - 2 * weight))[:, None]
    return replace(
        new_motion,
        jaw=scene_motion.jaw + share * (new_motion.jaw - scene_motion.jaw),
        expression=scene_motion.expression
        + share * (new_motion.expression - scene_motion.expression),
    )


def paint_opacity(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of the paint is seen. [N]"""
    return np.minimum(weight * (MOTION_EASE_FRAMES + 1) / (PAINT_FADE_FRAMES + 1), 1).astype(
        np.float32
    )


def describe_skipped_frames(track: Track) -> str:
    """One line about the frames that were not painted, or ""."""
    count = int((~track.usable).sum())
    if not count:
        return ""
    reasons = ", ".join(f"{word} {n}" for word, n in track.reasons().items())
    return f"{count} of {len(track)} frames left as they are ({reasons})"
