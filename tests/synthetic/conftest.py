"""One synthetic person with everything, and a clip of it: painting a person takes seconds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from dubfew.media import Audio
from dubfew.reconstruction.track import Track
from dubfew.synthetic import SyntheticPerson, render_clip

FilmedClip = tuple[NDArray[np.uint8], Audio, Track]


@pytest.fixture(scope="session")
def person() -> SyntheticPerson:
    return SyntheticPerson(14)


@pytest.fixture(scope="session")
def clip(person: SyntheticPerson) -> FilmedClip:
    """Frames [N, 192, 192, 3], sound and track."""
    made = render_clip(person, seconds=0.4, fps=Fraction(25), size=192, seed=3)
    return np.stack(list(made.frames)), made.audio, made.track
