from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dubfew.data.augmentation import mirror_sample
from dubfew.data.dataset import MIN_REFERENCE_GAP_TRAIN, MouthDataset
from dubfew.data.footage_io import load_footage, save_footage
from dubfew.data.samples import make_sample
from dubfew.errors import ArtefactError
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from tests.data.people import toy_footage


def same(a, b) -> bool:
    parts = [(a.target, b.target), (a.mouth_box, b.mouth_box)]
    parts += [(getattr(a.inputs, n), getattr(b.inputs, n)) for n in vars(a.inputs)]
    return all(torch.equal(x, y) for x, y in parts)


def test_items_depend_on_seed_and_number_alone():
    people = [toy_footage(30, 0), toy_footage(30, 1)]
    whole = MouthDataset(people, 8, num_references=2, seed=5)
    rest = MouthDataset(people, 8, num_references=2, seed=5, first_index=3)
    assert len(rest) == 5
    assert same(whole[4], rest[1])
    assert not same(whole[4], MouthDataset(people, 8, num_references=2, seed=6)[4])


def test_references_are_far_from_their_target():
    footage = toy_footage(30)
    dataset = MouthDataset([footage], 20, num_references=2, augment=False)
    for index in range(20):
        sample = dataset[index]
        found = [
            int(np.argmin([np.abs(image - shown).sum() for image in footage.images.astype(int)]))
            for shown in (sample.inputs.references[0].permute(0, 2, 3, 1).numpy() * 255).round()
        ]
        target = int(
            np.argmin(
                [
                    np.abs(image - (sample.target[0].permute(1, 2, 0).numpy() * 255).round()).sum()
                    for image in footage.images.astype(int)
                ]
            )
        )
        assert all(abs(f - target) >= MIN_REFERENCE_GAP_TRAIN for f in found)


def test_a_mirror_seen_in_a_mirror_is_the_sample():
    sample = make_sample(toy_footage(), 3, np.arange(14, 24), load_head_model(), 2)
    assert same(mirror_sample(mirror_sample(sample)), sample)
    assert not same(mirror_sample(sample), sample)


def test_mirrored_points_are_mirror_images_on_the_head():
    head = load_head_model()
    place = head.template[list(MOUTH_POINTS)]
    motion = torch.from_numpy(place.reshape(1, 1, -1))
    sample = make_sample(toy_footage(), 3, np.arange(14, 24), head, 2)
    sample = replace(sample, inputs=replace(sample.inputs, motion=motion))
    flipped = mirror_sample(sample).inputs.motion.view(-1, 3).numpy()
    np.testing.assert_allclose(flipped, place, atol=0.002)  # the mean head is symmetric


def test_prepared_footage_comes_back(tmp_path):
    footage = toy_footage(4)
    save_footage(tmp_path / "a.safetensors", footage, {"file": "a.mp4", "license": "CC0"})
    again, header = load_footage(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(again.images, footage.images)
    assert header["license"] == "CC0"


def test_what_is_not_prepared_footage_says_so(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(ArtefactError, match="prior prepare"):
        load_footage(tmp_path / "a.safetensors")


def test_some_references_are_unlike_their_target(monkeypatch):
    footage = toy_footage(60)
    distances = {}
    for share in (0.0, 1.0):
        monkeypatch.setattr("dubfew.data.dataset.HARD_REFERENCES_PROBABILITY", share)
        dataset = MouthDataset([footage], 24, num_references=2, augment=False)
        distances[share] = np.mean(
            [float(dataset[i].inputs.reference_distances.min()) for i in range(24)]
        )
    assert distances[1.0] > 1.5 * distances[0.0]
