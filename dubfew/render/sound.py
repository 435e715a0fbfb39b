"""Sound of the output: the dub, what is mixed into it, and the scene's other sound tracks."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from dubfew.errors import DubfewError
from dubfew.media.audio import (
    DELIVERY_RATE_HZ,
    AudioReader,
    AudioSource,
    MixedSound,
    other_tracks,
)
from dubfew.media.audio_track import measure_mix_peak
from dubfew.render.sources import RenderSources

# A gain at the end of the option, such as the ":-3" of "music.wav:-3".
_GAIN_PATTERN = re.compile(r"(.+):([+-]?\d+(?:\.\d+)?)(?:dB)?", re.IGNORECASE)
# Range of the gain of mixed sound, dB: outside of it a number is a mistake.
GAIN_RANGE_DB = (-60.0, 20.0)


def parse_mix(text: str, scene: Path) -> MixedSound:
    """Read the option ``mix``: a track of the scene by its number, or a file, and a gain.

    Args:
        text: such as "2", "2:-3", "music.wav" or "music.wav:-3".
        scene: video whose tracks the numbers count.

    Returns:
        The sound to mix in.

    Raises:
        DubfewError: The gain is out of range.
        MediaError: The file or the track does not exist, or has no sound.
    """
    name, gain_db = text, 0.0
    found = _GAIN_PATTERN.fullmatch(text)
    # A colon may belong to the name of a file that exists.
    if found and not Path(text).exists():
        name, gain_db = found[1], float(found[2])
    low, high = GAIN_RANGE_DB
    if not low <= gain_db <= high:
        raise DubfewError(f"--mix has a gain of {gain_db:g} dB: give {low:g} to {high:g}")
    is_number = name.isdecimal() and not Path(name).exists()
    path, track = (scene, int(name)) if is_number else (Path(name), None)
    sound = MixedSound(path, track, gain_db)
    with AudioReader(sound.path, sound.track):
        return sound


def list_output_sounds(
    sources: RenderSources, mix: MixedSound | None, seconds: float
) -> list[AudioSource]:
    """List the sound tracks of the output, the main one first.

    The scene's other tracks, such as ambience or music and effects, are kept as tracks of their
    own, but for the one that is mixed into the main track.

    Args:
        sources: files of the render.
        mix: sound that is mixed into the main track, or None.
        seconds: length of the picture, s; sound is cut there.

    Raises:
        MediaError: The scene cannot be read.
    """
    if sources.audio is None:
        return []
    # What the scene brings along stays as it is; new and mixed sound has the rate of deliveries.
    is_own = sources.audio == sources.filmed and mix is None
    main = AudioSource(
        sources.audio,
        start=sources.start,
        duration=seconds,
        pad=False,
        track=sources.audio_track,
        rate=None if is_own else DELIVERY_RATE_HZ,
        mix=mix,
    )
    kept = [
        AudioSource(sources.scene, duration=seconds, pad=False, track=track)
        for track in other_tracks(sources.scene, sources.scene_track)
        if mix is None or mix.path != sources.scene or mix.track != track
    ]
    if is_own and kept and sources.scene_track is not None:
        # A track that was found among others stays in its place.
        return sorted([main, *kept], key=lambda each: each.track or 0)
    return [main, *kept]


def describe_mix_peak(sounds: Sequence[AudioSource]) -> str:
    """Warn in one line of a mix that is louder than a sound file can hold, or return "".

    Args:
        sounds: sound tracks of the output, the main one first.

    Raises:
        MediaError: A sound cannot be read, or the layouts cannot be mixed.
    """
    if not sounds or sounds[0].mix is None:
        return ""
    peak = measure_mix_peak(sounds[0])
    if peak <= 1:
        return ""
    return (
        f"the mix is {20 * math.log10(peak):.1f} dB above full scale and will be distorted: give "
        "--mix a lower gain, such as :-6"
    )
