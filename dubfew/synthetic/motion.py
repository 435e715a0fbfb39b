"""Motion of a synthetic person: speech, head, blinks and gaze."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from dubfew.speech.visemes import SILENCE_SYMBOL, Phone, blend_visemes
from dubfew.synthetic.articulation import MouthArticulator
from dubfew.synthetic.eyes import close_eyelids
from dubfew.synthetic.parts import NUM_FACE_VERTICES
from dubfew.synthetic.person import SyntheticPerson
from dubfew.utils.arrays import FloatArray
from dubfew.utils.smoothstep import smoothstep

# Height of the face's middle in head space, m: it is put in the picture's middle.
FACE_CENTER_Y_METERS = -0.034
# Distance from the camera, m: that of an interview. Nearer, noses look large.
CAMERA_DISTANCE_METERS = 0.83
# Periods (s) and amplitudes of the head's motion about x, y and z, rad: nodding with the syllables
# and swaying with the sentences.
NOD_PERIOD_SECONDS, NOD_RADIANS = 0.45, (0.030, 0.022, 0.014)
SWAY_PERIOD_SECONDS, SWAY_RADIANS = 2.2, (0.035, 0.085, 0.030)
# Spread of the direction in which different clips show the head, rad.
OFFSET_RADIANS = (0.03, 0.07, 0.02)
# Period (s) and amplitude of the head's drift, and its spread between clips, m.
DRIFT_PERIOD_SECONDS, DRIFT_METERS, PLACE_METERS = 2.5, (0.007, 0.003, 0.006), (0.008, 0.004, 0.01)
# Part of the nodding that is left in silence.
SILENT_NOD_FRACTION = 0.35
# Sideways motion of the head's origin per rad of yaw, m: heads turn about the neck behind it.
YAW_SHIFT_METERS = 0.030
# Period (s) and size, in unit coefficients, of the brows' expressions.
BROW_PERIOD_SECONDS, BROW_AMPLITUDE = 0.9, 0.35
# Part of the head's turn that the eyes take back, so that they keep looking at the camera.
GAZE_COUNTER_FRACTION = 0.6
# Times of a blink, s: lids go down faster than up.
BLINK_DOWN_SECONDS, BLINK_SHUT_SECONDS, BLINK_UP_SECONDS = 0.09, 0.03, 0.16
# Before and after speech the head quiets down over this time, s.
SPEECH_FADE_SECONDS = 0.3


@dataclass(frozen=True)
class PersonMotion:
    """Everything that moves, for the N frames of a clip, or for one frame of it.

    One frame, as `select` gives it, has the same arrays without their first axis.

    Attributes:
        times: seconds from the start of the clip. [N]
        expression: expression coefficients of the head model. [N, E]
        jaw: jaw rotation, axis-angle, rad. [N, 3]
        face_vertices: live face with blinks, head space, m. [N, 468, 3]
        rotation: head rotation, axis-angle, rad. [N, 3]
        translation: head origin in camera space, m. [N, 3]
        body_rotation: rotation of the shoulders, axis-angle, rad. [N, 3]
        body_translation: where head space's origin would be if it followed the shoulders, m.
            [N, 3]
        gaze: direction of the eyes from straight ahead, right and up, rad. [N, 2]
    """

    times: NDArray[np.float64]
    expression: FloatArray
    jaw: FloatArray
    face_vertices: FloatArray
    rotation: FloatArray
    translation: FloatArray
    body_rotation: FloatArray
    body_translation: FloatArray
    gaze: FloatArray

    def __len__(self) -> int:
        return len(self.times)

    def select(self, row: int) -> PersonMotion:
        """Return the state in one frame, its arrays without the frames' axis."""
        return PersonMotion(*(getattr(self, field.name)[row] for field in fields(self)))


