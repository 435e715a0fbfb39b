"""Smoke over a face lies over the painted mouth as well, and a clear face has none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from dubfew.data.samples import make_sample
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import OUTER_LIPS
from dubfew.references.light_match import LightTracker
from dubfew.references.overlays import SceneView
from dubfew.references.skin_cells import window_positions
from dubfew.references.thing_tracking import MIN_REPORTED_FRAMES
from dubfew.references.veil import Veil, fit_veil
from dubfew.references.veil_tracking import UNVEILED_FRAMES
from tests.data.people import toy_footage

ROW = 5


@pytest.fixture(scope="module")
def sample():
    return make_sample(toy_footage(), ROW, np.array([4, 6]), load_head_model(), 2)


def seen_through(sample, opacity, tone):
    """The sample's inputs and view behind smoke of an opacity [S, S] and a gray level."""
    size = sample.target.shape[-1]
    face = sample.target[0].permute(1, 2, 0).numpy()
    window = face + opacity[..., None] * (tone - face)
    window = (window * 255 + 0.5).clip(0, 255).astype(np.uint8)
    points = load_head_model().point_matrix(OUTER_LIPS) @ toy_footage(size=size).vertices[ROW]
    scene = torch.from_numpy(window).permute(2, 0, 1)[None].float() / 255
    blanked = torch.where(sample.inputs.alpha > 0, 0, scene)
    inputs = dataclasses.replace(sample.inputs, scene=blanked)
    return inputs, SceneView(window, np.asarray(points[:, :2], np.float32))


def cloud(size, seed, largest, pieces=4):
    """Opacity of smoke that is dense here and thin there. [size, size]"""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), size / pieces)
    return largest * (noise - noise.min()) / np.ptp(noise)


@pytest.mark.slow
@pytest.mark.parametrize(("tone", "largest", "pieces"), [(0.1, 0.9, 3), (0.05, 0.8, 3)])
def test_smoke_lies_over_the_painted_mouth_as_well(sample, tone, largest, pieces):
    opacity = cloud(sample.target.shape[-1], 3, largest, pieces)
    inputs, view = seen_through(sample, opacity, tone)
    tracker = LightTracker()
    for shot in range(MIN_REPORTED_FRAMES):
        match = tracker.match(inputs, shot, view)
    assert tracker.opacity == 1
    assert tracker.veils.veil is not None
    assert f"part of the face in {MIN_REPORTED_FRAMES} frames" in tracker.describe_unmatched()
    clear, laid_over = measure_paint(sample, inputs, view, match, tracker.veils.veil)
    assert laid_over < 0.75 * clear


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["thin smoke", "half in the shade"])
def test_what_hides_a_little_lies_over_the_painted_mouth_as_well(kind):
    size = 160
    footage, head = toy_footage(size=size), load_head_model()
    sample = make_sample(footage, ROW, np.array([4, 6]), head, 2)
    across = 0.2 * (1 - np.tanh(8 * np.linspace(-1, 1, size)))
    opacity, tone = {
        "thin smoke": (cloud(size, 3, 0.5, 5), 0.8),
        "half in the shade": (across[None].repeat(size, 0), 0.0),
    }[kind]
    inputs, view = seen_through(sample, opacity, tone)
    tracker = LightTracker()
    match = tracker.match(inputs, 0, view)
    assert tracker.opacity == 1
    clear, laid_over = measure_paint(sample, inputs, view, match, tracker.veils.veil)
    assert laid_over < 0.5 * clear
    # In a dub whose own mouth is not known, nobody knows what is shading and what is another chin.
    tracker.match(inputs, 1, view, lambda: None)
    assert tracker.veils.veil is None


def test_a_veil_stays_for_a_frame_and_is_fitted_again(sample, monkeypatch):
    fits, shown = [], []
    tracker = LightTracker()
    find = tracker.veils._find
    monkeypatch.setattr(tracker.veils, "_find", lambda *a: fits.append(len(shown)) or find(*a))
    inputs, view = seen_through(sample, cloud(sample.target.shape[-1], 3, 0.9, 3), 0.1)
    for shot in [0, 0, 0, 0, 1]:
        tracker.match(inputs, shot, view)
        assert tracker.veils.veil is not None
        shown.append(shot)
    assert fits == [0, 2, 4]


