"""One pass over the pixels carries what interpolation of each attribute does."""

from __future__ import annotations

import numpy as np

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.references.mesh_attributes import rasterize_attributes
from tests.data.people import SIZE, toy_footage


def test_a_mesh_carries_what_interpolation_gives():
    head, footage = load_head_model(), toy_footage(8)
    vertices, rows = footage.vertices[5], [1, 3, 6]
    places = footage.vertices[rows, :, :2] * (2 / SIZE) - 1
    hidden = np.random.default_rng(0).random((3, len(vertices))).astype(np.float32)
    attributes = rasterize_attributes(head, vertices, SIZE, places, hidden)
    raster = rasterize_mesh(vertices, head.faces, SIZE, SIZE)
    covered = raster.coverage
    fills_opening, height = head.mouth_filling
    inside = fills_opening[raster.face_id] & covered
    assert 0 < inside.sum() < covered.sum() < covered.size

    def interpolate(values):
        return interpolate_attributes(raster, head.faces, values)

    np.testing.assert_array_equal(attributes.mask, covered)
    np.testing.assert_array_equal(attributes.interior[0], inside)
    np.testing.assert_array_equal(
        attributes.interior[1], inside * interpolate(height[:, None])[..., 0]
    )
    np.testing.assert_array_equal(attributes.uv, interpolate(head.uv))
    for reference in range(3):
        np.testing.assert_array_equal(attributes.places[reference], interpolate(places[reference]))
        shown = np.where(covered, 1 - interpolate(hidden[reference][:, None])[..., 0], 1)
        np.testing.assert_array_equal(attributes.shown[reference], shown)
