"""A toy prior, toy footage, and every adaptation method trained on it."""

from __future__ import annotations

import pytest
from torch import Tensor

from dubfew.adapt.methods import METHODS
from dubfew.adapt.trainer import AdapterTraining, split_held_out
from dubfew.data.samples import TrainingSample
from dubfew.prior.checkpoint import Prior
from dubfew.references.footage import Footage
from tests.adapt.toys import copy_prior_state, make_batch, toy_prior, train_toy_adapter
from tests.data.people import toy_footage

# Training steps of the methods' tests: enough to change every weight that a method may change.
STEPS = 3


@pytest.fixture(scope="session")
def footage() -> Footage:
    return toy_footage()


@pytest.fixture(scope="session")
def prior() -> Prior:
    return toy_prior()


@pytest.fixture(scope="session")
def trained(prior: Prior, footage: Footage) -> tuple[dict[str, Tensor], dict[str, AdapterTraining]]:
    """The prior's state before any training, and every method after a few steps."""
    before = copy_prior_state(prior)
    return before, {name: train_toy_adapter(prior, footage, name, STEPS) for name in METHODS.names}


@pytest.fixture(scope="session")
def sample(footage: Footage) -> TrainingSample:
    """The held-out frames of the footage."""
    train, held = split_held_out(len(footage))
    return make_batch(footage, held, train)
