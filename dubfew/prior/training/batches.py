"""Which samples each process sees at which step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from dubfew.data.clip_index import exclusion_keys
from dubfew.data.dataset import MouthDataset
from dubfew.data.samples import TrainingSample, collate_samples
from dubfew.errors import DubfewError
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.references.footage import Footage


def check_held_out_disjoint(
    people: Iterable[tuple[Footage, Mapping[str, Any]]],
    held_out: Iterable[tuple[Footage, Mapping[str, Any]]],
) -> None:
    """Refuse to judge by people who are learned from.

    Raises:
        DubfewError: somebody is in both.
    """
    learned = set().union(*(exclusion_keys(header) for _, header in people))
    for _, header in held_out:
        if exclusion_keys(header) & learned:
            raise DubfewError(
                f"{header.get('file')} is held out, and its person is among those to learn from: "
                "put them into 'exclude', or hold out others"
            )


def check_window_sizes(
    people: Iterable[tuple[Footage, Mapping[str, Any]]], window_size: int
) -> None:
    """Refuse footage whose windows are not the renderer's.

    Raises:
        DubfewError: some were prepared in another size.
    """
    for footage, header in people:
        if footage.window_size != window_size:
            raise DubfewError(
                f"{header.get('file')} was prepared with windows of {footage.window_size} px, the "
                f"renderer takes {window_size} px: prepare with --size {window_size}"
            )


def iterate_batches(
    config: PriorTrainConfig,
    people: Sequence[Footage],
    num_references: int,
    steps_done: int,
    accelerator: Accelerator,
) -> Iterator[TrainingSample]:
    """This process's batches from step ``steps_done`` on.

    Step s of any run consists of the same batch * accumulate * processes samples, in batches of
    ``config.batch``. They are dealt out in turn: two processes with one batch each compute
    what one process does with two accumulated, to the last sample.
    """
    processes, rank = accelerator.num_processes, accelerator.process_index
    per_step = config.accumulate * processes
    dataset = MouthDataset(
        people,
        config.steps * per_step * config.batch,
        num_references=num_references,
        seed=config.seed,
        first_index=steps_done * per_step * config.batch,
    )
    mine = range(rank, (config.steps - steps_done) * per_step, processes)
    loader = DataLoader(
        dataset,
        batch_sampler=(list(range(n * config.batch, (n + 1) * config.batch)) for n in mine),
        collate_fn=collate_samples,
        num_workers=config.workers,
        # The loader draws a seed for its workers: not from the generator whose state is resumed.
        generator=torch.Generator(),
    )
    for sample in loader:
        yield sample.to(accelerator.device)
