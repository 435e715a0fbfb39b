from __future__ import annotations

import math

import numpy as np
import pytest

from dubfew.errors import ShapeError
from dubfew.evaluate.metrics import METRICS
from dubfew.evaluate.metrics.psnr import psnr
from tests.evaluate.metrics.examples import pair_clips, pair_frames, run_metric, talking_head


def test_value_of_a_known_error(noise):
    # A constant error of 10 gray levels: 20 log10(255 / 10).
    assert psnr(noise, noise + 10) == pytest.approx(28.1308, abs=1e-4)


def test_all_channels_count(noise):
    red = noise.copy()
    red[..., 0] += 10
    assert psnr(noise, red) == pytest.approx(28.1308 + 10 * math.log10(3), abs=1e-4)


def test_identical_frames(noise):
    assert psnr(noise, noise) == math.inf


def test_shape_error(noise):
    with pytest.raises(ShapeError):
        psnr(noise, noise[:, 1:])


def test_frames_that_were_not_edited_are_left_out(noise):
    """Infinite values of untouched frames do not count; each region counts its own pixels."""
    edited = noise.copy()
    edited[0, 0] += 10  # outside of both boxes
    edited[25, 20] += 10  # in the mouth, and so in the face
    landmarks = talking_head(2)
    clips = pair_clips(landmarks, landmarks)
    one = run_metric(METRICS["psnr_mouth"], pair_frames([noise], [edited]), clips)
    two = run_metric(METRICS["psnr_mouth"], pair_frames([noise] * 2, [noise, edited]), clips)
    assert one == two
    # 1 of 24 x 20 pixels is wrong by 10 levels.
    assert one == pytest.approx(28.1308 + 10 * math.log10(480), abs=1e-4)
    face = run_metric(METRICS["psnr"], pair_frames([noise], [edited]), clips)
    assert one < face < math.inf
    assert np.isinf(run_metric(METRICS["psnr"], pair_frames([noise], [noise]), clips))
