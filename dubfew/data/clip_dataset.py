"""The dataset of painting renderers: windows of many people in random order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from dubfew.data.clip_footage import ClipFootage
from dubfew.data.clip_inputs import ClipSample
from dubfew.data.clip_samples import (
    ClipSampleForm,
    SoundFeatureCache,
    draw_references,
    find_windows,
    make_clip_sample,
    window_rows,
)
from dubfew.reconstruction.heads.head_model import load_head_model


class ClipDataset(Dataset[ClipSample]):
    """Windows of consecutive frames of one person each, with references from elsewhere.

    Item ``i`` depends on the seed, the stage and its number alone: a training that goes on after
    a stop sees what it would have seen, with any number of loader processes.
    """

    def __init__(
        self,
        clips: Sequence[ClipFootage],
        form: ClipSampleForm,
        length: int,
        *,
        seed: int = 0,
        stage: int = 0,
        first_index: int = 0,
        actor_indices: Sequence[int] | None = None,
    ) -> None:
        """Describe the items; nothing is drawn yet.

        Args:
            clips: crops of the people, in memory or on the disk; of one head model.
            form: sizes of the samples.
            length: number of items of the stage.
            seed: seed of all items.
            stage: number of the stage, whose items differ from those of others.
            first_index: number of the first item, where a stopped training goes on.
            actor_indices: row of the neural texture of each clip; 0, 1, ... by default.
        """
        self.clips = clips
        self.form = form
        self.length = length
        self.seed = seed
        self.stage = stage
        self.first_index = first_index
        self.actor_indices = actor_indices if actor_indices is not None else range(len(clips))
        self.head = load_head_model(clips[0].head)
        self.features = SoundFeatureCache(form.sound)
        # A longer clip shows more of its person, but not in proportion.
        weight = np.sqrt([len(clip) for clip in clips])
        self.clip_probabilities = weight / weight.sum()

    def __len__(self) -> int:
        return self.length - self.first_index

    def __getitem__(self, index: int) -> ClipSample:
        # A generator of its own for every item, so that none depends on the items before.
        rng = np.random.default_rng((self.seed, self.stage, self.first_index + index))
        number = int(rng.choice(len(self.clips), p=self.clip_probabilities))
        clip = self.clips[number]
        start = int(rng.choice(find_windows(clip.frames, self.form.frames)))
        rows = window_rows(clip.frames, start, self.form.frames)
        references = draw_references(clip.frames, rows, self.form.references, rng)
        return make_clip_sample(
            clip,
            rows,
            references,
            self.head,
            self.form,
            self.features,
            clip_key=number,
            actor_index=self.actor_indices[number],
        )
