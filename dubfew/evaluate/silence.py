"""Frames of a video in which nothing is heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from dubfew.errors import MediaError
from dubfew.media import probe
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ
from dubfew.media.speech_span import find_sound, read_levels_db
from dubfew.utils.runs import iterate_runs

# Time beside a sound that does not count as silence, s: lips open before a word and close after it.
SOUND_MARGIN_SECONDS = 0.1
# Shortest silence that counts, s: the closure of a plosive is shorter.
MIN_SILENCE_SECONDS = 0.2


def find_silent_frames(
    video: Path,
    times: NDArray[np.float64],  # [N]
) -> NDArray[np.bool_] | None:  # [N]
    """Tell in which frames of a video nothing is heard.

    Args:
        video: file.
        times: times of its frames from the start of the file, s. [N]

    Returns:
        True in silence of at least 0.2 s, which begins and ends 0.1 s away from any sound, and
        after the end of the sound; None if the file has no sound or it cannot be read. [N]

    Raises:
        MediaError: The file cannot be read as video.
    """
    if not probe(video).has_audio:
        return None
    try:
        levels, _ = read_levels_db(video)
    except MediaError:  # damaged sound tells nothing
        return None
    hop = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
    # Silence follows the end of the sound.
    frames = max(len(levels), round(float(times[-1]) / hop) + 1 if len(times) else 0)
    heard = np.zeros(frames, np.bool_)
    heard[: len(levels)] = find_sound(levels)
    margin = round(SOUND_MARGIN_SECONDS / hop)
    silent = ~binary_dilation(heard, np.ones(2 * margin + 1)) if heard.any() else ~heard
    for start, stop in iterate_runs(silent):
        if (stop - start) * hop < MIN_SILENCE_SECONDS:
            silent[start:stop] = False
    rows = np.clip(np.rint(times / hop).astype(int), 0, max(0, frames - 1))
    return silent[rows]
