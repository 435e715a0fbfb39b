"""The dataset of the prior's training: samples of many people in random order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from dubfew.data.samples import TrainingSample
from dubfew.data.sampling import TRAIN_SAMPLING, SamplingRule, draw_sample
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.footage import Footage


class MouthDataset(Dataset[TrainingSample]):
    """Training samples of many people.

    Item ``i`` depends on the seed and on its number alone: a training that goes on after a stop
    sees what it would have seen, with any number of loader processes.
    """

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
        rule: SamplingRule = TRAIN_SAMPLING,
    ) -> None:
        """Describe the items; nothing is drawn yet.

        Args:
            people: footage of each person, in memory or mapped from the disk.
            length: number of items of the whole training.
            num_references: references of each sample.
            seed: seed of all items.
            first_index: number of the first item, where a stopped training goes on.
            actor_indices: row of the neural texture of each person; 0, 1, ... by default.
            augment: False for samples as filmed.
            rule: how samples are drawn.
        """
        self.people = people
        self.length = length
        self.num_references = num_references
        self.seed = seed
        self.first_index = first_index
        self.actor_indices = actor_indices if actor_indices is not None else range(len(people))
        self.augment = augment
        self.rule = rule
        self.head = load_head_model()
        # A longer clip shows more of its person, but not in proportion.
        weight = np.sqrt([len(p) for p in people])
        self.person_probabilities = weight / weight.sum()

    def __len__(self) -> int:
        return self.length - self.first_index

    def __getitem__(self, index: int) -> TrainingSample:
        # A generator of its own for every item, so that none depends on the items before.
        rng = np.random.default_rng((self.seed, self.first_index + index))
        person = int(rng.choice(len(self.people), p=self.person_probabilities))
        return draw_sample(
            self.people[person],
            self.head,
            self.num_references,
            self.rule,
            rng,
            actor_index=self.actor_indices[person],
            augment=self.augment,
        )
