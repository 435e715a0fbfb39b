from __future__ import annotations

import numpy as np

from dubfew.references.inputs import select_motion_window


def test_motion_is_held_at_the_ends():
    motion = np.arange(10, dtype=np.float32)[:, None, None] * np.ones((1, 63, 3), np.float32)
    assert select_motion_window(motion, 0)[:, 0, 0].tolist() == [0, 0, 0, 1, 2]
    assert select_motion_window(motion, 9)[:, 0, 0].tolist() == [7, 8, 9, 9, 9]
