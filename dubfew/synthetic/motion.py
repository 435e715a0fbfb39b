"""How a synthetic person moves: speech, head, blinks, gaze."""

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

FACE_CENTER_Y_METERS = -0.034  # m: height of the face's middle in head space
CAMERA_DISTANCE_METERS = 0.83  # m from the camera


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
    """Speak these sounds and move as people do while they speak, about a head turned by
    ``head_turn``
    (rad, axis-angle)."""
    count = len(times)
    liveliness = rng.uniform(0.85, 1.25)  # people open their mouths differently far
    expression, jaw = MouthArticulator(person.head, person.shape)(
        blend_visemes(phones, times) * liveliness
    )
    upper = slice(person.head.mouth_expressions, None)
    brows = expression.shape[1] - person.head.mouth_expressions
    expression[:, upper] = 0.35 * _smooth_random_curves(rng, times, 0.9, brows)
    face = person.head.vertices(person.shape, expression, jaw)[:, :NUM_FACE_VERTICES]
    face = close_eyelids(face, _sample_blinks(rng, times))

    talking = _speech_activity(phones, times)[:, None]
    nod = (
        _smooth_random_curves(rng, times, 0.45, 3)
        * np.array([0.030, 0.022, 0.014])
        * (0.35 + 0.65 * talking)
    )
    sway = _smooth_random_curves(rng, times, 2.2, 3) * np.array([0.035, 0.085, 0.030])
    offset = rng.normal(0, 1, 3) * np.array([0.03, 0.07, 0.02])
    rotation = nod + sway + offset + np.asarray(head_turn)
    drift = _smooth_random_curves(rng, times, 2.5, 3) * np.array([0.007, 0.003, 0.006])
    base = np.array([0.0, FACE_CENTER_Y_METERS, CAMERA_DISTANCE_METERS]) + rng.normal(
        0, 1, 3
    ) * np.array([0.008, 0.004, 0.01])
    # The head turns about the neck, so its middle moves sideways with yaw.
    lean = np.stack([0.030 * rotation[:, 1], 0 * times, 0 * times], 1)
    return PersonMotion(
        times=times,
        expression=expression,
        jaw=jaw,
        face_vertices=face.astype(np.float32),
        rotation=rotation.astype(np.float32),
        translation=(base + drift + lean).astype(np.float32),
        body_rotation=(0.25 * sway + 0.3 * offset).astype(np.float32),
        body_translation=(base + 0.7 * drift).astype(np.float32),
        gaze=(_sample_gaze(rng, times) - 0.6 * rotation[:, [1, 0]] * [1, -1])
        .reshape(count, 2)
        .astype(np.float32),
    )


def _smooth_random_curves(
    rng: np.random.Generator, times: NDArray, period: float, channels: int
) -> NDArray[np.float64]:
    """Smooth random curves of unit deviation with features of ``period`` s. [N, channels]"""
    last = float(times[-1]) if len(times) else 0.0
    knots = np.arange(-2 * period, last + 3 * period, period)
    return CubicSpline(knots, rng.normal(0, 0.9, (len(knots), channels)))(times)


def _sample_blinks(rng: np.random.Generator, times: NDArray) -> FloatArray:
    """Closing of the lids, 0 to 1. [N]"""
    closed = np.zeros(len(times))
    moment = rng.uniform(0.3, 2.5)
    while len(times) and moment < times[-1] + 0.3:
        after = times - moment
        down = np.clip(1 + after / 0.09, 0, 1)  # 90 ms down, 30 ms shut, 160 ms up
        up = np.clip(1 - (after - 0.03) / 0.16, 0, 1)
        shape = np.where(after < 0, down, np.where(after < 0.03, 1.0, up))
        closed = np.maximum(closed, shape * shape * (3 - 2 * shape))
        moment += rng.uniform(1.6, 5.0)
    return closed.astype(np.float32)


def _sample_gaze(rng: np.random.Generator, times: NDArray) -> NDArray[np.float64]:
    """Gaze that rests and jumps, rad. [N, 2]"""
    gaze = np.zeros((len(times), 2))
    moment = 0.0
    while len(times) and moment <= times[-1]:
        target = rng.normal(0, 1, 2) * np.array([0.06, 0.03])
        gaze[times >= moment] = target
        moment += rng.uniform(0.4, 2.0)
    return gaze


def _speech_activity(phones: tuple[Phone, ...], times: NDArray) -> NDArray[np.float64]:
    """1 while something is said, with soft edges. [N]"""
    level = np.zeros(len(times))
    for phone in phones:
        if phone.symbol != SILENCE_SYMBOL:
            outside = np.maximum(0.0, np.maximum(phone.start - times, times - phone.end))
            level = np.maximum(level, np.clip(1 - outside / 0.3, 0, 1))
    return level
