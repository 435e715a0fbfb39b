"""Which samples each process sees at which step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from dubfew.data.clip_index import names_of
from dubfew.data.dataset import PeopleDataset
from dubfew.data.samples import Sample, collate
from dubfew.errors import DubfewError
from dubfew.prior.training.config import TrainConfig
from dubfew.references.footage import Footage


def check_apart(
    people: Iterable[tuple[Footage, Mapping[str, Any]]],
    held_out: Iterable[tuple[Footage, Mapping[str, Any]]],
) -> None:
    """Refuse to judge by people who are learned from.

    Raises:
        DubfewError: somebody is in both.
    """
    learned = set().union(*(names_of(header) for _, header in people))
    for _, header in held_out:
        if names_of(header) & learned:
            raise DubfewError(
                f"{header.get('file')} is held out, and its person is among those to learn from: "
                "put them into 'exclude', or hold out others"
            )


def check_windows(people: Iterable[tuple[Footage, Mapping[str, Any]]], window: int) -> None:
    """Refuse footage whose windows are not the renderer's.

    Raises:
        DubfewError: some were prepared in another size.
    """
    for footage, header in people:
        if footage.size != window:
            raise DubfewError(
                f"{header.get('file')} was prepared with windows of {footage.size} px, the "
                f"renderer takes {window} px: prepare with --size {window}"
            )


def batches(
    config: TrainConfig,
    people: Sequence[Footage],
    references: int,
    done: int,
    accelerator: Accelerator,
) -> Iterator[Sample]:
    """This process's batches from step ``done`` on.

    Step s of any run consists of the same batch * accumulate * processes samples, in batches of
    ``config.batch``. They are dealt out in turn: two processes with one batch each compute
    what one process does with two accumulated, to the last sample.
    """
    processes, rank = accelerator.num_processes, accelerator.process_index
    per_step = config.accumulate * processes
    dataset = PeopleDataset(
        people,
        config.steps * per_step * config.batch,
        references=references,
        seed=config.seed,
        start=done * per_step * config.batch,
    )
    mine = range(rank, (config.steps - done) * per_step, processes)
    loader = DataLoader(
        dataset,
        batch_sampler=(list(range(n * config.batch, (n + 1) * config.batch)) for n in mine),
        collate_fn=collate,
        num_workers=config.workers,
        # The loader draws a seed for its workers: not from the generator whose state is resumed.
        generator=torch.Generator(),
    )
    for sample in loader:
        yield sample.to(accelerator.device)
