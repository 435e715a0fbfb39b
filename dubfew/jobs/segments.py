"""Scenes of which only parts get new speech: one sound for the whole, one pass for each part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubfew.jobs.description import SceneSegment
from dubfew.render.placed_sound import PlacedSound, compose_sound


def compose_segment_sound(scene: Path, segments: Sequence[SceneSegment], out: Path) -> None:
    """Write the sound of a scene with each segment's speech in its place, mono at 48 kHz.

    In a segment the scene's own sound is silent, also where its speech ends sooner.

    Args:
        scene: the video; without sound it counts as silent.
        segments: the segments; they do not overlap.
        out: file to write, .wav.

    Raises:
        MediaError: A file cannot be read.
    """
    placed = [PlacedSound(each.audio, each.start, each.end) for each in segments]
    compose_sound(scene, placed, out)
