"""Who speaks: from one mixed sound and the lips in the picture, for casts without stems.

Mouths that move as the scene's own sound asks for are those of the speaker. The speech model says
what it asks for; lips, width, rounding and chin of each face say who.
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
from dubfew.speech.visemes import controls_from_motion
from dubfew.utils.cheapest_path import find_cheapest_path
from dubfew.utils.files import write_atomic

# Correlation of the speaker's controls (upper and lower lip, width, purse, chin) with those that
# the sound asks for: near the medians of 15 people on film.
CONTROL_CORRELATIONS = (0.3, 0.55, 0.4, 0.3, 0.5)
# Window whose mean is subtracted from all curves, s: speech moves faster, heads and moods slower.
WINDOW_SECONDS = 1.6
# Time between two independent moments of all five controls, s: a syllable and a half, as they do
# not move independently of each other.
INDEPENDENT_SECONDS = 0.3
# Largest evidence of one control in one frame, nats.
MAX_RATIO = 3.0
# Offsets of picture and sound that are tried, s: those of real files reach 0.28. And their mean
# size before anything is measured.
LAGS_SECONDS = np.arange(-0.32, 0.321, 0.04)
EXPECTED_LAG_SECONDS = 0.12
# Mean deviation of one face from the offset of its scene, s. One camera has one offset; a scene of
# several, or one that was put together, may have more, which seconds of clear speech outweigh. A
# larger deviation lets chewing mouths agree with somebody off-screen.
LAG_DEVIATION_SECONDS = 0.05
# Window in which one face is taken to speak where offsets are chosen, s; and how often all faces
# are gone through: it settles in two or three.
LAG_WINDOW_SECONDS, MAX_LAG_ROUNDS = 1.0, 5
# Spread of the lips' gap from which a mouth counts as moving, inter-ocular distances: a resting
# mouth has a third of it, by noise.
MOVING_SPREAD = 0.012
# Agreement below which nobody in the picture speaks, nats per second, and that of an unseen face.
OFF_SCREEN_AGREEMENT, NOT_SEEN = 0.5, -10.0
# Cost of another speaker, nats: a mouth that agrees by chance for a second does not take over.
SWITCH_COST = 2.0
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
        agreement: mean agreement of sound and mouth, nats per second: 0 says nothing, a clear
            speaker has 1 and more; of an off-screen line that of the likeliest face.
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
    wanted = controls_from_motion(SpeechModel.load_default().predict(read_audio(scene), times))
    controls = np.full((len(detections.people), *wanted.shape), np.nan)
    for row, person in enumerate(detections.people):
        motion = motion_from_landmarks(person.landmarks, times[person.frames])
        controls[row, person.frames] = controls_from_motion(motion)
    numbers = [person.number for person in detections.people]
    levels, _ = read_levels_db(scene if sound is None else sound)
    hop = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
    agreement = rate_agreement(wanted, controls, times)
    return assign_speech(find_sound(levels), hop, times, agreement, numbers)


def rate_agreement(
    wanted: NDArray[Any],  # [N, 5]
    controls: NDArray[np.float64],  # [P, N, 5]
    times: NDArray[np.float64],  # [N]
) -> NDArray[np.float64]:  # [P, N]
    """Rate how well each mouth moves with the sound, frame by frame.

    Each control is compared with what the sound asks for, both in units of their own spread around
    their own mean of a while. The rate is the logarithm of how much likelier such a mouth is for
    the speaker, whose controls have the correlations of film, than for anybody else, whose have
    none. All faces have the offset of picture and sound that explains most of the speech, and a
    face another one where it explains much more.

    Args:
        wanted: controls that the sound asks for, see `controls_from_motion`. [N, 5]
        controls: controls of each person's mouth; NaN where the person is not seen. [P, N, 5]
        times: of the frames, s. [N]

    Returns:
        Nats per second: 0 says nothing, a clear speaker has 1 and more. `NOT_SEEN` where a person
        is not seen. [P, N]
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    seen = np.isfinite(controls).all(axis=2)
    moved = _standardize(controls, seen, step)
    # A resting mouth has noise alone, which its own spread would make large.
    gap = np.where(seen, controls[..., 0] - controls[..., 1], np.nan)
    spread = np.array([np.nanstd(row) if np.isfinite(row).any() else 0.0 for row in gap])
    moves = np.minimum(1, spread / MOVING_SPREAD)[:, None]
    rated = np.empty((len(LAGS_SECONDS), *seen.shape))
    for row, lag in enumerate(LAGS_SECONDS):
        shifted = np.stack([np.interp(times - lag, times, curve) for curve in wanted.T], axis=1)
        sound = _standardize(shifted[None], np.ones((1, len(times)), bool), step)
        rated[row] = _compare_controls(moved, sound) * moves / INDEPENDENT_SECONDS
    rated[:, ~seen] = NOT_SEEN
    return rated[_choose_lags(rated, step), np.arange(len(controls))]


