from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from dubfew.errors import ArtefactError, DubfewError
from dubfew.prior import Prior
from dubfew.prior.objective import LossWeights, objective
from dubfew.prior.people import PeopleDataset
from dubfew.prior.renderers import make_renderer
from dubfew.prior.samples import collate
from dubfew.prior.stored import save_footage
from dubfew.prior.train import TrainConfig, train
from tests.prior.people import SIZE, TOY, toy_footage


@pytest.fixture
def config(tmp_path) -> TrainConfig:
    for seed in range(2):
        header = {"file": f"{seed}.mp4", "license": "CC0", "source": "made here", "sha256": ""}
        save_footage(tmp_path / "data" / f"{seed}.safetensors", toy_footage(26, seed), header)
    save_footage(tmp_path / "other" / "9.safetensors", toy_footage(26, 9), {})
    return TrainConfig(
        data=str(tmp_path / "data"),
        held_out=str(tmp_path / "other"),
        out=str(tmp_path / "run"),
        renderer_config=dataclasses.asdict(TOY),
        steps=6,
        batch=2,
        checkpoint=3,
    )


def losses(config: TrainConfig) -> list[float]:
    log = Path(config.out, "log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in log]


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(config, tmp_path):
    whole = dataclasses.replace(config, out=str(tmp_path / "whole"))
    train(whole)

    class StopError(Exception):
        pass

    def stop(progress):
        if progress.done == 4:
            raise StopError

    with pytest.raises(StopError):
        train(config, stop)
    train(config)
    assert losses(config) == losses(whole)


def test_the_result_is_a_prior_that_names_its_people(config):
    folder = train(config)
    stored = json.loads((folder / "prior_config.json").read_text())
    assert [p["file"] for p in stored["people"]] == ["0.mp4", "1.mp4"]
    assert "data" not in stored["training"]
    assert Prior.load(folder).renderer.config == TOY
    log = Path(config.out, "log.jsonl").read_text().splitlines()
    held = [json.loads(line) for line in log]
    assert "psnr_heldout" in held[-1]


def test_a_batch_can_be_learnt():
    # Once the renderer's layers shrank their input until nothing reached the output, and a
    # training of hours learnt nothing.
    people = [toy_footage(26, seed, shade=0.7) for seed in range(2)]
    samples = PeopleDataset(people, 4, references=2, augment=False)
    batch = collate([samples[i] for i in range(len(samples))])
    model = make_renderer("lite", dataclasses.asdict(TOY))
    texture = torch.zeros(4, TOY.texture_channels, SIZE, SIZE)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    errors = []
    for _ in range(140):
        loss, terms = objective(model, batch, texture, LossWeights())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(float(terms["l1"].detach()))
    assert errors[-1] < 0.6 * errors[0]


def test_no_data_and_unknown_keys_are_errors(config, tmp_path):
    with pytest.raises(DubfewError, match="prior prepare"):
        train(dataclasses.replace(config, data=str(tmp_path / "none")))
    (tmp_path / "c.json").write_text('{"data": "a", "out": "b", "speed": 3}')
    with pytest.raises(ArtefactError, match="speed"):
        TrainConfig.load(tmp_path / "c.json")
