from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dubfew.data.augmentation import (
    augment_sample,
    compress_images,
    degrade_sample,
    grade_sample,
    light_target,
    mirror_sample,
    reduce_resolution,
    transform_frame_affine,
    vary_sync_windows,
)
from dubfew.data.dataset import MouthDataset
from dubfew.data.samples import make_sample
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.references.alignment import align_vertices
from dubfew.references.inputs import make_footage_inputs
from tests.data.people import equal_samples, toy_footage


def misplaced(footage, row: int = 3) -> float:
    """How far the other frames say that a frame's mesh is off, px."""
    bank, head = np.arange(14, 24), load_head_model()
    inputs = make_footage_inputs(footage, row, footage.vertices[row], bank, 2, head)
    seen = torch.from_numpy(footage.images[row]).permute(2, 0, 1)[None] / 255
    moved = align_vertices(inputs, seen, footage.vertices[row][None])[0]
    lips = list(MOUTH_POINTS)
    return float(np.abs(moved - footage.vertices[row])[lips, :2].mean())


@pytest.mark.parametrize("seed", range(4))
def test_a_turned_frame_still_fits_its_mesh(seed):
    footage = toy_footage()
    turned = transform_frame_affine(footage, 3, np.random.default_rng(seed))
    assert not np.array_equal(turned.images[3], footage.images[3])
    assert np.array_equal(turned.images[4:], footage.images[4:])
    assert misplaced(turned) < 0.15
    shifted = turned.vertices.copy()
    shifted[3, :, 0] += 0.5
    assert misplaced(replace(turned, vertices=shifted)) > 0.25


def test_reduced_images_lose_detail_and_keep_their_colours():
    noise = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    less = reduce_resolution(noise, 0.5)
    assert less.shape == noise.shape
    assert float(less.std()) < 0.6 * float(noise.std())
    assert float((less.mean() - noise.mean()).abs()) < 0.01


def test_lower_quality_compresses_more():
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    error = [float((compress_images(ramp, q) - ramp).abs().mean()) for q in (95, 20)]
    assert error[0] < 0.006 < error[1]


def test_degraded_samples_keep_the_mask_empty():
    sample = make_sample(toy_footage(), 3, np.arange(14, 24), load_head_model(), 2)
    for seed in range(12):
        seen = degrade_sample(sample, np.random.default_rng(seed))
        inside = (seen.inputs.alpha > 0).expand_as(seen.inputs.scene)
        assert not seen.inputs.scene[inside].any()
        outside = ~inside
        assert torch.equal(seen.inputs.scene[outside], seen.target[outside])


def test_grades_change_scene_references_and_target_alike():
    """A pixel's grade does not depend on where it is shown; the mouth stays blank."""
    footage, rng, changes = toy_footage(), np.random.default_rng(0), []
    sample = make_sample(footage, 3, np.arange(10, 20), load_head_model(), 2)
    outside = sample.inputs.alpha <= 0
    alike = replace(
        sample,
        inputs=replace(sample.inputs, references=sample.target[:, None].expand(1, 2, -1, -1, -1)),
    )
    for _ in range(24):
        graded = grade_sample(alike, rng)
        torch.testing.assert_close(graded.inputs.references[:, 0], graded.target)
        torch.testing.assert_close(graded.inputs.scene, graded.target * outside)
        assert float((graded.inputs.scene * ~outside).abs().max()) == 0
        changes.append(float((graded.target - sample.target).abs().mean()))
    # Strong enough to be another light: a tenth of the range and more, not always the same.
    assert max(changes) > 0.1
    assert np.std(changes) > 0.02


def test_a_lamp_lights_the_target_from_one_side():
    sample = make_sample(toy_footage(), 3, np.arange(10, 20), load_head_model(), 2)
    lit = light_target(sample, np.random.default_rng(2))
    assert torch.equal(lit.inputs.references, sample.inputs.references)
    inside = (sample.target > 0.05) & (lit.target < 1)
    ratio = torch.where(inside, lit.target / sample.target, torch.nan)[0, 1]
    steps = ratio.log().diff(dim=1)
    # The logarithm changes by the same from column to column.
    assert float(steps[~steps.isnan()].std()) < 1e-4
    assert abs(float(steps.nanmedian())) * sample.target.shape[-1] > 0.05


def test_the_motion_around_a_frame_is_that_of_the_clip():
    footage = toy_footage(30)
    plain = MouthDataset([footage], 6, num_references=2, seed=4, augment=False)
    varied = MouthDataset([footage], 6, num_references=2, seed=4)
    for index in range(6):
        expected, found = plain[index].inputs.motion, varied[index].inputs.motion
        # Mirrored samples have theirs mirrored; either way it is as large.
        torch.testing.assert_close(found.square().sum(), expected.square().sum())


def test_mirroring_twice_gives_the_sample_back():
    sample = make_sample(toy_footage(), 3, np.arange(14, 24), load_head_model(), 2)
    assert equal_samples(mirror_sample(mirror_sample(sample)), sample)
    assert not equal_samples(mirror_sample(sample), sample)


def test_mirrored_points_are_mirror_images_on_the_head():
    head = load_head_model()
    place = head.template[list(MOUTH_POINTS)]
    motion = torch.from_numpy(place.reshape(1, 1, -1))
    sample = make_sample(toy_footage(), 3, np.arange(14, 24), head, 2)
    sample = replace(sample, inputs=replace(sample.inputs, motion=motion))
    flipped = mirror_sample(sample).inputs.motion.view(-1, 3).numpy()
    np.testing.assert_allclose(flipped, place, atol=0.002)  # the mean head is symmetric


def test_augmentation_repeats_with_the_seed():
    sample = make_sample(toy_footage(), 3, np.arange(14, 24), load_head_model(), 2)
    for degrade in (False, True):
        one, again, other = (
            augment_sample(sample, np.random.default_rng(seed), degrade=degrade)
            for seed in (0, 0, 1)
        )
        assert equal_samples(one, again)
        assert not equal_samples(one, other)


def test_windows_of_a_syncnet_move_and_change_color_as_a_whole():
    rng = np.random.default_rng(0)
    # A bright dot on gray, in the same place of all frames of a window.
    frames = torch.full((6, 5, 3, 32, 32), 0.4)
    frames[..., 14:18, 20:24] = 0.8
    varied = vary_sync_windows(frames, rng)
    assert varied.shape == frames.shape
    torch.testing.assert_close(varied, varied[:, :1].expand_as(varied))
    column = (varied[:, 0, 1] - varied[:, 0, 1, :1, :1]).sum(1).argmax(1)
    # Some are mirrored: the dot is left of the middle there.
    assert 0 < int((column < 16).sum()) < 6
    off = torch.minimum((column - 21).abs(), (column - 10).abs())
    assert 0 < off.max() <= 5
    assert varied.mean((1, 2, 3, 4)).std() > 0.01
    torch.testing.assert_close(varied, vary_sync_windows(frames, np.random.default_rng(0)))
