"""The luma in which a watermark is sought, in footage of other color spaces."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.marks.projection import crop_luma
from dubfew.media import ColorTags, Frame


@pytest.mark.parametrize("tags", [(1, 9, 9, 16), (1, 9, 9, 18), (1, 9, 9, 14), (1, 1, 1, 1)])
def test_the_luma_is_that_of_the_painted_picture(tags):
    rgb = np.random.default_rng(0).integers(60, 200, (16, 16, 1)).astype(np.uint8).repeat(3, 2)
    frame = Frame.from_rgb(rgb, pix_fmt="yuv444p10le", color=ColorTags(*tags))
    luma = crop_luma(frame, 2, 4, 14, 12)
    assert luma == pytest.approx(rgb[4:12, 2:14, 1].astype(float), abs=2.1)  # steps of PQ
