from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubfew.data.dataset import MouthDataset
from dubfew.data.sampling import TRAIN_SAMPLING
from dubfew.references.selection import MIN_REFERENCE_GAP_TRAIN
from tests.data.people import equal_samples, toy_footage


def test_items_depend_on_seed_and_number_alone():
    people = [toy_footage(30, 0), toy_footage(30, 1)]
    whole = MouthDataset(people, 8, num_references=2, seed=5)
    rest = MouthDataset(people, 8, num_references=2, seed=5, first_index=3)
    assert len(rest) == 5
    assert equal_samples(whole[4], rest[1])
    assert not equal_samples(whole[4], MouthDataset(people, 8, num_references=2, seed=6)[4])


@pytest.mark.slow
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


@pytest.mark.slow
def test_some_references_are_unlike_their_target():
    footage = toy_footage(60)
    distances = {}
    for share in (0.0, 1.0):
        rule = replace(TRAIN_SAMPLING, hard_references_probability=share)
        dataset = MouthDataset([footage], 24, num_references=2, augment=False, rule=rule)
        distances[share] = np.mean(
            [float(dataset[i].inputs.reference_distances.min()) for i in range(24)]
        )
    assert distances[1.0] > 1.5 * distances[0.0]
