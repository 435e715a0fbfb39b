"""Who speaks: from one mixed sound and the lips in the picture, for casts without stems.

Lips that move as the scene's own sound asks for are those of the speaker. The speech model says
what it asks for; the correlation of its gap with each face's says who.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, uniform_filter1d

from dubfew.errors import DubfewError, NoFaceError
from dubfew.media import Audio, read_audio
from dubfew.media.audio import DELIVERY_RATE_HZ
from dubfew.media.in_memory import write_audio
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ
from dubfew.media.speech_span import find_sound, read_levels_db
from dubfew.motion.extraction import motion_from_landmarks
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.detection.clip_detections import ClipDetections, detect_people
from dubfew.speech.model import SpeechModel
from dubfew.utils.cheapest_path import find_cheapest_path
from dubfew.utils.files import write_atomic

# Window in which lips and sound are compared, s: about six syllables. Shorter ones agree by chance,
# longer ones reach over a change of the speaker.
WINDOW_SECONDS = 1.6
# Offsets of picture and sound that are tried, s: those of real files reach 0.28.
LAGS_SECONDS = np.arange(-0.3, 0.301, 0.04)
# Spread of the lips' gap from which a mouth counts as moving, inter-ocular distances: a resting
# mouth has a third of it, by noise.
MOVING_SPREAD = 0.012
# Agreement below which nobody in the picture speaks. Chance reaches it for a second or two.
OFF_SCREEN_AGREEMENT = 0.3
# Cost of another speaker, agreement times seconds: a mouth that agrees by chance for a second does
# not take over.
SWITCH_COST = 0.5
# Pauses up to this long belong to a line, s; and the shortest line.
MAX_PAUSE_SECONDS, MIN_LINE_SECONDS = 0.3, 0.25
# Sound around a line that is cut with it, s: levels rise and fall slower than speech.
LINE_MARGIN_SECONDS = 0.05


@dataclass(frozen=True)
class SpokenLine:
    """A stretch of speech and who says it.

    Attributes:
        start: s.
        end: s.
        face: number of the face, as ``--faces`` names it; None for off-screen.
        agreement: mean agreement of sound and lips, -1 to 1.
        margin: by how much it is above that of the next face, or of off-screen.
    """

    start: float
    end: float
    face: int | None
    agreement: float
    margin: float


def find_speakers(
    scene: Path,
    sound: Path | None = None,
    *,
    detections: ClipDetections | None = None,
    progress: ProgressCallback = no_progress,
) -> list[SpokenLine]:
    """Find who speaks when in a scene.

    Args:
        scene: the video with its own sound, by which lips and speech are compared.
        sound: another sound with the same timing, such as the dub, whose lines are wanted; None is
            the scene's own.
        detections: people of the scene; None finds them.
        progress: function that is called with the state of the search.

    Raises:
        NoFaceError: Nobody is seen.
        MediaError: A file cannot be read, or the scene has no sound.
    """
    detections = detections or detect_people(scene, progress=progress)
    if not detections.people:
        raise NoFaceError(f"no face found in {scene}: nobody can be seen speaking")
    times = detections.times
    wanted = SpeechModel.load_default().predict(read_audio(scene), times).aperture()
    gaps = np.full((len(detections.people), len(times)), np.nan)
    for row, person in enumerate(detections.people):
        motion = motion_from_landmarks(person.landmarks, times[person.frames])
        gaps[row, person.frames] = motion.aperture()
    numbers = [person.number for person in detections.people]
    levels, _ = read_levels_db(scene if sound is None else sound)
    hop = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
    agreement = rate_agreement(wanted, gaps, times)
    return assign_speech(find_sound(levels), hop, times, agreement, numbers)


def rate_agreement(
    wanted: NDArray[Any],  # [N]
    gaps: NDArray[np.float64],  # [P, N]
    times: NDArray[np.float64],  # [N]
) -> NDArray[np.float64]:  # [P, N]
    """Rate how well each mouth moves with the sound, frame by frame.

    It is the correlation within a window, times how far the mouth moves in it, at the offset of
    picture and sound that suits the whole scene best.

    Args:
        wanted: gap of the lips that the sound asks for. [N]
        gaps: gap of each person's lips; NaN where the person is not seen. [P, N]
        times: of the frames, s. [N]

    Returns:
        -1 to 1; -1 where a person is not seen. [P, N]
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    size = max(3, round(WINDOW_SECONDS / step))
    seen = np.isfinite(gaps)
    filled = np.where(seen, gaps, 0.0)

    def smooth(values: NDArray) -> NDArray:
        return np.asarray(uniform_filter1d(values, size, axis=-1, mode="nearest"))

    share = np.maximum(smooth(seen.astype(float)), 1e-6)
    mean = smooth(filled) / share
    spread = np.sqrt(np.maximum(smooth(filled**2) / share - mean**2, 0))
    best, found = -np.inf, np.zeros_like(gaps)
    for lag in LAGS_SECONDS:
        sound = np.interp(times - lag, times, np.asarray(wanted, np.float64))[None] * seen
        sound_mean = smooth(sound) / share
        sound_spread = np.sqrt(np.maximum(smooth(sound**2) / share - sound_mean**2, 0))
        covariance = smooth(sound * filled) / share - sound_mean * mean
        # A sound that does not change agrees with no mouth.
        rated = covariance / np.maximum(spread * sound_spread, 1e-5)
        rated = np.clip(rated, -1, 1) * np.minimum(1, spread / MOVING_SPREAD)
        total = float(np.maximum(rated, 0).max(axis=0).mean())
        if total > best:
            best, found = total, rated
    return np.where(seen, found, -1.0)


