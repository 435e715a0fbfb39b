"""Types of arrays that occur in every package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Coordinates, weights and colors in computations. Single precision is enough for pixels, and half
# the memory of NumPy's default.
FloatArray = NDArray[np.float32]
