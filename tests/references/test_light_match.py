from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dubfew.data.samples import make_sample
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.shading_model import linear_to_srgb, srgb_to_linear
from dubfew.references.light_fit import (
    IDENTITY,
    LightFit,
    fit_light,
    make_match,
    predict_colors,
    predict_fit,
    settle_fit,
    start_fit,
)
from dubfew.references.light_match import (
    LightTracker,
    bring_to_actor_light,
    measure_mouth_change,
)
from dubfew.references.skin_cells import FrameCells, window_positions
from dubfew.utils.luma import LUMA_BT709
from tests.data.people import toy_footage


def skin(count: int = 400, seed: int = 0):
    """Colors of skin from shadow to highlight, and where they lie in the window."""
    rng = np.random.default_rng(seed)
    brightness = rng.uniform(0.2, 0.8, (count, 1))
    colors = brightness * np.array([1.0, 0.75, 0.6]) + rng.normal(0, 0.02, (count, 3))
    return colors.clip(0.02, 0.98), rng.uniform(-1, 1, (count, 2))


def gray(colors):
    return (colors @ LUMA_BT709)[..., None].repeat(3, -1)


# What cameras, lamps and graders do to a color at a position.
ALTERATIONS = {
    "levels": lambda c, p: 0.55 * c,
    "darker": lambda c, p: linear_to_srgb(0.4 * srgb_to_linear(c)),
    "brighter": lambda c, p: linear_to_srgb(1.6 * srgb_to_linear(c)),
    "warm": lambda c, p: linear_to_srgb(np.array([1.3, 0.9, 0.4]) * srgb_to_linear(c)),
    "gamma": lambda c, p: c**0.6,
    "steep": lambda c, p: c**1.6,
    "flat": lambda c, p: 0.5 + 0.4 * (c - 0.5),
    "contrast": lambda c, p: 0.5 + 1.3 * (c - 0.5),
    "gray": lambda c, p: gray(c),
    "vivid": lambda c, p: gray(c) + 1.5 * (c - gray(c)),
    "log": lambda c, p: 0.1 + 0.2 * np.log2(1 + 10 * srgb_to_linear(c)),
    "lamp": lambda c, p: c * np.exp(0.3 * p[..., :1]),
    "half faded to white": lambda c, p: 0.5 * c + 0.5,
    "black": lambda c, p: 0.0 * c,
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_the_match_extends_to_colors_that_skin_does_not_have(name):
    colors, positions = skin()
    altered = ALTERATIONS[name](colors, positions).clip(0, 1)
    noisy = altered + np.random.default_rng(1).normal(0, 0.004, altered.shape)
    fit = fit_light(colors, noisy.clip(0, 1), positions, start_fit())
    # The dark of a mouth, lips, teeth.
    others = np.array([[0.1, 0.06, 0.05], [0.6, 0.3, 0.3], [0.8, 0.76, 0.7]])
    middle = np.zeros((3, 2))
    truth = ALTERATIONS[name](others, middle).clip(0, 1)
    predicted = predict_colors(fit.parameters, others, middle)[0].clip(0, 1)
    assert np.abs(predicted - truth).max() < 0.05


def test_derivatives_are_those_of_the_prediction():
    colors, positions = skin(5)
    parameters = IDENTITY + np.random.default_rng(2).normal(0, 0.1, len(IDENTITY))
    _, slopes = predict_colors(parameters, colors, positions)
    for place in range(len(IDENTITY)):
        step = np.zeros_like(parameters)
        step[place] = 1e-6
        above, below = (
            predict_colors(parameters + s * step, colors, positions)[0] for s in (1, -1)
        )
        np.testing.assert_allclose(slopes[..., place], (above - below) / 2e-6, atol=1e-5)


def test_outliers_do_not_tint_the_match():
    colors, positions = skin()
    altered = 0.6 * colors
    altered[::4] = (0.0, 0.9, 0.1)  # a quarter is hidden by something green
    fit = fit_light(colors, altered, positions, start_fit())
    predicted, _ = predict_colors(fit.parameters, colors, positions)
    assert np.abs(predicted - 0.6 * colors).mean() < 0.01


@pytest.mark.parametrize("name", ["levels", "warm", "gamma"])
def test_a_collar_in_place_of_the_neck_is_no_light(name):
    """Nearly half of the cells are dark cloth in the footage and skin in the scene."""
    colors, positions = skin()
    altered = ALTERATIONS[name](colors, positions)
    cloth = np.arange(len(colors)) % 20 < 9
    colors[cloth] = colors[cloth] * 0.1 + np.array([0.1, 0.1, 0.08])
    fit = fit_light(colors, altered, positions, start_fit())
    lips = np.array([[0.55, 0.25, 0.25]])
    found, _ = predict_colors(fit.parameters, lips, np.zeros((1, 2)))
    np.testing.assert_allclose(found, ALTERATIONS[name](lips, np.zeros((1, 2))), atol=0.06)


def test_light_goes_there_and_back():
    parameters = IDENTITY.copy()
    parameters[:3], parameters[6], parameters[13] = (-0.5, -0.6, -0.9), 0.7, 0.2
    parameters[14:] = 0.2, -0.1
    match = make_match(parameters, np.full(3, 0.5))
    colors = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    positions = window_positions(8)
    back = match.to_actor(
        match.to_scene(colors, positions), positions, torch.full_like(colors, 0.5)
    )
    torch.testing.assert_close(back, colors, atol=0.02, rtol=0)


def test_color_that_a_gray_scene_lost_is_the_references_own():
    parameters = IDENTITY.copy()
    parameters[6] = 0.0
    match = make_match(parameters, np.array([0.6, 0.4, 0.3]))
    expected = torch.tensor([0.6, 0.4, 0.3])[:, None, None].expand(3, 4, 4)
    positions = window_positions(4)
    scene = match.to_scene(expected, positions)
    assert float((scene - scene.mean(0)).abs().max()) < 1e-6
    back = match.to_actor(scene, positions, expected)
    torch.testing.assert_close(back, expected.contiguous(), atol=0.01, rtol=0)


@pytest.fixture(scope="module")
def sample():
    footage = toy_footage()
    return make_sample(footage, 5, np.array([4, 6]), load_head_model(), 2)


def graded(sample, grade):
    """The sample's inputs with another grade of the scene, and its window."""
    target = grade(sample.target).clamp(0, 1)
    inputs = dataclasses.replace(
        sample.inputs, scene=torch.where(sample.inputs.alpha > 0, 0, target)
    )
    return inputs, (target[0].permute(1, 2, 0) * 255).byte().numpy()


def test_footage_in_its_own_light_is_not_touched(sample):
    tracker = LightTracker()
    assert tracker.match(graded(sample, lambda c: c)[0], 0) is None
    assert tracker.describe_unmatched() == ""


def test_a_dark_scene_comes_into_the_actors_light(sample):
    inputs, window = graded(sample, lambda c: 0.5 * c)
    match = LightTracker().match(inputs, 0)
    moved = bring_to_actor_light(window, inputs, match) / 255.0
    known = (inputs.alpha[0, 0] <= 0) & (inputs.mesh_mask[0, 0] > 0)
    truth = sample.target[0].permute(1, 2, 0).numpy()
    assert np.abs(moved - truth)[known.numpy()].mean() < 0.02


def test_a_gray_scene_gets_gray_paint(sample):
    inputs, _ = graded(sample, lambda c: c.mean(1, keepdim=True).expand_as(c))
    match = LightTracker().match(inputs, 0)
    painted = match.to_scene(sample.target[0], window_positions(sample.target.shape[-1]))
    assert float((painted.amax(0) - painted.amin(0)).max()) == 0


def test_light_does_not_pump(sample):
    """A steady scene with noise has a steady match."""
    tracker, generator = LightTracker(), torch.Generator().manual_seed(0)
    levels = []
    for _ in range(8):
        noise = 0.02 * torch.randn(sample.target.shape, generator=generator)
        match = tracker.match(graded(sample, lambda c, n=noise: 0.6 * c + n)[0], 0)
        levels.append(float((match.matrix @ (0.5, 0.4, 0.3) + match.offset).mean()))
    assert np.abs(np.diff(levels)).max() < 0.005


def test_a_flash_is_followed_at_once(sample):
    tracker = LightTracker()
    for gain in (0.6, 0.6, 0.3, 0.6):
        match = tracker.match(graded(sample, lambda c, g=gain: g * c)[0], 0)
        painted = match.to_scene(torch.full((3, 1, 1), 0.5), torch.zeros(1, 1, 2))
        assert float(painted.mean()) == pytest.approx(0.5 * gain, abs=0.03)


def test_a_fade_to_white_is_followed_at_once(sample):
    """Its levels rise where they are dark: gains and powers would leave dark mouths dark."""
    tracker = LightTracker()
    colors = torch.tensor([[0.5, 0.2, 0.2], [0.15, 0.08, 0.08]]).T[..., None]
    for white in (0.0, 0.3, 0.6, 0.3, 0.0):
        inputs, _ = graded(sample, lambda c, w=white: c + w * (1 - c))
        match = tracker.match(inputs, 0)
        painted = colors if match is None else match.to_scene(colors, torch.zeros(2, 1, 2))
        assert float((painted - (colors + white * (1 - colors))).abs().max()) < 0.04


def test_light_that_no_match_explains_is_said(sample):
    """A hard shadow over one half: skin that agrees, in light that is neither gain nor slope."""
    tracker, shadow = LightTracker(), torch.ones(1, 3, *sample.target.shape[-2:])
    shadow[..., : sample.target.shape[-1] // 2] = 0.3
    tracker.match(graded(sample, lambda c: shadow * c)[0], 0)
    assert (tracker.unmatched, tracker.disagreeing) == (1, 0)
    assert "light of 1 frame" in tracker.describe_unmatched()


def test_a_face_elsewhere_than_the_mesh_is_left(sample):
    """Upside down, the skin around the mask is not the references'; graded it still is."""
    tracker = LightTracker()
    tracker.match(graded(sample, lambda c: 0.5 * c)[0], 0)
    assert tracker.opacity == 1
    tracker.match(graded(sample, lambda c: c.flip(-2))[0], 0)
    assert tracker.opacity == 0
    assert "1 frame left as filmed" in tracker.describe_unmatched()
    # The paint comes back slowly in the same shot, at once in another one.
    tracker.match(graded(sample, lambda c: c)[0], 0)
    assert tracker.opacity == pytest.approx(1 / 3)
    tracker.match(graded(sample, lambda c: c)[0], 1)
    assert tracker.opacity == 1


def test_a_moment_of_doubt_does_not_show_the_scenes_mouth(sample, monkeypatch):
    """A head that turns as no reference does agrees less for some frames; captions do for good."""
    seen = [0.9, 0.36, 0.3, 0.36, 0.9] + [0.3] * 20
    tracker, opacities = LightTracker(), []
    for agreement in seen:
        monkeypatch.setattr(
            "dubfew.references.light_match.measure_agreement", lambda *_, fixed=agreement: fixed
        )
        tracker.match(sample.inputs, 0)
        opacities.append(tracker.opacity)
    assert opacities[:5] == [1, 1, 1, 1, 1]
    assert opacities[-1] == 0
    # Captions are there from the first frame on: nothing counts for the face.
    assert _opacity_at_first(0.3, sample, monkeypatch) == 0


def _opacity_at_first(agreement, sample, monkeypatch):
    monkeypatch.setattr("dubfew.references.light_match.measure_agreement", lambda *_: agreement)
    tracker = LightTracker()
    tracker.match(sample.inputs, 0)
    return tracker.opacity


def test_a_turned_head_agrees_with_the_reference_that_turns_alike(sample):
    """Of two references one shows another thing, and beside the jaw the scene shows hair."""
    other = sample.inputs.references.clone()
    other[:, 1] = other[:, 1].flip(-1)
    hair = sample.inputs.scene.clone()
    mesh = sample.inputs.mesh_mask > 0
    border = mesh & (F.max_pool2d(1 - sample.inputs.mesh_mask, 9, 1, 4) > 0)
    hair[(border & (sample.inputs.alpha <= 0)).expand_as(hair)] = 0.05
    tracker = LightTracker()
    tracker.match(dataclasses.replace(sample.inputs, references=other, scene=hair), 0)
    assert (tracker.opacity, tracker.disagreeing) == (1, 0)


def test_border_of_a_jaw_is_not_called_light(sample):
    """A fifth of the cells show another thing: the light of the others is matched."""
    tracker, strip = LightTracker(), torch.ones(1, 3, *sample.target.shape[-2:])
    strip[..., : sample.target.shape[-1] // 5] = 0.1
    tracker.match(graded(sample, lambda c: strip * c)[0], 0)
    assert tracker.unmatched == 0


def test_a_certain_change_of_what_is_painted_counts(sample):
    """A uniform mouth of a known red, half as saturated: the mean change of channels is known."""
    red = torch.tensor([0.6, 0.3, 0.3])
    references = torch.ones_like(sample.inputs.references) * red[:, None, None]
    inputs = dataclasses.replace(sample.inputs, references=references)
    parameters = IDENTITY.copy()
    parameters[6] = 0.5
    certain = LightFit(parameters, 1e8 * np.eye(len(parameters)), 0.0)
    change = np.abs(0.5 * (red.numpy() - LUMA_BT709 @ red.numpy())).mean()
    assert measure_mouth_change(certain, inputs) == pytest.approx(change, abs=1e-3)
    # What the fit hardly knows is no change.
    guess = LightFit(parameters, np.eye(len(parameters)), 0.0)
    assert measure_mouth_change(guess, inputs) == 0
    assert measure_mouth_change(LightFit(IDENTITY, certain.information, 0.0), inputs) < 1e-6


def test_a_shot_knows_its_grade_and_not_its_exposure():
    """After the first frames saturation and power stay; the light may rise and fall."""
    colors, positions = skin()
    fit = fit_light(colors, 0.5 * gray(colors) + 0.3 * colors, positions, start_fit())
    known = settle_fit(fit)
    assert np.array_equal(known.parameters, fit.parameters)
    before, after = (np.sqrt(np.diag(np.linalg.inv(f.information))) for f in (start_fit(), known))
    assert (after[[6, 13]] < 0.3 * before[[6, 13]]).all()  # saturation and power
    assert after[0] == pytest.approx(before[0])  # exposure
    # What skin of one hue says about them in a single frame hardly moves them.
    pale = np.full_like(colors, 0.5) + 0.02 * (colors - 0.5)
    carried = predict_fit(known, pale, pale, positions, known=known)
    assert fit_light(pale, pale, positions, carried).parameters[6] == pytest.approx(
        fit.parameters[6], abs=0.03
    )


def test_the_frames_own_mouth_tells_what_skin_does_not(sample):
    """Lips of another hue, and the dark between them, in a curve that is no power."""

    def flat(colors):
        return 0.1 + 0.2 * np.log2(1 + 10 * srgb_to_linear(colors))

    rng = np.random.default_rng(0)
    red = np.array([0.7, 0.2, 0.25]) * rng.uniform(0.1, 1, (300, 1))
    positions = rng.uniform(-0.4, 0.4, (300, 2))
    mouth = red, flat(red), positions
    inputs, _ = graded(sample, lambda c: torch.from_numpy(flat(c.numpy())).float())
    errors, looks = [], []
    for look in (lambda: None, lambda: looks.append(1) or mouth):
        tracker = LightTracker()
        tracker.begin_shot([inputs] * 3, [look] * 3, 0)
        match = tracker.match(inputs, 0)
        colors, places = (torch.from_numpy(part)[None].float() for part in (red, positions))
        painted = match.to_scene(colors.permute(2, 0, 1), places)[:, 0].T.numpy()
        errors.append(float(np.abs(painted - mouth[1]).mean()))
    assert len(looks) == 3
    assert errors[1] < 0.7 * errors[0]
    assert errors[1] < 0.02


def test_a_bare_neck_where_the_footage_has_a_collar_is_no_light(sample):
    """What the mouths of the first frames do not explain does not count in the shot."""
    inputs, window = graded(sample, lambda c: 0.7 * c)
    size = len(window)
    neck = (inputs.mesh_mask[0, 0] > 0) & (inputs.alpha[0, 0] == 0)
    neck[: 5 * size // 8] = False
    # Under the collar the footage is in its shadow.
    inputs = dataclasses.replace(inputs, scene=torch.where(neck, 1.4 * inputs.scene, inputs.scene))
    mouth = FrameCells(inputs).pair_mouth(window)
    tracker = LightTracker()
    tracker.begin_shot([inputs] * 3, [lambda: mouth] * 3, 0)
    for _ in range(4):
        match = tracker.match(inputs, 0)
    painted = match.to_scene(sample.target[0], window_positions(size))
    inside = sample.inputs.alpha[0, 0] > 0
    error = (painted - 0.7 * sample.target[0])[:, inside].abs().mean()
    assert float(error) < 0.01


def test_a_mouth_becomes_cells_of_the_mask(sample):
    window = (sample.target[0].permute(1, 2, 0) * 255 + 0.5).byte().numpy()
    actor, scene, positions = FrameCells(sample.inputs).pair_mouth(window)
    assert np.abs(actor - scene).mean() < 0.02
    center = (sample.inputs.alpha[0, 0] > 0).nonzero().float().mean(0).flip(0) / 32 - 1
    assert positions.mean(0) == pytest.approx(center.numpy(), abs=0.1)
    blank = dataclasses.replace(sample.inputs, alpha=torch.zeros_like(sample.inputs.alpha))
    assert FrameCells(blank).pair_mouth(window) is None


def test_a_scene_in_the_footages_light_is_not_looked_at(sample):
    tracker = LightTracker()
    tracker.begin_shot([sample.inputs] * 2, [lambda: pytest.fail("looked")] * 2, 0)
    assert not tracker.has_met(0)
    assert tracker.match(sample.inputs, 0) is None


def test_a_hidden_mouth_is_not_believed(sample):
    """A hand over the mouth, in a scene half as bright, is no light."""
    inputs, window = graded(sample, lambda c: 0.5 * c)
    window[sample.inputs.alpha[0, 0].numpy() > 0] = (90, 60, 50)
    matches = []
    for look in (lambda: FrameCells(inputs).pair_mouth(window), lambda: None):
        tracker = LightTracker()
        tracker.begin_shot([inputs], [look], 0)
        matches.append(tracker.match(inputs, 0))
    assert np.array_equal(matches[0].matrix, matches[1].matrix)


def test_the_first_frame_is_as_sure_as_the_fourth(sample):
    """Where its mesh errs it is not tinted: the frames that follow were looked at before."""
    generator, size = torch.Generator().manual_seed(3), sample.target.shape[-1]
    coarse = 0.05 * torch.randn(4, 3, 4, 4, generator=generator)
    patches = F.interpolate(coarse, size).split(1)
    frames = [graded(sample, lambda c, n=each: 0.6 * c + n)[0] for each in patches]
    errors = []
    for ahead in (frames, frames[:1]):
        tracker = LightTracker()
        tracker.begin_shot(ahead, [lambda: None] * len(ahead), 0)
        match = tracker.match(frames[0], 0)
        painted = match.to_scene(sample.target[0], window_positions(size))
        errors.append(float((painted - 0.6 * sample.target[0]).abs().mean()))
    assert errors[0] < 0.8 * errors[1]
