"""Where paint goes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dubfew.media import Frame
from dubfew.media.pixels import NATIVE_FORMATS, keep_whole_cells

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


@pytest.mark.slow
@given(masks, st.integers(0, 1), st.integers(0, 1))
def test_only_whole_cells_and_all_of_them(mask, odd_x, odd_y):
    whole = keep_whole_cells(mask, NATIVE_FORMATS["yuv420p"], odd_x, odd_y)
    assert whole.shape == mask.shape
    assert not np.any(whole & ~mask)
    height, width = mask.shape
    for y in range(-odd_y, height, 2):
        for x in range(-odd_x, width, 2):
            inside = min(x, y) >= 0 and y + 1 < height and x + 1 < width
            cell = mask[y : y + 2, x : x + 2] if inside else np.zeros((1, 1), bool)
            kept = whole[max(y, 0) : y + 2, max(x, 0) : x + 2]
            assert kept.all() == kept.any() == bool(cell.all())


@pytest.mark.parametrize("origin", [(0, 0), (1, 0), (0, 1), (5, 7)])
def test_no_sample_outside_the_mask_changes(origin):
    """Chroma is shared by four pixels: none of them may be one that is not to change."""
    rng = np.random.default_rng(0)
    frame = Frame.from_rgb(rng.integers(0, 255, (32, 40, 3), dtype=np.uint8))
    x0, y0 = origin
    mask = rng.random((20, 22)) < 0.8
    inside = keep_whole_cells(mask, NATIVE_FORMATS["yuv420p"], x0, y0)
    assert inside.any()
    assert not inside.all()
    painted = frame.with_patch(x0, y0, np.full((20, 22, 3), 255, np.uint8), inside)
    full = np.zeros((32, 40), bool)
    full[y0 : y0 + 20, x0 : x0 + 22] = mask
    np.testing.assert_array_equal(painted.to_rgb()[~full], frame.to_rgb()[~full])
    assert (painted.to_rgb()[full] != frame.to_rgb()[full]).any()
