"""Training samples over many people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import Dataset

from dubfew.data.augmentation import (
    AFFINE_PROBABILITY,
    degrade_sample,
    jitter_sample_color,
    mirror_sample,
    transform_frame_affine,
)
from dubfew.data.samples import TrainingSample, make_sample
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.footage import Footage
from dubfew.references.inputs import find_nearest_references, select_motion_window

# A reference in training is at least this many frames away from its target, or it would be
# nearly the target itself, which rendering never has.
MIN_REFERENCE_GAP_TRAIN = 10
# So often a person is seen as a new actor would be, with the unwrapped colours alone: otherwise
# the network leans on learned features that a new actor lacks.
UNSEEN_ACTOR_PROBABILITY = 0.5
# So often the references are taken from the third of the frames that is least like the target:
# four seconds of footage lack many mouths that a dub asks for.
HARD_REFERENCES_PROBABILITY = 0.3


class MouthDataset(Dataset[TrainingSample]):
    """Training samples over many people; item ``i`` is the same in every run with that seed."""

    def __init__(
        self,
        people: Sequence[Footage],
        length: int,
        *,
        num_references: int,
        seed: int = 0,
        first_index: int = 0,
        actor_indices: Sequence[int] | None = None,
        augment: bool = True,
    ) -> None:
        self.people = people
        self.length = length
        self.num_references = num_references
        self.seed = seed
        self.first_index = first_index
        self.actor_indices = actor_indices if actor_indices is not None else range(len(people))
        self.augment = augment
        self.head = load_head_model()
        # A longer clip shows more of its actor, but not in proportion.
        share = np.sqrt([len(p) for p in people])
        self.person_probabilities = share / share.sum()

    def __len__(self) -> int:
        return self.length - self.first_index

    def __getitem__(self, index: int) -> TrainingSample:
        rng = np.random.default_rng((self.seed, self.first_index + index))
        person = int(rng.choice(len(self.people), p=self.person_probabilities))
        footage = self.people[person]
        row = int(rng.integers(len(footage)))
        far = np.nonzero(np.abs(footage.frames - footage.frames[row]) >= MIN_REFERENCE_GAP_TRAIN)[0]
        if rng.random() < HARD_REFERENCES_PROBABILITY:
            distance = np.linalg.norm(footage.key[far] - footage.key[row], axis=1)
            far = far[np.argsort(-distance, kind="stable")[: max(4, len(far) // 3)]]
        # Often few references, so that none shows what is wanted.
        bank = rng.permutation(far)[: round(float(np.exp(rng.uniform(*np.log((2, 64))))))]
        actor = self.actor_indices[person]
        if not self.augment:
            return make_sample(footage, row, bank, self.head, self.num_references, actor)
        near, _ = find_nearest_references(footage.key[row], footage.key[bank], self.num_references)
        few = footage.select_frames([row, *bank[near]])
        if rng.random() < AFFINE_PROBABILITY:
            few = transform_frame_affine(few, 0, rng)
        rows = np.arange(1, len(few))
        sample = make_sample(few, 0, rows, self.head, self.num_references, actor)
        # The neighbours in time went with the selection.
        motion = torch.from_numpy(select_motion_window(footage.motion, row)).flatten(1)[None]
        sample = replace(
            sample,
            inputs=replace(sample.inputs, motion=motion),
            is_new_actor=torch.tensor([bool(rng.random() < UNSEEN_ACTOR_PROBABILITY)]),
        )
        if rng.random() < 0.5:
            sample = mirror_sample(sample)
        return jitter_sample_color(degrade_sample(sample, rng), rng)
