"""Footage is cut fairly, and pictures are measure_batch as the product would show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.windows import (
    MAX_TAIL_FRAMES,
    TAIL_GAP_FRAMES,
    FootageCache,
    Variant,
    compose_windows,
    make_test_batch,
    make_untrained_prior,
    max_known_frames,
    measure_batch,
    measure_windows,
    mouth_boxes,
    render_windows,
    split_clip,
    tail_start,
    to_uint8_images,
)
from dubfew.errors import DubfewError
from dubfew.prior.checkpoint import Prior
from dubfew.references.alignment import ALIGNMENT_ROUNDS, align_footage
from dubfew.references.warping import warp_references
from dubfew.textures import NeuralTexture
from tests.benchmarks.conftest import FRAMES, Toys
from tests.data.people import SIZE, TOY

PLAIN = Variant("plain")


@pytest.fixture
def shelf(toys: Toys, tmp_path: Path) -> FootageCache:
    return FootageCache(tmp_path, SIZE, toys.prepared)


def test_the_tail_is_never_known():
    for frames in (60, 75, 250, 502):
        assert frames - tail_start(frames) <= MAX_TAIL_FRAMES
        assert max_known_frames(frames) == tail_start(frames) - TAIL_GAP_FRAMES


@pytest.mark.slow
def test_tests_are_frames_that_nobody_knows(shelf: FootageCache, toys: Toys):
    cut = split_clip(shelf, toys.clip, 20, PLAIN, tail=False, tests=10)
    assert len(cut.tests) == 10
    assert (cut.tests.min(), cut.tests.max()) == (20, FRAMES - 1)
    assert cut.bank.max() < 20
    assert len(cut.known) == 20
    ends = [split_clip(shelf, toys.clip, count, PLAIN, tail=True).tests for count in (10, 30)]
    np.testing.assert_array_equal(*ends)
    assert ends[0].min() == tail_start(FRAMES)
    with pytest.raises(DubfewError, match="too few"):
        split_clip(shelf, toys.clip, FRAMES - TAIL_GAP_FRAMES, PLAIN, tail=True)


@pytest.mark.slow
def test_known_frames_are_aligned_among_themselves_alone(shelf: FootageCache, toys: Toys):
    raw = shelf.raw(toys.clip)
    expected = align_footage(raw.select_frames(range(16)), shelf.head).vertices
    cut = split_clip(shelf, toys.clip, 16, PLAIN, tail=False, tests=4)
    np.testing.assert_array_equal(cut.known.vertices, expected)
    assert ALIGNMENT_ROUNDS == 2  # tests are aligned once in `split_clip`, once in `make_sample`
    assert not np.array_equal(cut.footage.vertices[cut.tests], raw.vertices[cut.tests])
    left = split_clip(shelf, toys.clip, 16, Variant("", aligns=False), tail=False, tests=4)
    np.testing.assert_array_equal(left.footage.vertices, raw.vertices)


@pytest.mark.slow
def test_footage_is_kept(shelf: FootageCache, toys: Toys, tmp_path: Path):
    before = shelf.known(toys.clip, 14).vertices
    assert list((tmp_path / "footage").glob("toy.mp4-*-known-14.safetensors"))
    np.testing.assert_array_equal(
        FootageCache(tmp_path, SIZE, toys.prepared).known(toys.clip, 14).vertices, before
    )


def test_prepared_footage_of_another_size_is_refused(toys: Toys, tmp_path: Path):
    with pytest.raises(DubfewError, match="64 px wide"):
        FootageCache(tmp_path, 160, toys.prepared).raw(toys.clip)


@pytest.mark.slow
def test_an_untrained_network_shows_the_bare_warp(shelf: FootageCache, toys: Toys):
    prior = make_untrained_prior(Prior.load(toys.prior))
    cut = split_clip(shelf, toys.clip, 20, PLAIN, tail=False, tests=3)
    batch = make_test_batch(cut, PLAIN, shelf.head, TOY.references)
    inputs = batch.inputs
    with torch.no_grad():
        warped = warp_references(inputs)
        features = torch.zeros(3, TOY.texture_channels, SIZE, SIZE)
        fields = prior.renderer.predict_fields(inputs, features, warped)
        picture = fields.compose_image(inputs.references, inputs.sampling_grid)
        assert (picture - warped.blend_references(inputs)).abs().mean() < 0.01
        # Bicubic where training is bilinear, so nearly the same.
        assert (compose_windows(fields, inputs, restores=False) - picture).abs().mean() < 0.01
        soft, sharp = (compose_windows(fields, inputs, restores=r) for r in (False, True))
    assert sharp.diff(dim=3).square().mean() > soft.diff(dim=3).square().mean()
    shown = render_windows(prior.renderer, NeuralTexture(1, TOY.texture_channels), batch)
    outside = (inputs.alpha <= 0)[:, 0].numpy()
    np.testing.assert_array_equal(shown[outside], to_uint8_images(batch.target)[outside])
    assert measure_batch(shown, batch)["psnr"] > 20


def test_figures_are_those_of_the_box():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 255, (2, 32, 32, 3)).astype(np.uint8)
    spoilt = truth.copy()
    spoilt[:, :8] = 0
    boxes = np.array([[4, 10, 28, 30]] * 2)
    same = measure_windows(truth, spoilt, boxes)
    assert same["ssim"] == pytest.approx(1)
    assert same["sharpness"] == pytest.approx(1)
    spoilt[:, 12:16] = 0
    assert measure_windows(truth, spoilt, boxes)["psnr"] < 20


@pytest.mark.slow
def test_boxes_stay_inside_the_window(shelf: FootageCache, toys: Toys):
    cut = split_clip(shelf, toys.clip, 20, PLAIN, tail=False, tests=2)
    batch = make_test_batch(cut, PLAIN, shelf.head, TOY.references)
    left, top, right, bottom = mouth_boxes(batch).T
    for low, high in ((left, right), (top, bottom)):
        assert low.min() >= 0
        assert (low < high).all()
        assert high.max() <= SIZE


@pytest.mark.slow
def test_variants_change_what_is_seen(shelf: FootageCache, toys: Toys):
    cut = split_clip(shelf, toys.clip, 20, PLAIN, tail=False, tests=1)
    asked: list[int] = []

    def choose(footage, row, bank):
        asked.append(int(row))
        return bank[:1]

    one = Variant("one", choose=choose, edit=lambda inputs: inputs)
    made = one.make_sample(cut.footage, int(cut.tests[0]), cut.bank, shelf.head, TOY.references)
    assert asked == [cut.tests[0]]
    only = torch.from_numpy(cut.footage.images[cut.bank[0]]).permute(2, 0, 1) / 255
    assert torch.equal(made.inputs.references[0, 1], only)