def measure_paint(sample, inputs, view, match, veil):
    """Mean error of the sample's own mouth painted without a veil, and with it."""
    mask = inputs.alpha[0, 0].numpy() > 0
    painted = sample.target[0]
    if match is not None:
        painted = match.to_scene(painted, window_positions(len(mask)))
    clear = painted.permute(1, 2, 0).numpy()
    return tuple(
        np.abs(picture - view.window / 255)[mask].mean()
        for picture in (clear, veil.lay_over(clear))
    )


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0.3, 0.4])
def test_shadows_of_blinds_lie_over_the_painted_mouth_as_well(depth):
    size = 160
    footage, head = toy_footage(size=size), load_head_model()
    sample = make_sample(footage, ROW, np.array([4, 6]), head, 2)
    bars = 0.5 + 0.5 * np.sin(2 * np.pi * (0.3 + 2 * (np.arange(size) + 0.5) / size))
    inputs, view = seen_through(sample, (depth * bars)[:, None].repeat(size, 1), 0.0)
    tracker = LightTracker()
    match = tracker.match(inputs, 0, view)
    assert tracker.opacity == 1
    clear, laid_over = measure_paint(sample, inputs, view, match, tracker.veils.veil)
    assert laid_over < 0.4 * clear


def test_a_clear_face_has_no_smoke_before_it(sample):
    tracker = LightTracker()
    inputs, view = seen_through(sample, np.zeros(sample.target.shape[2:]), 0.5)
    tracker.match(inputs, 0, view)
    assert tracker.veils.veil is None
    # Light that changes evenly over the window is no smoke.
    across = np.linspace(0.3, 0.6, sample.target.shape[-1])[None].repeat(len(view.window), 0)
    tracker.match(*seen_through(sample, across, 0.0)[:1], 1, seen_through(sample, across, 0.0)[1])
    assert tracker.veils.veil is None


def test_a_clear_shot_is_looked_at_again_after_some_frames(sample, monkeypatch):
    shown, looks = [], []

    def find_no_veil(*_):
        looks.append(len(shown))

    tracker = LightTracker()
    monkeypatch.setattr(tracker.veils, "_find", find_no_veil)
    inputs, view = seen_through(sample, np.zeros(sample.target.shape[2:]), 0.5)
    # A new shot is looked at anew.
    for shot in [0] * (UNVEILED_FRAMES + 3) + [1]:
        tracker.match(inputs, shot, view)
        shown.append(shot)
    assert looks == [0, UNVEILED_FRAMES + 1, UNVEILED_FRAMES + 3]


def test_the_share_and_the_color_of_a_veil_are_found():
    rng = np.random.default_rng(0)
    brightness = gaussian_filter(rng.uniform(0, 1, (40, 40)), 1.5)
    brightness = 0.3 + 0.5 * (brightness - brightness.min()) / np.ptp(brightness)
    skin = brightness[..., None] * np.array([1.0, 0.75, 0.6])
    share = 1 - cloud(40, 1, 0.8)
    known = np.ones((40, 40), bool)
    known[16:24, 12:28] = False  # lips
    smoky = 0.7 + share[..., None] * (skin - 0.7)
    smoky[~known] = 0
    grays = np.linspace(0, 1, 11)[:, None].repeat(3, 1)
    found = fit_veil(skin, smoky, known, grays)
    np.testing.assert_allclose(found.veil.color, 0.7, atol=0.101)
    assert np.abs(found.veil.share - share).mean() < 0.08
    assert np.abs(found.veil.share - share)[~known].mean() < 0.1
    assert found.after < 0.2 * found.before
    densest, clearest = np.percentile(share[known], (10, 90))
    assert found.evenness == pytest.approx(densest / clearest, rel=0.15)


def test_a_veil_is_laid_over_and_lifted():
    share = np.linspace(0.4, 1, 16, dtype=np.float32).reshape(4, 4)
    veil = Veil(np.array([0.8, 0.8, 0.7], np.float32), share)
    window = np.random.default_rng(0).integers(60, 200, (32, 32, 3)).astype(np.uint8)
    over = veil.lay_over(window / np.float32(255))
    np.testing.assert_allclose(
        over[0, 0],
        [0.8, 0.8, 0.7] + 0.4 * (window[0, 0] / 255 - np.array([0.8, 0.8, 0.7])),
        atol=1e-5,
    )
    back = veil.lift((over * 255 + 0.5).astype(np.uint8))
    assert np.abs(back.astype(int) - window).max() <= 2
    # A part of the window has the same places, at any resolution.
    part = veil.lay_over(window[8:16, 16:32] / np.float32(255), (0.5, 0.25, 1.0, 0.5))
    np.testing.assert_allclose(part, over[8:16, 16:32], atol=1e-5)
    assert veil.weaken(0).share.min() == 1
