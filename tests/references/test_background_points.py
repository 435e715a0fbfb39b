"""Background beside a jaw: where most of an actor's windows show skin, a wall in a few is none."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from dubfew.data.samples import make_sample
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.background_points import (
    MIN_WINDOWS,
    find_background_points,
    rate_far_from_lips,
)
from tests.data.people import toy_footage

SKIN, WALL, BEARD, HAIR = (200, 140, 110), (150, 150, 150), (120, 118, 116), (40, 36, 34)
POINTS = np.array([[20, 20, 0], [32, 50, 0], [50, 20, 0], [70, 20, 0]], np.float32)


def make_windows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of 64 px of a gray beard around (32, 50) in skin; the last point lies outside."""
    images = np.full((count, 64, 64, 3), SKIN, np.uint8)
    images[:, 44:56, 26:38] = BEARD
    return images, np.repeat(POINTS[None], count, 0)


def test_a_wall_of_few_windows_is_found_and_a_gray_beard_is_not() -> None:
    images, vertices = make_windows(12)
    images[3:6, :, 42:] = WALL
    expected = np.zeros((12, 4), np.float32)
    expected[3:6, 2] = 1
    np.testing.assert_array_equal(find_background_points(images, vertices), expected)


def test_a_strand_between_points_concerns_the_nearer_one_and_a_birthmark_does_not() -> None:
    images, _ = make_windows(12)
    points = np.array([[8, 20, 0], [16, 20, 0], [24, 20, 0], [50, 20, 0]], np.float32)
    vertices = np.repeat(points[None], 12, 0)
    expected = np.zeros((12, 4), np.float32)
    images[:, 18:22, 19:22] = HAIR  # between the second point and the third in all windows: skin
    np.testing.assert_array_equal(find_background_points(images, vertices), expected)
    images[3, 17:24, 9:12] = HAIR  # a fourth of the way from the first point to the second
    expected[3, 0] = 1
    np.testing.assert_array_equal(find_background_points(images, vertices), expected)
    images[4, 17:24, 36:40] = HAIR  # half of the way between points that are no neighbors
    np.testing.assert_array_equal(find_background_points(images, vertices), expected)


def test_another_light_is_no_background() -> None:
    images, vertices = make_windows(12)
    images[7] = images[7] * np.array([1.0, 0.9, 0.7])  # a warm lamp
    images[8] = images[8] * 0.5
    assert not find_background_points(images, vertices).any()


def test_few_windows_tell_nothing() -> None:
    images, vertices = make_windows(MIN_WINDOWS - 1)
    images[2, :, 42:] = WALL
    assert not find_background_points(images, vertices).any()


def test_points_outside_of_all_windows_tell_nothing() -> None:
    images, vertices = make_windows(12)
    assert not find_background_points(images, vertices + 500).any()


def test_lips_keep_their_hue_to_themselves() -> None:
    turns = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    ring = np.stack([np.cos(turns), np.sin(turns)], 1).astype(np.float32)
    points = np.array([[1, 0], [2, 0], [4, 0], [5, 0]], np.float32)
    rated = rate_far_from_lips(points, ring, 10.0)
    np.testing.assert_allclose(rated, [0, 0, 0.5, 1], atol=1e-5)


def test_what_references_show_beside_the_face_does_not_count() -> None:
    footage, head, bank = toy_footage(), load_head_model(), np.array([4, 6])
    images = np.full_like(footage.images, SKIN)
    plain = dataclasses.replace(footage, images=images)
    clean = make_sample(plain, 5, bank, head, 2).inputs
    assert clean.reference_shown.min() == 1
    images = images.copy()
    images[bank, :, 3 * footage.window_size // 4 :] = WALL
    walled = make_sample(dataclasses.replace(footage, images=images), 5, bank, head, 2).inputs
    skin = walled.mesh_mask[0, 0] > 0
    beside = torch.arange(skin.shape[1]) > 0.8 * skin.shape[1]
    assert walled.reference_shown[0][:, skin & beside].mean() < 0.5
    assert walled.reference_shown[0][:, skin & ~beside].mean() > 0.9
