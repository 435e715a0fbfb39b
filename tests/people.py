"""Frames of synthetic people, painted once per process: a person's texture takes seconds."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from dubfew.synthetic.clip import render_clip
from dubfew.synthetic.person import SyntheticPerson

# Size and length of the clips: a face detector needs no more.
SIDE_PX, NUM_FRAMES = 192, 24


@cache
def synthetic_person(seed: int) -> SyntheticPerson:
    """A person, whose texture stays painted."""
    return SyntheticPerson(seed)


@cache
def person_frames(seed: int, side: int = SIDE_PX) -> NDArray[np.uint8]:
    """A second of a person who speaks. [24, side, side, 3]; read only"""
    clip = render_clip(synthetic_person(seed), seconds=NUM_FRAMES / 25, size=side)
    frames = np.stack(list(clip.frames))
    frames.setflags(write=False)
    return frames
