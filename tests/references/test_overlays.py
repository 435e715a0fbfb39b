"""Things before a face are told from teeth, shadows and the face's own colors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dubfew.data.samples import make_sample
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import OUTER_LIPS
from dubfew.references.chin_agreement import ChinTracker
from dubfew.references.light_fit import start_fit
from dubfew.references.light_match import LightTracker, _compare_filmed
from dubfew.references.overlays import (
    COVERED_STRANGE_PART,
    MIN_STRANGE_PART,
    QuickLook,
    SceneView,
    find_things,
    look_quickly,
    measure_hidden_lips,
    outline_things,
    remove_overlay,
)
from dubfew.references.thing_tracking import (
    AROUND_LIPS,
    DISMISSED_FRAMES,
    HIDDEN_CHIN,
    HIDDEN_LIPS,
    MAX_LOST_FRAMES,
    MIN_REPORTED_FRAMES,
    SHOWN_CHIN,
    SHOWN_LIPS,
    ThingTracker,
)
from tests.data.people import toy_footage

ROW = 5


@pytest.fixture(scope="module")
def sample():
    return make_sample(toy_footage(), ROW, np.array([4, 6]), load_head_model(), 2)


@pytest.fixture(scope="module")
def lips():
    """Outline of the sample's own lips, px of the window."""
    points = load_head_model().point_matrix(OUTER_LIPS) @ toy_footage().vertices[ROW]
    return np.asarray(points[:, :2], np.float32)


