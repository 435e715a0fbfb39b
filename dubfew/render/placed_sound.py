"""The sound of a scene with new speech in some places, as one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubfew.media import Audio, probe, read_audio
from dubfew.media.audio import DELIVERY_RATE_HZ, MixedSound
from dubfew.media.in_memory import write_audio

# Length of the fades between the scene's sound and new speech, s: short enough to cut off no
# consonant, long enough that nothing clicks.
FADE_SECONDS = 0.005


@dataclass(frozen=True)
class PlacedSound:
    """Speech at its place in a scene.

    Attributes:
        audio: the speech.
        start: time in the scene at which it begins, s.
        end: time at which the scene's own sound comes back, s; longer speech is cut there. None is
            the end of the speech.
    """

    audio: Path
    start: float
    end: float | None = None


def compose_sound(
    scene: Path, placed: Sequence[PlacedSound], out: Path, *, mix: MixedSound | None = None
) -> None:
    """Write the sound of a scene with speech in its places, mono at 48 kHz.

    In these places the scene's own sound is silent. Speech of several people at once adds up.

    Args:
        scene: the video; without sound it counts as silent.
        placed: the speech.
        out: file to write, .wav.
        mix: sound that goes on under the speech and takes the place of the scene's own, such as
            music and effects, or None.

    Raises:
        MediaError: A file cannot be read.
    """
    info, rate = probe(scene), DELIVERY_RATE_HZ
    own = np.zeros(round(info.duration * rate), np.float32)
    if mix is not None:
        under = read_audio(mix.path, rate, track=mix.track, seconds=info.duration).samples
        whole = place_speech(Audio(own, rate), placed).samples
        under = under[: len(whole)] * np.float32(10 ** (mix.gain_db / 20))
        whole[: len(under)] += under
        write_audio(out, Audio(whole, rate))
        return
    if info.has_audio:
        found = read_audio(scene, rate).samples[: len(own)]
        own[: len(found)] = found
    write_audio(out, place_speech(Audio(own, rate), placed))


def place_speech(bed: Audio, placed: Sequence[PlacedSound]) -> Audio:
    """Put speech into its places in a sound, which is silent there.

    Args:
        bed: the sound, mono.
        placed: the speech. Several at once add up; what lies behind the end of the bed is cut.

    Returns:
        Sound of the bed's length and rate.

    Raises:
        MediaError: A file cannot be read.
    """
    own, rate = bed.samples, bed.rate
    spoken, replaced = np.zeros_like(own), np.zeros_like(own)
    fade = round(FADE_SECONDS * rate)
    for each in placed:
        left = len(own) / rate - each.start if each.end is None else each.end - each.start
        if left <= 0:
            continue
        given = read_audio(each.audio, rate, seconds=left).samples
        begin = min(round(each.start * rate), len(own))
        length = len(given) if each.end is None else round(each.end * rate) - begin
        end = min(begin + length, len(own))
        given = given[: end - begin]
        # Weight of the speech: it rises and falls inside, so that its neighbors stay.
        edge = np.minimum(np.arange(end - begin), np.arange(end - begin)[::-1])
        weight = np.clip((edge + 1) / (fade + 1), 0, 1).astype(np.float32)
        spoken[begin : begin + len(given)] += weight[: len(given)] * given
        replaced[begin:end] = np.maximum(replaced[begin:end], weight)
    return Audio(own * (1 - replaced) + spoken, rate)
