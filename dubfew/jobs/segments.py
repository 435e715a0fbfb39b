"""Scenes of which only parts get new speech: one sound for the whole, one pass for each part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubfew.jobs.description import Segment
from dubfew.media import Audio, probe, read_audio
from dubfew.media.audio import DELIVERY_RATE_HZ
from dubfew.media.in_memory import write_audio

# Length of the fades between the scene's sound and a segment's, s: short enough to cut off no
# consonant, long enough that nothing clicks.
FADE_SECONDS = 0.005


def compose_sound(scene: Path, segments: Sequence[Segment], out: Path) -> None:
    """Write the sound of a scene with each segment's speech in its place, mono at 48 kHz.

    In a segment the scene's own sound is silent, also where its speech ends sooner.

    Args:
        scene: the video; without sound it counts as silent.
        segments: the segments; they do not overlap.
        out: file to write, .wav.

    Raises:
        MediaError: A file cannot be read.
    """
    info, rate = probe(scene), DELIVERY_RATE_HZ
    whole = np.zeros(round(info.duration * rate), np.float32)
    if info.has_audio:
        own = read_audio(scene, rate).samples[: len(whole)]
        whole[: len(own)] = own
    fade = round(FADE_SECONDS * rate)
    for segment in segments:
        begin, end = (min(round(t * rate), len(whole)) for t in (segment.start, segment.end))
        spoken = np.zeros(end - begin, np.float32)
        given = read_audio(segment.audio, rate, seconds=segment.end - segment.start).samples
        spoken[: len(given)] = given[: len(spoken)]
        # Weight of the segment: it rises and falls inside, so that its neighbors stay.
        edge = np.minimum(np.arange(len(spoken)), np.arange(len(spoken))[::-1])
        weight = np.clip((edge + 1) / (fade + 1), 0, 1).astype(np.float32)
        whole[begin:end] += weight * (spoken - whole[begin:end])
    write_audio(out, Audio(whole, rate))
