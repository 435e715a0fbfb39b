"""Transitions into and out of frames that are not painted, so that nothing jumps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.track import FLAG_NO_FACE, Track
from dubfew.utils.smoothstep import smoothstep

# Frames beside an unpainted frame over which the mouth eases from the scene's own motion to the new
# one. 5 frames are 0.2 s at 25 fps, about a syllable; fewer show a jump, more hide the new speech.
MOTION_EASE_FRAMES = 5
# The nearest of these frames, over which the paint fades as well, because its light never matches
# the scene's completely.
PAINT_FADE_FRAMES = 2


def transition_weights(track: Track) -> NDArray[np.float32]:
    """Compute the weight of the new mouth motion in each frame.

    Args:
        track: track of N scene frames, in the order of the output.

    Returns:
        0 in unpainted frames, rising linearly to 1 beside them. A face that comes into sight and a
        cut have no transition. [N]
    """
    weight = track.usable.astype(np.float32)
    # Unpainted frames with a face; the fade must not cross into another shot.
    unpainted = track.valid & (track.flags & ~np.uint8(FLAG_NO_FACE) > 0)
    for near in range(1, min(MOTION_EASE_FRAMES + 1, len(track))):
        level = near / (MOTION_EASE_FRAMES + 1)
        for step in (-near, near):
            beside = np.zeros(len(track), bool)
            here = slice(max(0, step), len(track) + min(0, step))
            there = slice(max(0, -step), len(track) - max(0, step))
            beside[here] = unpainted[there] & (track.shot[here] == track.shot[there])
            weight[beside] = np.minimum(weight[beside], level)
    return weight


def blend_mouth_motion(
    scene_motion: Track, new_motion: Track, weight: NDArray[np.float32]
) -> Track:
    """Blend the mouth of the new track with the scene's own.

    Args:
        scene_motion: track of the scene. N frames
        new_motion: the same track with new jaw and expression. N frames
        weight: weight of the new mouth, in [0, 1], see `transition_weights`. [N]

    Returns:
        ``new_motion`` with blended jaw and expression.
    """
    # The motion starts and ends without a change of speed.
    share = smoothstep(0, 1, weight)[:, None]
    return replace(
        new_motion,
        jaw=scene_motion.jaw + share * (new_motion.jaw - scene_motion.jaw),
        expression=scene_motion.expression
        + share * (new_motion.expression - scene_motion.expression),
    )


def paint_opacity(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert transition weights [N] to opacities of the paint, in [0, 1]. [N]"""
    return np.minimum(weight * (MOTION_EASE_FRAMES + 1) / (PAINT_FADE_FRAMES + 1), 1).astype(
        np.float32
    )


def describe_skipped_frames(track: Track) -> str:
    """Describe the frames that were not painted in one line; empty if all were."""
    count = int((~track.usable).sum())
    if not count:
        return ""
    reasons = ", ".join(f"{word} {n}" for word, n in track.reasons().items())
    return f"{count} of {len(track)} frames left as they are ({reasons})"
