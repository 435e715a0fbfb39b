"""DINet and IPTalker in the loop: trained, resumed to the bit, stored, loaded."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from dubfew.prior import Prior
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.trainer import train_renderer
from tests.data.clips import noise_inputs, write_toy_clips
from tests.prior.training.runs import read_losses, read_weights

# Crops of 104 x 80 px, the smallest that the critics take whole.
SIZES = {
    "dinet": ("dinet256", {"shrink": 4, "narrow": 16, "references": 2, "sound": "mel16"}),
    "iptalker": (
        "iptalker",
        {
            "shrink": 4,
            "narrow": 16,
            "references": 2,
            "units": 1,
            "heads": 2,
            "sound": "mel16",
        },
    ),
}
CRITICS = {"dinet": ["frames", "clips"], "iptalker": ["frames"]}


@pytest.fixture(scope="module", params=list(SIZES))
def config(request, tmp_path_factory) -> PriorTrainConfig:
    folder = tmp_path_factory.mktemp(request.param)
    layout, sizes = SIZES[request.param]
    loss = {"perceptual": 0.0, "sync": 0.0, "l1": 10.0}
    return PriorTrainConfig.from_values(
        {
            "data": str(write_toy_clips(folder / "data", range(1), 16, layout)),
            "held_out": str(write_toy_clips(folder / "other", range(2, 3), 16, layout)),
            "out": str(folder / "run"),
            "renderer": request.param,
            "renderer_config": sizes,
            "loss": loss | ({"stages": "clip256"} if request.param == "dinet" else {}),
            "steps": 3,
            "batch": 1,
            "checkpoint": 2,
        }
    )


@pytest.fixture(scope="module")
def trained(config) -> Path:
    return train_renderer(config)


@pytest.mark.slow
def test_a_run_goes_on_to_the_bit(config, trained, tmp_path):
    def stop(progress):
        if progress.done == 3:
            raise KeyboardInterrupt

    again = dataclasses.replace(config, out=str(tmp_path / "again"))
    with pytest.raises(KeyboardInterrupt):
        train_renderer(again, stop)
    assert train_renderer(again) == tmp_path / "again" / "prior"
    assert read_losses(again) == read_losses(config)
    first, second = read_weights(config), read_weights(again)
    assert any("running_var" in name for name in first)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_a_stored_prior_paints_as_the_last_weights_do(config, trained):
    prior = Prior.load(trained)
    assert sorted(prior.critics) == sorted(CRITICS[config.renderer])
    # No average of the weights: the result is that of the last step, in half precision.
    assert config.ema == 0
    last = {n.removeprefix("renderer."): v for n, v in read_weights(config).items()}
    for name, value in prior.renderer.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, last[name], rtol=1e-3, atol=1e-4)
    # Lists of the stored configuration are what they were.
    assert prior.renderer.config == type(prior.renderer.config)(
        **json.loads((trained / "prior_config.json").read_text())["renderer_config"]
    )
    assert isinstance(prior.renderer.config.flow_widths, tuple)


def test_windows_of_any_length_are_painted_frame_by_frame(trained):
    renderer = Prior.load(trained).renderer
    inputs = noise_inputs(dataclasses.replace(renderer.config, frames=3))
    with torch.inference_mode():
        whole = renderer(inputs)
        assert whole.shape == inputs.scene.shape
        for frame in range(3):
            single = dataclasses.replace(
                inputs,
                scene=inputs.scene[:, frame : frame + 1],
                sound=inputs.sound[:, frame : frame + 1],
            )
            torch.testing.assert_close(renderer(single)[:, 0], whole[:, frame])


def test_held_out_people_and_all_terms_are_logged(config, trained):
    lines = [json.loads(x) for x in (Path(config.out) / "log.jsonl").read_text().splitlines()]
    assert {"l1", "adversarial", *CRITICS[config.renderer]} <= set(lines[0])
    assert 0 < lines[-1]["psnr_heldout"] < 40
