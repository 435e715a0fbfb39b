"""SIDGAN in the loop: level after level, resumed to the bit, stored, loaded."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from dubfew.prior import Prior
from dubfew.prior.syncnets import make_syncnet
from dubfew.prior.syncnets._file import SyncNetInfo, load_syncnet, save_syncnet
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.trainer import train_renderer
from tests.data.clips import noise_inputs, write_toy_clips
from tests.prior.training.runs import read_losses, read_weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> PriorTrainConfig:
    folder = tmp_path_factory.mktemp("sidgan")
    torch.manual_seed(0)
    settings = {"divisor": 16}
    info = SyncNetInfo("aps", settings, "sidgan", 1, 0.9, 1)
    save_syncnet(folder / "sync.safetensors", make_syncnet("aps", settings), info)
    return PriorTrainConfig.from_values(
        {
            "data": str(write_toy_clips(folder / "data", range(1), 16, "sidgan")),
            "held_out": str(write_toy_clips(folder / "other", range(2, 3), 16, "sidgan")),
            "out": str(folder / "run"),
            "renderer": "sidgan",
            "renderer_config": {"shrink": 8, "narrow": 16},
            # The critic of patches does not fit a level of 16 px.
            "loss": {"preset": "pixels", "adversarial_fine": 1.0, "sync_middle": 0.1},
            "sync": str(folder / "sync.safetensors"),
            "steps": 3,
            "batch": 1,
            "checkpoint": 2,
        }
    )


@pytest.fixture(scope="module")
def trained(config) -> Path:
    return train_renderer(config)


def test_the_papers_values_fill_in(config):
    assert (config.learning_rate, config.discriminator_rate) == (2e-4, 2e-4)


def test_levels_are_added_one_after_another(config, trained):
    lines = [json.loads(x) for x in (Path(config.out) / "log.jsonl").read_text().splitlines()]
    judged = [{key.split("_")[-1] for key in line if key.startswith("l1_")} for line in lines]
    assert judged == [{"coarse"}, {"coarse", "middle"}, {"coarse", "middle", "fine"}]
    assert "sync_middle" in lines[1]
    # The critic's own loss has the level's name.
    assert {"adversarial_fine", "fine"} <= set(lines[2])
    assert 0 < lines[-1]["psnr_heldout"] < 40


def test_a_run_goes_on_to_the_bit(config, trained, tmp_path):
    def stop(progress):
        if progress.done == 3:
            raise KeyboardInterrupt

    again = dataclasses.replace(config, out=str(tmp_path / "again"))
    with pytest.raises(KeyboardInterrupt):
        train_renderer(again, stop)
    train_renderer(again)
    assert read_losses(again) == read_losses(config)
    first, second = read_weights(config), read_weights(again)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_stored_prior_has_the_syncnets_ear_and_critics(config, trained):
    prior = Prior.load(trained)
    assert sorted(prior.critics) == ["fine"]
    given = load_syncnet(Path(config.sync))[0].sound_encoder.state_dict()
    for name, value in prior.renderer.sound_encoder.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, given[name], rtol=1e-3, atol=1e-4)
    with torch.inference_mode():
        inputs = noise_inputs(dataclasses.replace(prior.renderer.config, frames=2))
        assert prior.renderer(inputs).shape == inputs.scene.shape