def assign_speech(
    heard: NDArray[np.bool_],  # [T]
    hop: float,
    times: NDArray[np.float64],  # [N]
    agreement: NDArray[np.float64],  # [P, N]
    faces: Sequence[int],
) -> list[SpokenLine]:
    """Give stretches of speech to faces.

    Args:
        heard: where something is heard. [T]
        hop: time from one row of ``heard`` to the next, s.
        times: of the frames, s. [N]
        agreement: result of `rate_agreement`. [P, N]
        faces: number of each row of ``agreement``.
    """
    pause = max(1, round(MAX_PAUSE_SECONDS / hop))
    # The closing sees silence before and behind the sound.
    padded = np.pad(heard, pause)
    whole = binary_closing(padded, np.ones(pause))[pause : len(padded) - pause]
    rows = np.flatnonzero(np.diff(np.concatenate([[0], whole.astype(int), [0]])))
    states = _find_states(agreement, times)
    lines = []
    for first, last in rows.reshape(-1, 2):
        begin, end = float(first * hop), float(last * hop)
        within = np.flatnonzero((times >= begin) & (times < end))
        if end - begin < MIN_LINE_SECONDS or not len(within):
            continue
        # The speaker may change without a pause.
        edges = [0, *(np.flatnonzero(np.diff(states[within])) + 1), len(within)]
        for low, high in pairwise(edges):
            part = within[low:high]
            start = begin if low == 0 else float(times[part[0]])
            stop = end if high == len(within) else float(times[within[high]])
            if stop - start >= MIN_LINE_SECONDS:
                state = int(states[part[0]])
                lines.append(_rate_line(start, stop, state, agreement[:, part], faces))
    return lines


def _find_states(agreement: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the likeliest speaker of each frame: a row of ``agreement``, or its length (off-screen).

    The best sum of agreement over time less a cost for each change.
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    off = np.full((1, agreement.shape[1]), OFF_SCREEN_AGREEMENT)
    gains = np.concatenate([agreement, off]) * step
    return find_cheapest_path(-gains.T, SWITCH_COST)


def _rate_line(
    start: float, end: float, state: int, agreement: NDArray[np.float64], faces: Sequence[int]
) -> SpokenLine:
    """Make a line of a stretch with one speaker."""
    means = np.append(agreement.mean(axis=1), OFF_SCREEN_AGREEMENT)
    others = np.delete(means, state)
    margin = float(means[state] - others.max())
    is_seen = state < len(faces)
    value = float(means[state]) if is_seen else float(others.max())
    return SpokenLine(start, end, faces[state] if is_seen else None, value, margin)


def write_cast(
    path: Path, lines: Sequence[SpokenLine], actors: Mapping[int, str], sound: Path
) -> int:
    """Write a cast of the lines that actors say, and the sound of each line beside it.

    Args:
        path: .json to write. The sounds lie in a folder of its name.
        lines: lines of the scene; those of other faces and off-screen are left out.
        actors: ids of actors by the numbers of their faces.
        sound: the mixed sound, which stays the sound of the scene.

    Returns:
        The number of lines in it.

    Raises:
        DubfewError: No actor says anything.
    """
    spoken = [line for line in lines if line.face in actors]
    if not spoken:
        raise DubfewError("nobody of the cast is seen speaking: name the faces, or give lines")
    whole = read_audio(sound, DELIVERY_RATE_HZ)
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    roles: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(spoken, 1):
        assert line.face is not None  # as chosen above
        actor = actors[line.face]
        first = round(max(0.0, line.start - LINE_MARGIN_SECONDS) * whole.rate)
        last = round((line.end + LINE_MARGIN_SECONDS) * whole.rate)
        file = folder / f"{number:03d}-{actor}.wav"
        write_audio(file, Audio(whole.samples[first:last], whole.rate))
        role = roles.setdefault(actor, {"actor": actor, "face": str(line.face), "lines": []})
        role["lines"].append(
            {"start": round(first / whole.rate, 6), "audio": f"{folder.name}/{file.name}"}
        )
    document = {"roles": [*roles.values()], "sound": str(sound.absolute())}
    write_atomic(path, json.dumps(document, indent=1, ensure_ascii=False).encode())
    return len(spoken)
