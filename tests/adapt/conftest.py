from __future__ import annotations

import pytest

from dubfew.prior.checkpoint import Prior
from dubfew.references.footage import Footage
from tests.adapt.toys import toy_prior
from tests.data.people import toy_footage


@pytest.fixture(scope="session")
def footage() -> Footage:
    return toy_footage()


@pytest.fixture(scope="session")
def prior() -> Prior:
    return toy_prior()
