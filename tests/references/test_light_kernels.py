"""Compiled loops give what torch's and SciPy's functions give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from dubfew.references.light_fit import MIN_LEVEL, LightMatch
from dubfew.references.light_kernels import (
    average_cells,
    city_distances,
    correlate_planes,
    find_alike,
    measure_deviations,
    measure_strangeness,
    relight_planes,
    sample_planes,
    shrink_images,
    shrink_planes,
)
from dubfew.references.skin_cells import window_positions


@pytest.fixture
def images():
    return np.random.default_rng(0).random((2, 3, 22, 22), np.float32)


@pytest.mark.parametrize("channels", [2, 3])
@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_shrinking_averages_as_pooling_does(images, factor, channels):
    images = images[:, :channels]
    pooled = F.avg_pool2d(torch.from_numpy(images), factor).numpy()
    assert shrink_planes(images, factor) == pytest.approx(pooled, abs=1e-6)
    last = images.transpose(0, 2, 3, 1)
    assert shrink_images(last, factor) == pytest.approx(pooled.transpose(0, 2, 3, 1), abs=1e-6)


def test_sampling_is_that_of_torch_beyond_the_border_too(images):
    grid = np.random.default_rng(1).uniform(-1.3, 1.3, (2, 9, 7, 2)).astype(np.float32)
    arrays = (torch.from_numpy(images), torch.from_numpy(grid))
    sampled = F.grid_sample(*arrays, padding_mode="border", align_corners=False)
    assert sample_planes(images, grid) == pytest.approx(sampled.numpy(), abs=1e-5)


@pytest.mark.parametrize("gain", [1.0, 2.5])  # colors beyond the table as well
@pytest.mark.parametrize("power", [1.0, 0.6, 3.0])
def test_light_is_that_of_the_match(images, power, gain):
    matrix = np.array([[1.1, 0.1, 0], [-0.2, 0.9, 0.1], [0, 0, 1.2]], np.float32)
    matrix *= np.float32(gain)
    offset, slope = np.array([0.02, -0.1, 0], np.float32), np.array([0.3, -0.2], np.float32)
    slope[1] -= np.float32(3 * (gain - 1))  # so that not all of them are clipped
    match = LightMatch(matrix, offset, power, slope, np.zeros(3, np.float32))
    expected = match.to_scene(torch.from_numpy(images[0]).clone(), window_positions(22))
    colors = images[:1].copy()
    relight_planes(colors, matrix, offset, power, slope, MIN_LEVEL)
    # Tables of powers are right to half a level of 8 bits.
    assert colors[0] == pytest.approx(expected.numpy(), abs=1e-3)


def test_cells_average_what_is_known_and_not_covered(images):
    rng = np.random.default_rng(2)
    alpha, mesh = (rng.random((2, 22, 22)) < [[[0.3]], [[0.8]]]).astype(np.float32)
    covered = rng.random((22, 22)) < 0.1
    colors, part, beside = np.empty((3, 5, 5), np.float32), *np.empty((2, 5, 5), np.float32)
    average_cells(images[0], alpha, mesh, covered, 4, colors, part, beside)
    known = torch.from_numpy((alpha <= 0) * mesh * ~covered)
    mean = F.avg_pool2d(known[None], 4)[0].numpy()
    assert part == pytest.approx(mean, abs=1e-6)
    assert beside == pytest.approx(F.avg_pool2d(torch.from_numpy(1 - mesh)[None], 4)[0].numpy())
    total = F.avg_pool2d(torch.from_numpy(images[0]) * known, 4).numpy()
    assert colors * part == pytest.approx(total, abs=1e-6)


def test_correlation_is_that_of_what_planes_leave():
    rng = np.random.default_rng(3)
    positions, quarters = rng.uniform(-1, 1, (90, 2)), rng.integers(0, 4, 90)
    quarters[quarters == 3] = np.where(np.arange((quarters == 3).sum()) < 9, 3, 2)
    shared = rng.normal(0, 1, 90)
    values = np.stack([shared + 3 * positions[:, 0], rng.normal(0, 1, 90) + shared + 5], 1)
    total = 0.0
    for quarter in range(3):  # the last one has too few
        rows = quarters == quarter
        plane = np.concatenate([np.ones((rows.sum(), 1)), positions[rows]], 1)
        rest = values[rows] - plane @ np.linalg.lstsq(plane, values[rows], rcond=None)[0]
        total += rows.sum() * np.corrcoef(rest.T)[0, 1]
    found = correlate_planes(values, positions, quarters, 10)
    assert found == pytest.approx(total / (quarters < 3).sum(), abs=1e-6)
    # Cells in one column have no slope across.
    positions[:, 0] = 0.25
    assert abs(correlate_planes(values, positions, quarters, 10)) < 1
    assert correlate_planes(np.zeros((90, 2)), positions, quarters, 10) == 0


def test_deviations_are_those_of_the_covariance():
    rng = np.random.default_rng(4)
    slopes, root = rng.normal(0, 1, (6, 3, 16)), rng.normal(0, 1, (16, 16))
    covariance = root @ root.T
    deviations = np.empty((6, 3))
    measure_deviations(slopes, covariance, deviations)
    variance = np.einsum("ncp,pq,ncq->nc", slopes, covariance, slopes)
    assert deviations == pytest.approx(np.sqrt(variance))


def test_steps_are_rounds_of_dilation():
    mask = np.random.default_rng(5).random((20, 25)) < 0.02
    for steps in (1, 4):
        assert (
            (city_distances(mask) <= steps) == ndimage.binary_dilation(mask, iterations=steps)
        ).all()
    assert (city_distances(np.zeros((3, 4), bool)) > 12).all()


def test_strange_colors_are_those_beyond_all_that_lies_near():
    rng = np.random.default_rng(6)
    seen = rng.random((3, 24, 24), np.float32)
    expected = 0.4 + 0.2 * rng.random((3, 3, 24, 24), np.float32)
    where, reach = rng.random((24, 24)) < 0.8, rng.integers(1, 4, (24, 24)).astype(np.int32)
    above, below = measure_strangeness(seen, expected, where, reach, 0.1)
    far = np.zeros((2, 24, 24), np.float32)
    for near in (1, 2, 3):
        size = (1, 2 * near + 1, 2 * near + 1)
        high = ndimage.maximum_filter(expected.max(0), size, mode="nearest")
        low = ndimage.minimum_filter(expected.min(0), size, mode="nearest")
        both = np.stack([(seen - high).max(0), (low - seen).max(0)]).clip(0)
        far = np.where(reach == near, both, far)
    far[(far <= 0.1) | ~where] = 0
    assert np.stack([above, below]) == pytest.approx(far, abs=1e-6)
    assert (above > 0).any()
    assert (below > 0).any()


def test_alike_are_pixels_near_one_of_the_colors():
    rng = np.random.default_rng(7)
    window = rng.integers(0, 256, (12, 12, 3), np.uint8)
    colors, where = rng.random((5, 3), np.float32), rng.random((12, 12)) < 0.7
    alike = np.zeros((12, 12), bool)
    find_alike(window, colors, where, np.float32(0.3), alike)
    far = np.abs(window[:, :, None] / np.float32(255) - colors).max(-1)
    assert (alike == (where & (far < 0.3).any(-1))).all()
    assert alike.any()
