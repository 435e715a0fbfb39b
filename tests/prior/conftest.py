"""A toy renderer, toy people, and a training of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from dubfew.data.footage_io import save_footage
from dubfew.data.samples import TrainingSample, collate_samples, make_sample
from dubfew.prior.renderers import BlendingUNet
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.trainer import train_renderer
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.data.people import TOY, toy_footage


@pytest.fixture(scope="module")
def sample() -> TrainingSample:
    """Two frames of a toy, references from others."""
    footage, head = toy_footage(), load_head_model()
    return collate_samples(
        [make_sample(footage, row, np.arange(12, 24), head, 2) for row in (0, 5)]
    )


@pytest.fixture
def renderer() -> BlendingUNet:
    """Untrained, the same every time."""
    torch.manual_seed(0)
    return BlendingUNet(TOY)


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
def config(toy_people, tmp_path) -> PriorTrainConfig:
    """A training of seconds."""
    return _config(toy_people, tmp_path / "run")


@pytest.fixture(scope="session")
def trained(toy_people, tmp_path_factory) -> PriorTrainConfig:
    """That training, done."""
    config = _config(toy_people, tmp_path_factory.mktemp("trained"))
    train_renderer(config)
    return config


def _config(people: Path, out: Path) -> PriorTrainConfig:
    return PriorTrainConfig(
        data=str(people / "data"),
        held_out=str(people / "other"),
        out=str(out),
        renderer_config=dataclasses.asdict(TOY),
        steps=6,
        batch=2,
        checkpoint=3,
        learning_rate=2e-3,
    )
