"""Priors as folders: stored, loaded, damaged, shipped."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from dubfew.data.samples import make_sample
from dubfew.errors import ArtefactError
from dubfew.prior import Prior, list_priors, prior_info
from dubfew.prior.checkpoint import PRIOR_CONFIG_FILE, PRIOR_WEIGHTS_FILE, create_untrained_prior
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.data.people import SIZE, TOY, toy_footage


@pytest.fixture
def stored(tmp_path):
    prior = create_untrained_prior(config=TOY)
    with torch.no_grad():
        for parameter in prior.renderer.parameters():
            parameter.copy_((parameter + 0.02).half().float())
    prior.save(tmp_path / "p", {"people": []}, "# Card")
    return prior, tmp_path / "p"


def test_saved_and_loaded_renders_the_same(stored):
    prior, folder = stored
    again = Prior.load(folder)
    sample = make_sample(toy_footage(), 2, np.arange(12, 24), load_head_model(), 2)
    texture = torch.zeros(1, TOY.texture_channels, SIZE, SIZE)
    torch.testing.assert_close(
        again.renderer(sample.inputs, texture), prior.renderer(sample.inputs, texture)
    )
    assert prior_info(folder).card == "# Card"
    assert again.sha256 == prior_info(folder).sha256


def test_newer_and_damaged_priors_are_refused(stored):
    _, folder = stored
    config = json.loads((folder / PRIOR_CONFIG_FILE).read_text())
    (folder / PRIOR_CONFIG_FILE).write_text(json.dumps({**config, "format_version": 99}))
    with pytest.raises(ArtefactError, match="update dubfew"):
        Prior.load(folder)
    (folder / PRIOR_CONFIG_FILE).write_text("{")
    with pytest.raises(ArtefactError, match="not JSON"):
        Prior.load(folder)
    (folder / PRIOR_CONFIG_FILE).write_text(json.dumps(config))
    (folder / PRIOR_WEIGHTS_FILE).write_bytes(b"broken")
    with pytest.raises(ArtefactError, match="cannot be read"):
        Prior.load(folder)


def test_no_such_prior_names_those_there_are():
    with pytest.raises(ArtefactError, match="those shipped"):
        Prior.load("nobody")


def test_the_shipped_prior_loads_and_lists_its_people():
    (info,) = list_priors()
    assert info.name == "lite"
    assert info.bytes < 16e6
    assert Prior.load().sha256 == info.sha256
    assert len(info.config["people"]) >= 20
    assert all(p["license"] and p["source"] for p in info.config["people"])
    assert "Limits" in info.card


def test_the_untrained_prior_has_nothing_to_show():
    with pytest.raises(ArtefactError, match="untrained"):
        prior_info("warp")
    assert Prior.load("warp").sha256 == ""
