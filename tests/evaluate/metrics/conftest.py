"""A picture to compare."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.evaluate.metrics.examples import noise_frames


@pytest.fixture
def noise() -> NDArray[np.uint8]:
    """A picture of noise. [48, 64, 3]"""
    return noise_frames(1)[0]