def _standardize(
    curves: NDArray[np.float64], seen: NDArray[np.bool_], step: float
) -> NDArray[np.float64]:
    """Subtract the mean of a while, and divide by the spread of the whole. [P, N, 5]"""
    size = max(3, round(WINDOW_SECONDS / step))

    def smooth(values: NDArray) -> NDArray:
        return np.asarray(uniform_filter1d(values, size, axis=1, mode="nearest"))

    share = np.maximum(smooth(seen.astype(float)), 1e-6)[..., None]
    filled = np.where(seen[..., None], curves, 0.0)
    centered = np.where(seen[..., None], filled - smooth(filled) / share, 0.0)
    count = np.maximum(seen.sum(axis=1), 1)[:, None, None]
    spread = np.sqrt((centered**2).sum(axis=1, keepdims=True) / count)
    return np.asarray(centered / np.maximum(spread, 1e-6))


def _compare_controls(moved: NDArray[np.float64], sound: NDArray[np.float64]) -> NDArray:
    """Sum the log likelihood ratio of all controls, the speaker against anybody else. [P, N]"""
    r = np.array(CONTROL_CORRELATIONS)
    ratio = moved**2 / 2 - (moved - r * sound) ** 2 / (2 * (1 - r**2)) - 0.5 * np.log(1 - r**2)
    # A single outlier of the tracker or the model must not decide.
    return np.asarray(np.clip(ratio, -MAX_RATIO, MAX_RATIO).sum(axis=-1))


def _choose_lags(rated: NDArray[np.float64], step: float) -> NDArray[np.int64]:
    """Choose an offset for each face, all together. [P]

    Args:
        rated: rates at each offset. [L, P, N]
        step: time from frame to frame, s.
    """
    calm = uniform_filter1d(rated, max(1, round(LAG_WINDOW_SECONDS / step)), axis=2, mode="nearest")
    # Files are in step, or a little out of step: a Laplace distribution.
    prior = -np.abs(LAGS_SECONDS) / EXPECTED_LAG_SECONDS

    def explain(best: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.maximum(best, OFF_SCREEN_AGREEMENT).sum(axis=-1) * step)

    # Begin with one offset for all, then move one face after the other.
    common = int(np.argmax(explain(calm.max(axis=1)) + prior))
    chosen = np.full(rated.shape[1], common)
    prior = -np.abs(LAGS_SECONDS - LAGS_SECONDS[common]) / LAG_DEVIATION_SECONDS
    for _ in range(MAX_LAG_ROUNDS):
        before = chosen.copy()
        for face in range(len(chosen)):
            others = [calm[chosen[k], k] for k in range(len(chosen)) if k != face]
            best = np.maximum(calm[:, face], np.max(others, axis=0) if others else -np.inf)
            chosen[face] = int(np.argmax(explain(best) + prior))
        if (chosen == before).all():
            break
    return chosen


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
