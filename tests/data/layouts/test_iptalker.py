"""IPTalker's paste mask: the hull of the face, smoothed by a Gaussian."""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from dubfew.data.layouts import LAYOUTS
from dubfew.data.layouts._base import fade_by_gaussian
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.data.people import toy_track


def test_the_fade_of_a_straight_edge_is_the_error_function():
    inside = np.zeros((200, 200), bool)
    inside[:, 100:] = True
    opacity = fade_by_gaussian(inside, 5.0)[100]
    assert not opacity[:100].any()
    distance = np.arange(40) + 0.5
    np.testing.assert_allclose(opacity[100:140], erf(distance / (5 * np.sqrt(2))), atol=2e-3)


def test_the_painting_fades_inside_of_the_face_and_at_the_crops_edge():
    head, track = load_head_model(), toy_track(1)
    layout = LAYOUTS["iptalker"].shrunk(2)
    geometry = layout.compute_geometry(track, head)
    opacity, mask = layout.render_opacity(geometry, 0), layout.render_mask(geometry, 0)
    # The whole mask is shown, and more of the face around it.
    assert opacity[mask].mean() > 0.9
    assert (opacity > 0.5).sum() > mask.sum()
    # No seam where the crop ends.
    edges = (opacity[0], opacity[-1], opacity[:, 0], opacity[:, -1])
    assert max(edge.max() for edge in edges) < 0.15
    assert opacity.max() == 1
