"""Training samples over many people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import Dataset

from dubfew.data.augmentation import REFRAMED, filmed, mirrored, reframed, tinted
from dubfew.data.samples import Sample, make_sample
from dubfew.reconstruction.heads.head_model import load_head
from dubfew.references.footage import Footage
from dubfew.references.inputs import motion_window, nearest_references

# A reference in training is at least this many frames away from its target, or it would be
# nearly the target itself, which rendering never has.
NEIGHBOURS = 10
# So often a person is seen as a new actor would be, with the unwrapped colours alone: otherwise
# the network leans on learned features that a new actor lacks.
NEW_ACTORS = 0.5
# So often the references are taken from the third of the frames that is least like the target:
# four seconds of footage lack many mouths that a dub asks for.
UNLIKE = 0.3


class PeopleDataset(Dataset[Sample]):
    """Training samples over many people; item ``i`` is the same in every run with that seed."""

    def __init__(
        self,
        people: Sequence[Footage],
        length: int,
        *,
        references: int,
        seed: int = 0,
        start: int = 0,
        actors: Sequence[int] | None = None,
        augment: bool = True,
    ) -> None:
        self.people = people
        self.length = length
        self.references = references
        self.seed = seed
        self.start = start
        self.actors = actors if actors is not None else range(len(people))
        self.augment = augment
        self.head = load_head()
        # A longer clip shows more of its actor, but not in proportion.
        share = np.sqrt([len(p) for p in people])
        self.share = share / share.sum()

    def __len__(self) -> int:
        return self.length - self.start

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng((self.seed, self.start + index))
        person = int(rng.choice(len(self.people), p=self.share))
        footage = self.people[person]
        row = int(rng.integers(len(footage)))
        far = np.nonzero(np.abs(footage.frames - footage.frames[row]) >= NEIGHBOURS)[0]
        if rng.random() < UNLIKE:
            distance = np.linalg.norm(footage.key[far] - footage.key[row], axis=1)
            far = far[np.argsort(-distance, kind="stable")[: max(4, len(far) // 3)]]
        # Often few references, so that none shows what is wanted.
        bank = rng.permutation(far)[: round(float(np.exp(rng.uniform(*np.log((2, 64))))))]
        actor = self.actors[person]
        if not self.augment:
            return make_sample(footage, row, bank, self.head, self.references, actor)
        near, _ = nearest_references(footage.key[row], footage.key[bank], self.references)
        few = footage.select([row, *bank[near]])
        if rng.random() < REFRAMED:
            few = reframed(few, 0, rng)
        rows = np.arange(1, len(few))
        sample = make_sample(few, 0, rows, self.head, self.references, actor)
        # The neighbours in time went with the selection.
        motion = torch.from_numpy(motion_window(footage.motion, row)).flatten(1)[None]
        sample = replace(
            sample,
            inputs=replace(sample.inputs, motion=motion),
            fresh=torch.tensor([bool(rng.random() < NEW_ACTORS)]),
        )
        if rng.random() < 0.5:
            sample = mirrored(sample)
        return tinted(filmed(sample, rng), rng)
