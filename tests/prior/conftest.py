from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from dubfew.data.footage_io import save_footage
from dubfew.data.samples import Sample, collate, make_sample
from dubfew.prior.renderers import LiteRenderer
from dubfew.prior.training.config import TrainConfig
from dubfew.prior.training.trainer import train
from dubfew.reconstruction.heads.head_model import load_head
from tests.data.people import TOY, toy_footage


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Two frames of a toy, references from others."""
    footage, head = toy_footage(), load_head()
    return collate([make_sample(footage, row, np.arange(12, 24), head, 2) for row in (0, 5)])


@pytest.fixture
def renderer() -> LiteRenderer:
    """Untrained, the same every time."""
    torch.manual_seed(0)
    return LiteRenderer(TOY)


@pytest.fixture(scope="session")
def toy_people(tmp_path_factory) -> Path:
    """Two people to learn from, in ``data``, and one to judge by, in ``other``."""
    folder = tmp_path_factory.mktemp("people")
    for seed in range(2):
        header = {"file": f"{seed}.mp4", "license": "CC0", "source": "made here", "sha256": ""}
        save_footage(folder / "data" / f"{seed}.safetensors", toy_footage(26, seed), header)
    save_footage(folder / "other" / "9.safetensors", toy_footage(26, 9), {"file": "9.mp4"})
    return folder


@pytest.fixture
def config(toy_people, tmp_path) -> TrainConfig:
    """A training of seconds."""
    return _config(toy_people, tmp_path / "run")


@pytest.fixture(scope="session")
def trained(toy_people, tmp_path_factory) -> TrainConfig:
    """That training, done."""
    config = _config(toy_people, tmp_path_factory.mktemp("trained"))
    train(config)
    return config


def _config(people: Path, out: Path) -> TrainConfig:
    return TrainConfig(
        data=str(people / "data"),
        held_out=str(people / "other"),
        out=str(out),
        renderer_config=dataclasses.asdict(TOY),
        steps=6,
        batch=2,
        checkpoint=3,
        learning_rate=2e-3,
    )
