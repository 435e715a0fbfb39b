"""Random traits of a person: colors, age, hair, clothes and voice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.synthetic.parts import linear_color

# Skin in sRGB from pale to dark, picked by eye from skin charts; people lie between two of them.
_SKIN_TONES = np.array(
    [
        (0.925, 0.765, 0.690),
        (0.880, 0.695, 0.590),
        (0.760, 0.560, 0.440),
        (0.590, 0.405, 0.300),
        (0.400, 0.270, 0.200),
    ]
)
# Hair in sRGB: black, three browns, blond, red, and gray, which only the old have.
_HAIR_COLORS = np.array(
    [
        (0.07, 0.055, 0.05),
        (0.16, 0.10, 0.07),
        (0.29, 0.18, 0.11),
        (0.48, 0.33, 0.19),
        (0.66, 0.50, 0.30),
        (0.45, 0.20, 0.10),
        (0.52, 0.51, 0.50),
    ]
)
# Irises in sRGB: two browns, green, blue and gray. Dark skin always has the first.
_IRIS_COLORS = np.array(
    [
        (0.24, 0.14, 0.07),
        (0.36, 0.24, 0.12),
        (0.36, 0.40, 0.24),
        (0.35, 0.47, 0.58),
        (0.45, 0.50, 0.52),
    ]
)


@dataclass(frozen=True)
class PersonTraits:
    """Everything about a person but the form of the face.

    Colors are linear light, RGB.

    Attributes:
        skin_color: skin without freckles, lines or blush. [3]
        hair_color: hair of head, brows and beard. [3]
        iris_color: both irises. [3]
        lip_color: lips, lipstick included. [3]
        shirt_colors: ground and pattern of the shirt. [2, 3]
        shirt_pattern: 0 plain, 1 stripes, 2 checks, 3 heather.
        freckles: number of freckles, 0 to 1.
        age: 0 young to 1 old: lines and unevenness.
        stubble: density of stubble, 0 to 1.
        beard: 0 without to 1 with a full beard.
        brow_thickness: thickness of the brows, about 1.
        hair_thickness: height of the hair over the skull, m.
        hair_length: length of the hair behind the ears, m; 0 is short.
        hairline_shift: how much higher than usual the hair begins, rad.
        pitch_hz: mean pitch of the voice, Hz.
        tract_length: length of the vocal tract over an average man's.
    """

    skin_color: NDArray[np.float64]
    hair_color: NDArray[np.float64]
    iris_color: NDArray[np.float64]
    lip_color: NDArray[np.float64]
    shirt_colors: NDArray[np.float64]
    shirt_pattern: int
    freckles: float
    age: float
    stubble: float
    beard: float
    brow_thickness: float
    hair_thickness: float
    hair_length: float
    hairline_shift: float
    pitch_hz: float
    tract_length: float


def sample_traits(rng: np.random.Generator) -> PersonTraits:
    """Draw a person's traits; those that go together in people are drawn together.

    All ranges and probabilities are by eye: people should vary widely and stay believable.
    """
    # One draw decides beard, pitch, vocal tract and the range of brows and hairlines.
    bearded = rng.random() < 0.5
    # The tone runs from 0, pale, to 4, dark.
    tone = rng.uniform(0, 1) ** 1.2 * (len(_SKIN_TONES) - 1)
    skin = np.array([np.interp(tone, range(len(_SKIN_TONES)), _SKIN_TONES[:, c]) for c in range(3)])
    skin = np.clip(skin + rng.normal(0, 0.012, 3), 0.1, 0.97)
    age = rng.uniform(0, 1)
    # The old are often gray, dark-skinned people have dark hair and brown eyes.
    if age > 0.75 and rng.random() < 0.6:
        hair = _HAIR_COLORS[6]
    elif tone > 2:
        hair = _HAIR_COLORS[rng.integers(0, 2)]
    else:
        hair = _HAIR_COLORS[rng.choice(6, p=(0.15, 0.25, 0.25, 0.15, 0.12, 0.08))]
    iris = _IRIS_COLORS[0] if tone > 2.2 else _IRIS_COLORS[rng.integers(0, len(_IRIS_COLORS))]
    # Lips are skin with less green and blue.
    lips = (
        skin * np.array([0.92, 0.66, 0.68]) if tone < 2.5 else skin * np.array([0.88, 0.72, 0.74])
    )
    if not bearded and rng.random() < 0.4:  # lipstick
        lips = 0.45 * lips + 0.55 * np.array([0.62, 0.20, 0.24])
    # The pattern is a lighter or darker relative of the shirt's ground.
    shirt = rng.uniform(0.08, 0.85, 3) * rng.uniform(0.4, 1.0)
    other = np.clip(shirt + rng.choice([-1, 1]) * rng.uniform(0.1, 0.35, 3), 0.03, 0.95)
    long_hair = not bearded and rng.random() < 0.65
    full = bearded and rng.random() < 0.35
    return PersonTraits(
        skin_color=linear_color(*skin),
        hair_color=linear_color(*np.clip(hair * rng.uniform(0.8, 1.2), 0, 1)),
        iris_color=linear_color(*np.clip(iris * rng.uniform(0.85, 1.15), 0, 1)),
        lip_color=linear_color(*np.clip(lips, 0, 1)),
        shirt_colors=np.stack([linear_color(*shirt), linear_color(*other)]),
        shirt_pattern=int(rng.integers(0, 4)),
        freckles=float(rng.uniform(0.3, 1)) if tone < 1.6 and rng.random() < 0.3 else 0.0,
        age=float(age),
        stubble=float(rng.uniform(0.1, 0.9)) if bearded else 0.0,
        beard=float(rng.uniform(0.6, 1.0)) if full else 0.0,
        brow_thickness=float(rng.uniform(0.8, 1.3) if bearded else rng.uniform(0.55, 0.95)),
        hair_thickness=0.003  # shorn
        if bearded and rng.random() < 0.15
        else float(rng.uniform(0.012, 0.022) if long_hair else rng.uniform(0.008, 0.020)),
        hair_length=float(rng.uniform(0.16, 0.26)) if long_hair else 0.0,
        hairline_shift=float(rng.uniform(-0.06, 0.14) if bearded else rng.uniform(-0.10, 0.04)),
        pitch_hz=float(rng.uniform(95, 140) if bearded else rng.uniform(170, 225)),
        tract_length=float(rng.uniform(0.95, 1.06) if bearded else rng.uniform(0.82, 0.90)),
    )
