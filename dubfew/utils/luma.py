"""Brightness of RGB colors."""

from __future__ import annotations

import numpy as np

# Weights of red, green and blue in luma (ITU-R BT.601, section 2.5.1). [3]
LUMA_BT601 = np.array([0.299, 0.587, 0.114], np.float32)
# The same of high definition and of sRGB's primaries (ITU-R BT.709, section 3.2). [3]
LUMA_BT709 = np.array([0.2126, 0.7152, 0.0722])