def animate_person(
    person: SyntheticPerson,
    phones: tuple[Phone, ...],
    times: NDArray[np.float64],
    rng: np.random.Generator,
    head_turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> PersonMotion:
    """Move a person as people move while they speak given sounds.

    Args:
        person: person to move.
        phones: speech sounds with their times.
        times: times of the frames, s. [N]
        rng: source of everything but the sounds.
        head_turn: axis-angle vector that is added to the head's rotation, rad.

    Returns:
        Motion of N frames.
    """
    count = len(times)
    # Some people open their mouths wider than others.
    liveliness = rng.uniform(0.85, 1.25)
    expression, jaw = MouthArticulator(person.head, person.shape)(
        blend_visemes(phones, times) * liveliness
    )
    # Speech has the expressions of the mouth, chance those of the upper face.
    upper = slice(person.head.mouth_expressions, None)
    brows = expression.shape[1] - person.head.mouth_expressions
    expression[:, upper] = BROW_AMPLITUDE * _smooth_random_curves(
        rng, times, BROW_PERIOD_SECONDS, brows
    )
    face = person.head.vertices(person.shape, expression, jaw)[:, :NUM_FACE_VERTICES]
    face = close_eyelids(face, _sample_blinks(rng, times))

    talking = _speech_activity(phones, times)[:, None]
    nod = (
        _smooth_random_curves(rng, times, NOD_PERIOD_SECONDS, 3)
        * np.array(NOD_RADIANS)
        * (SILENT_NOD_FRACTION + (1 - SILENT_NOD_FRACTION) * talking)
    )
    sway = _smooth_random_curves(rng, times, SWAY_PERIOD_SECONDS, 3) * np.array(SWAY_RADIANS)
    offset = rng.normal(0, 1, 3) * np.array(OFFSET_RADIANS)
    rotation = nod + sway + offset + np.asarray(head_turn)
    drift = _smooth_random_curves(rng, times, DRIFT_PERIOD_SECONDS, 3) * np.array(DRIFT_METERS)
    base = np.array([0.0, FACE_CENTER_Y_METERS, CAMERA_DISTANCE_METERS]) + rng.normal(
        0, 1, 3
    ) * np.array(PLACE_METERS)
    yaw_shift = np.stack([YAW_SHIFT_METERS * rotation[:, 1], 0 * times, 0 * times], 1)
    # Positive yaw turns the head to the image's right, positive pitch down; gaze is right and up.
    counter = GAZE_COUNTER_FRACTION * rotation[:, [1, 0]] * [1, -1]
    return PersonMotion(
        times=times,
        expression=expression,
        jaw=jaw,
        face_vertices=face.astype(np.float32),
        rotation=rotation.astype(np.float32),
        translation=(base + drift + yaw_shift).astype(np.float32),
        # Shoulders follow the slow motion of the head by a quarter, and do not nod.
        body_rotation=(0.25 * sway + 0.3 * offset).astype(np.float32),
        body_translation=(base + 0.7 * drift).astype(np.float32),
        gaze=(_sample_gaze(rng, times) - counter).reshape(count, 2).astype(np.float32),
    )


def _smooth_random_curves(
    rng: np.random.Generator, times: NDArray, period: float, channels: int
) -> NDArray[np.float64]:
    """Smooth random curves of about unit deviation, features ``period`` s apart. [N, channels]"""
    last = float(times[-1]) if len(times) else 0.0
    knots = np.arange(-2 * period, last + 3 * period, period)
    return CubicSpline(knots, rng.normal(0, 0.9, (len(knots), channels)))(times)


def _sample_blinks(rng: np.random.Generator, times: NDArray) -> FloatArray:
    """How far the lids are closed at each time, 0 to 1, by blinks every few seconds. [N]"""
    closed = np.zeros(len(times))
    moment = rng.uniform(0.3, 2.5)
    while len(times) and moment < times[-1] + 0.3:
        after = times - moment
        down = np.clip(1 + after / BLINK_DOWN_SECONDS, 0, 1)
        up = np.clip(1 - (after - BLINK_SHUT_SECONDS) / BLINK_UP_SECONDS, 0, 1)
        shape = np.where(after < 0, down, np.where(after < BLINK_SHUT_SECONDS, 1.0, up))
        # Lids do not start or stop abruptly.
        closed = np.maximum(closed, smoothstep(0, 1, shape))
        moment += rng.uniform(1.6, 5.0)
    return closed.astype(np.float32)


def _sample_gaze(rng: np.random.Generator, times: NDArray) -> NDArray[np.float64]:
    """Gaze that rests and jumps (saccades), right and up, rad. [N, 2]"""
    gaze = np.zeros((len(times), 2))
    moment = 0.0
    while len(times) and moment <= times[-1]:
        target = rng.normal(0, 1, 2) * np.array([0.06, 0.03])
        gaze[times >= moment] = target
        moment += rng.uniform(0.4, 2.0)
    return gaze


def _speech_activity(phones: tuple[Phone, ...], times: NDArray) -> NDArray[np.float64]:
    """1 while something is said, fading to 0 before and after. [N]"""
    level = np.zeros(len(times))
    for phone in phones:
        if phone.symbol != SILENCE_SYMBOL:
            outside = np.maximum(0.0, np.maximum(phone.start - times, times - phone.end))
            level = np.maximum(level, np.clip(1 - outside / SPEECH_FADE_SECONDS, 0, 1))
    return level