def drawn(sample, lips, draw):
    """The sample's inputs and view with something drawn over them; ``draw`` gets [S, S, 3]."""
    window = (sample.target[0].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
    draw(window)
    scene = torch.from_numpy(window).permute(2, 0, 1)[None].float() / 255
    blanked = torch.where(sample.inputs.alpha > 0, 0, scene)
    return dataclasses.replace(sample.inputs, scene=blanked), SceneView(window, lips)


def expected(inputs):
    return F.grid_sample(
        inputs.references[0], inputs.sampling_grid[0], padding_mode="border", align_corners=False
    ).numpy()


def letters(lips):
    """Where white strokes with gaps lie, across the chin from border to border of the window."""
    below = int(lips[:, 1].max()) + 6

    def place(size):
        where = np.zeros((size, size), bool)
        where[below : below + 9] = (np.arange(size) % 12 < 5)[None]
        return where

    return place


def test_a_face_alone_has_nothing_before_it(sample, lips):
    inputs, view = drawn(sample, lips, lambda window: None)
    assert find_things(inputs, view, expected(inputs)) is None


def test_captions_are_kept_and_the_face_beside_them_is_painted(sample, lips):
    where = letters(lips)(sample.target.shape[-1])

    def draw(window):
        window[where] = 255

    inputs, view = drawn(sample, lips, draw)
    tracker = LightTracker()
    tracker.match(inputs, 0, view)
    assert tracker.opacity == 1
    assert tracker.left_reason == ""
    # A frame or two are no caption: background beside a turned jaw looks like that.
    assert tracker.describe_unmatched() == ""
    for _ in range(MIN_REPORTED_FRAMES):
        tracker.match(inputs, 0, view)
    told = f"lie over the face in {MIN_REPORTED_FRAMES + 1} frames"
    assert told in tracker.describe_unmatched()
    face = inputs.mesh_mask[0, 0].numpy() > 0
    face[:, :4] = face[:, -4:] = False
    found = tracker.things.overlay.mask
    assert found[where & face].mean() > 0.98
    rows = np.flatnonzero(where.any(1))
    assert not found[: rows[0] - 5].any()
    # Without the letters the window is what the references show.
    clean = remove_overlay(view.window, inputs, tracker.things.overlay)
    truth = sample.target[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(clean - truth)[where & face].mean() < 12


def test_half_transparent_letters_are_no_shadow(sample, lips):
    """They are brighter where the face is, as the face in another light would be."""
    where = letters(lips)(sample.target.shape[-1])

    def draw(window):
        window[where] = np.minimum(window[where] + 80.0, 255)

    inputs, view = drawn(sample, lips, draw)
    things = find_things(inputs, view, expected(inputs))
    assert things is not None
    found = outline_things(things).mask
    inside = inputs.alpha[0, 0].numpy() > 0
    assert found[where & inside].mean() > 0.98


@pytest.mark.parametrize("color", [(255, 255, 255), (220, 30, 30)])
def test_a_small_logo_inside_of_the_mask_is_kept(sample, lips, color):
    """Beside the mask the face is what the references show."""
    mask = sample.inputs.alpha[0, 0].numpy() > 0
    top, left = int(lips[:, 1].max()) + 7, int(lips[:, 0].mean()) - 3
    where = np.zeros_like(mask)
    where[top : top + 5, left : left + 6] = True
    assert (where <= mask).all()
    assert where.sum() < 0.02 * mask.sum()

    def draw(window):
        window[where] = color

    inputs, view = drawn(sample, lips, draw)
    tracker = LightTracker()
    tracker.match(inputs, 0, view)
    assert (tracker.opacity, tracker.left_reason) == (1, "")
    assert tracker.things.overlay.mask[where].all()
    assert tracker.things.overlay.mask.sum() < 4 * where.sum()


def test_a_hand_over_the_chin_leaves_the_frame(sample, lips):
    """Skin of another brightness, without the face's features, over mouth and chin."""
    color = sample.target[0, :, sample.inputs.alpha[0, 0] > 0].median(1).values.numpy()
    hand = np.clip(255 * (color * 1.15 + 0.08), 0, 255).astype(np.uint8)
    edge = int(lips[:, 1].mean()) - 14

    def draw(window):
        window[edge:] = hand

    inputs, view = drawn(sample, lips, draw)
    tracker = LightTracker()
    tracker.match(inputs, 0, view)
    # It has no outline that could be kept.
    assert tracker.things.overlay is None
    assert (tracker.opacity, tracker.left_reason) == (0, "mouth hidden")
    assert "the color of skin" in tracker.describe_unmatched()
    # It goes away, and the paint comes back by and by.
    tracker.match(*drawn(sample, lips, lambda window: None)[:1], 0, view=None)
    assert 0 < tracker.opacity < 1


def test_teeth_that_no_reference_shows_are_no_thing(sample, lips):
    x, y = lips.mean(0).astype(int)

    def draw(window):
        window[y - 3 : y + 3, x - 12 : x + 12] = 250

    inputs, view = drawn(sample, lips, draw)
    assert find_things(inputs, view, expected(inputs)) is None


def test_skin_where_the_new_mouth_opens_is_no_thing(sample, lips):
    """References show the dark inside of a shout where the scene shows a chin."""
    size = sample.target.shape[-1]
    y, x = np.mgrid[:size, :size]
    middle = (lips[:, 0].mean(), lips[:, 1].max() + 2)
    opening = np.hypot((x - middle[0]) / 14, (y - middle[1]) / 12) < 1
    interior = sample.inputs.mouth_interior.clone()
    interior[0, 0] = torch.from_numpy(opening)

    def look(draw):
        inputs, view = drawn(sample, lips, draw)
        shown = expected(inputs)
        # A dark mouth with wider lips around it.
        shown[:, :, opening] = 0.05
        shown[:, :, ~opening & (np.hypot(x - middle[0], y - middle[1]) < 19)] *= 0.8
        return find_things(dataclasses.replace(inputs, mouth_interior=interior), view, shown)

    assert look(lambda window: None) is None

    def hold_microphone(window):
        window[int(middle[1]) : int(middle[1]) + 12, int(middle[0]) - 6 : int(middle[0]) + 6] = (
            40,
            60,
            200,
        )

    found = look(hold_microphone)
    assert found is not None
    assert found.certain[int(middle[1]) + 4 : int(middle[1]) + 9, int(middle[0])].all()


def test_a_hard_shadow_is_no_thing(sample, lips):
    def draw(window):
        half = window[:, : len(window) // 2]
        half[...] = (half * 0.35).astype(np.uint8)

    inputs, view = drawn(sample, lips, draw)
    assert find_things(inputs, view, expected(inputs)) is None


def test_a_microphone_before_the_lips_leaves_the_frame(sample, lips):
    x, y = lips.mean(0).astype(int)
    tracker = LightTracker()

    def show(top, shot):
        def draw(window):
            window[y + top : y + 22, x - 11 : x + 11] = (30, 34, 60)

        inputs, view = drawn(sample, lips, draw)
        tracker.match(inputs, shot, view)
        return tracker.left_reason, measure_hidden_lips(tracker.things.overlay, view)

    reason, share = show(-7, 0)
    assert (tracker.opacity, reason) == (0, "mouth hidden")
    assert share > HIDDEN_LIPS
    # A little lower it still does, lest the mouth comes and goes; in another shot it does not.
    reason, share = show(3, 0)
    assert SHOWN_LIPS < share < HIDDEN_LIPS
    assert reason == "mouth hidden"
    assert show(3, 1)[0] == ""
    assert "2 frames left as filmed: something" in tracker.describe_unmatched()
    # While it lies over the chin the mouth is left for some frames more: its edge may be unseen.
    assert show(-7, 2)[0] == "mouth hidden"
    below = [show(7, 2) for _ in range(MAX_LOST_FRAMES + 1)]
    assert all(share < SHOWN_LIPS for _, share in below)
    assert [reason for reason, _ in below] == ["mouth hidden"] * MAX_LOST_FRAMES + [""]


@pytest.mark.parametrize("gray", [70, 110])
def test_a_gray_microphone_over_the_mouth_leaves_the_frame(sample, lips, gray):
    """Gray lies between skin and the dark of an open mouth: no color is certain to be another."""
    rows, columns = np.mgrid[: sample.target.shape[-1], : sample.target.shape[-1]]
    x, y = lips.mean(0)
    away = np.hypot(rows - y, columns - x)
    radius = float(np.hypot(*(lips - lips.mean(0)).T).max()) + 10

    def draw(window):
        window[away < radius] = gray

    tracker = LightTracker()
    inputs, view = drawn(sample, lips, draw)
    tracker.match(inputs, 0, view)
    assert (tracker.opacity, tracker.left_reason) == (0, "mouth hidden")
    assert "1 frame left as filmed: something" in tracker.describe_unmatched()
    look = look_quickly(inputs, view, expected(inputs)[..., ::2, ::2])
    assert look.around_lips > AROUND_LIPS
    # Half beside the mouth it leaves the lips to be seen.
    aside, view = drawn(sample, lips, lambda w: w.__setitem__(away < 4, gray))
    assert look_quickly(aside, view, expected(aside)[..., ::2, ::2]).around_lips == 0


def test_skin_where_the_references_show_a_collar_is_nothing_strange(sample, lips):
    """A bare neck in the scene, a dark collar in the footage; a collar over the chin is strange."""
    size = sample.target.shape[-1]
    brightness = np.linspace(0.8, 1, size)[:, None, None] * np.ones((1, size, 1))
    skin = (brightness * np.array([0.75, 0.55, 0.45])).astype(np.float32)
    dressed = skin.copy()
    dressed[int(lips[:, 1].max()) + 2 :] = (0.12, 0.13, 0.16)

    def look(scene, shown):
        def draw(window):
            window[:] = (255 * scene).astype(np.uint8)

        references = np.stack([shown.transpose(2, 0, 1)] * 2)[..., ::2, ::2]
        return look_quickly(*drawn(sample, lips, draw), references).measure_strange_part(None)

    assert look(skin, dressed) < MIN_STRANGE_PART
    assert look(dressed, skin) > COVERED_STRANGE_PART
    # A gray thing over skin is strange wherever the references show the redder lips.
    lipstick, thing = skin.copy(), skin.copy()
    lower = np.s_[int(lips[:, 1].min()) :]
    lipstick[lower] = (0.6, 0.3, 0.3)
    thing[lower] = 0.4
    assert look(thing, lipstick) > COVERED_STRANGE_PART


def test_a_wipe_to_another_picture_leaves_frames_whose_mouth_has_gone(sample, lips):
    """The line goes from left to right in ten frames; behind it lies another person's skin."""
    other = (sample.target[0].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)[::-1, :, ::-1]
    size, tracker, opacities = len(other), LightTracker(), {}
    # From a frame before the mesh begins to one behind its end.
    for column in np.linspace(0, size, 11).astype(int):

        def draw(window, column=column):
            window[:, :column] = other[:, :column]

        inputs, view = drawn(sample, lips, draw)
        tracker.match(inputs, 0, view)
        opacities[int(column)] = tracker.opacity
    middle, right = lips[:, 0].mean(), lips[:, 0].max()
    assert opacities[0] == 1
    assert all(opacity == 0 for column, opacity in opacities.items() if column > right)
    # Half a mouth is none of the actor's.
    assert all(opacity < 1 for column, opacity in opacities.items() if column > middle)


def test_a_curtain_of_the_color_of_skin_leaves_the_frame(monkeypatch):
    """It hangs from the lower lip down and has folds; the references show all of its colors."""
    footage, head = toy_footage(size=128), load_head_model()
    sample = make_sample(footage, ROW, np.array([4, 6]), head, 2)
    points = head.point_matrix(OUTER_LIPS) @ footage.vertices[ROW]
    lips = np.asarray(points[:, :2], np.float32)
    skin = sample.target[0, :, sample.inputs.alpha[0, 0] > 0].median(1).values.numpy()
    edge = int(lips[:, 1].mean()) + 4

    def draw(window):
        folds = 0.85 + 0.2 * np.abs(np.sin(np.arange(len(window)) / len(window) * 6 * np.pi))
        window[edge:] = np.clip(255 * folds[:, None] * skin, 0, 255).astype(np.uint8)

    inputs, view = drawn(sample, lips, draw)
    clean, clear_view = drawn(sample, lips, lambda window: None)
    # The curtain comes in one frame after clean ones, which are compared once.
    chins, compared = ChinTracker(), []
    for scene, seen in ((clean, clear_view), (clean, clear_view), (inputs, view)):

        def compare(scene=scene, seen=seen):
            compared.append(scene)
            return _compare_filmed(lambda: scene, seen, None)

        chin = chins.measure(compare, seen, start_fit(), goes_on=bool(compared), enough=SHOWN_CHIN)
        assert chin < HIDDEN_CHIN if seen is view else chin > 0.95
    assert [scene is inputs for scene in compared] == [False, True]
    # A face that agrees is not looked at again.
    tracker = LightTracker()
    tracker.match(clean, 0, clear_view, lambda: pytest.fail("looked"))
    # The skin around the toy's mask agrees, as it does around that of a face half in doubt.
    monkeypatch.setattr("dubfew.references.light_match.CERTAIN_AGREEMENT", 1.0)
    for scene, seen, opacity in ((clean, clear_view, 1), (inputs, view, 0)):
        tracker = LightTracker()
        tracker.match(scene, 0, seen, lambda scene=scene: scene)
        assert tracker.opacity == opacity
    assert tracker.left_reason == "mouth hidden"
    # In a dub whose own mouth is not known nothing is told.
    tracker = LightTracker()
    tracker.match(inputs, 0, view, lambda: None)
    assert tracker.opacity == 1


def test_one_doubtful_chin_between_clean_ones_leaves_no_frame(sample):
    """Chins that are certainly none leave theirs at once, and doubtful ones from the second on."""

    def leave(*chins: float) -> list[bool]:
        tracker, left = ThingTracker(), []
        for number, chin in enumerate(chins):
            tracker.finish_frame(None, sample.inputs, None, number > 0, chin)
            left.append(tracker.hides_mouth)
        return left

    assert leave(0.95, 0.67, 0.95, 0.67) == [False] * 4
    assert leave(0.95, 0.67, 0.67, 0.74, 0.8) == [False, False, True, True, False]
    assert leave(0.95, 0.5, 0.74, 0.8) == [False, True, True, False]


def test_places_that_were_searched_in_vain_wait_and_others_do_not(sample, lips, monkeypatch):
    """Hair beside a jaw stays for frames; captions that come meanwhile are searched at once."""
    hair, caption = np.zeros((2, 32, 32), bool)
    hair[4:8, 2:6], caption[24:28, 8:20] = True, True
    tracker, frames, searched = ThingTracker(), [], []

    def find_nothing(*_):
        searched.append(len(frames))

    monkeypatch.setattr("dubfew.references.thing_tracking.find_things", find_nothing)

    def look(certain, *, agrees=True, goes_on=True):
        frames.append(certain)
        tracker.begin_frame()
        tracker.search(
            QuickLook(certain, 10.0, None, 500),
            sample.inputs,
            SceneView(np.zeros((64, 64, 3), np.uint8), lips),
            lambda: None,
            agrees=agrees,
            goes_on=goes_on,
        )

    look(hair, goes_on=False)
    for _ in range(DISMISSED_FRAMES + 1):
        look(np.roll(hair, 1, 0))  # edges tremble
    assert searched == [1, 2 + DISMISSED_FRAMES]
    look(hair | caption)
    assert searched.pop() == len(frames)
    # A face that does not agree, and a new shot, are searched whatever was before.
    look(hair | caption, agrees=False)
    assert searched.pop() == len(frames)
    look(hair)
    look(hair, goes_on=False)
    assert searched[-2:] == [len(frames) - 1, len(frames)]
