"""Batches of the prior's training: checks of the people, and the samples of each process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from dubfew.data.clip_index import exclusion_keys
from dubfew.data.dataset import MouthDataset
from dubfew.data.samples import TrainingSample, collate_samples
from dubfew.errors import DubfewError
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.references.footage import Footage

if TYPE_CHECKING:
    from accelerate import Accelerator


def check_held_out_disjoint(
    people: Iterable[tuple[Any, Mapping[str, Any]]],
    held_out: Iterable[tuple[Any, Mapping[str, Any]]],
) -> None:
    """Check that no held-out person is among the training people.

    Args:
        people: footage and header of the training people.
        held_out: footage and header of the held-out people.

    Raises:
        DubfewError: A person is in both, by identity, file or SHA-256.
    """
    trained_on = set().union(*(exclusion_keys(header) for _, header in people))
    for _, header in held_out:
        if exclusion_keys(header) & trained_on:
            raise DubfewError(
                f"{header.get('file')} is held out, and its person is among those to learn from: "
                "put them into 'exclude', or hold out others"
            )


def check_window_sizes(
    people: Iterable[tuple[Footage, Mapping[str, Any]]], window_size: int
) -> None:
    """Check that all footage has windows of the renderer's size.

    Args:
        people: footage and header of everybody.
        window_size: edge of the renderer's windows, px.

    Raises:
        DubfewError: A clip was prepared in another size.
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
    """Iterate over this process's batches from a step on.

    Step s of any run consists of the same batch * accumulate * processes samples, in batches of
    ``config.batch``. The processes take them in turn, so two processes with one batch each see the
    samples of one process that accumulates two.

    Args:
        config: configuration of the training.
        people: footage of the training people.
        num_references: references of each sample.
        steps_done: optimizer steps before this part of the run.
        accelerator: knows number and rank of the processes and their device.

    Yields:
        ``config.accumulate`` batches for each step, on the process's device.
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
    own_batches = range(rank, (config.steps - steps_done) * per_step, processes)
    loader = DataLoader(
        dataset,
        batch_sampler=(list(range(n * config.batch, (n + 1) * config.batch)) for n in own_batches),
        collate_fn=collate_samples,
        num_workers=config.workers,
        # The loader draws a seed for its workers. With torch's own generator a resumed run, which
        # makes a new loader, would go on with other random numbers than an uninterrupted one.
        generator=torch.Generator(),
    )
    for sample in loader:
        yield sample.to(accelerator.device)
