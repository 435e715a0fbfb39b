"""Brightness of RGB colors."""

from __future__ import annotations

import numpy as np

# Weights of red, green and blue in luma (ITU-R BT.601, section 2.5.1). [3]
LUMA_BT601 = np.array([0.299, 0.587, 0.114], np.float32)
