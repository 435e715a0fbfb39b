"""Seam, flicker, color shift and unpainted frames, on faults of known size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dubfew.evaluate.metrics import METRICS, FramePair
from dubfew.evaluate.metrics._skin import find_edited_part
from dubfew.evaluate.metrics.color_shift import skin_color_difference
from dubfew.evaluate.metrics.flicker import mean_skin_errors, second_differences
from dubfew.evaluate.metrics.seam import seam_strength
from dubfew.evaluate.metrics.unpainted import is_unpainted
from dubfew.evaluate.regions import CHROMA_REACH_PX
from tests.evaluate.metrics.examples import (
    FACE_BOX,
    MOUTH_BOX,
    editable_pixels,
    face_in_frame,
    pair_clips,
    pair_frames,
    talking_head,
)


def plain(level: float, count: int = 1) -> list[np.ndarray]:
    return [np.full((48, 64, 3), level, np.uint8)] * count


def test_lips_are_no_skin():
    (pair,) = pair_frames(plain(90), plain(90))
    part = find_edited_part(pair)
    assert part is not None
    # The outline of lips with radii of 5 and 4 px, enlarged by a quarter.
    missing = editable_pixels().sum() - part.skin.sum()
    assert missing == pytest.approx(math.pi * 5 * 4 * 1.25**2, rel=0.1)


def test_color_shift_of_gray_is_the_difference_of_lightness():
    """For grays near L* 50, CIEDE2000 is the difference of L*, where its weight is 1."""
    (pair,) = pair_frames(plain(118), plain(120))
    lightness = [116 * ((v / 255 + 0.055) / 1.055) ** (2.4 / 3) - 16 for v in (118, 120)]
    expected = lightness[1] - lightness[0]
    assert skin_color_difference(pair) == pytest.approx(expected, rel=0.01)


def test_color_of_the_lips_does_not_count():
    red = plain(90)[0].copy()
    red[28:33, 22:27] = (200, 40, 40)
    (pair,) = pair_frames(plain(90), [red])
    assert skin_color_difference(pair) == 0


def test_flicker_of_alternating_levels():
    """Two levels up and two down: the second difference is 8 in every inner frame."""
    frames = [plain(100 + (2 if k % 2 else -2))[0] for k in range(6)]
    measurement = METRICS["flicker"].measure.start(None)
    for pair in pair_frames(plain(100, 6), frames):
        measurement.add_frame(pair)
    clips = pair_clips(talking_head(6), talking_head(6))
    assert measurement.compute(clips) == pytest.approx(8)
    curve = measurement.curve(clips)
    assert curve is not None
    assert np.isnan(curve.values[[0, -1]]).all()


def test_a_slow_fade_is_no_flicker():
    errors = np.arange(10.0)[:, None, None] * np.ones((10, 9, 3))
    assert np.nanmax(second_differences(errors)) == 0


def test_flicker_of_one_cheek_is_not_diluted_by_frames_without_a_face():
    (pair,) = pair_frames(plain(100), plain(103))
    assert np.nanmean(mean_skin_errors(pair)) == pytest.approx(3)
    lost = FramePair(pair.reference, pair.output, None, MOUTH_BOX)
    assert np.isnan(mean_skin_errors(lost)).all()


def with_line(depth: int, levels: int) -> np.ndarray:
    """A dark line of two pixels, this far inside of the editable region."""
    picture = plain(120)[0].copy()
    rows, columns = slice(10 + depth, 44 - depth), slice(6 + depth, 46 - depth)
    inner = (slice(12 + depth, 42 - depth), slice(8 + depth, 44 - depth))
    picture[rows, columns] -= np.uint8(levels)
    picture[inner] += np.uint8(levels)
    return picture


def test_a_line_at_the_edge_is_a_seam_in_proportion():
    values = []
    for levels in (0, 10, 20):
        (pair,) = pair_frames(plain(120), [with_line(CHROMA_REACH_PX, levels)])
        values.append(seam_strength(pair))
    assert values[0] == 0
    assert values[1] > 1
    assert values[2] == pytest.approx(2 * values[1], rel=0.01)


def test_a_step_of_sharpness_is_no_seam():
    """Noise that stops at the edge of the region, as a blurred mouth has it."""
    noise = np.random.default_rng(0).integers(90, 150, (48, 64, 3), np.uint8)
    smooth = noise.copy()
    smooth[14:40, 10:42] = 120
    (pair,) = pair_frames([noise], [smooth])
    (line,) = pair_frames(plain(120), [with_line(CHROMA_REACH_PX, 20)])
    assert seam_strength(pair) < seam_strength(line) / 2


def test_unpainted_frames():
    noise = np.random.default_rng(0).integers(90, 150, (48, 64, 3), np.uint8)
    painted = noise.copy()
    painted[20:36, 16:32] += 9
    # Re-encoding changes all of the frame alike.
    coded = noise + np.random.default_rng(1).integers(0, 3, noise.shape, np.uint8)
    values = [is_unpainted(pair) for pair in pair_frames([noise] * 3, [noise, coded, painted])]
    assert values == [100, 100, 0]
    nobody = FramePair(noise, painted, None, MOUTH_BOX, editable_pixels())
    assert is_unpainted(nobody) is None
    maskless = FramePair(noise, painted, FACE_BOX, MOUTH_BOX, None, face_in_frame())
    assert is_unpainted(maskless) == 100
