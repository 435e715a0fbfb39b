"""A training of the prior: what it writes, and what its configuration changes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from dubfew.cli.app import app
from dubfew.data.dataset import MouthDataset
from dubfew.data.samples import collate_samples
from dubfew.errors import ArtefactError, DubfewError
from dubfew.prior import Prior
from dubfew.prior.losses.objective import LossWeights, render_and_compute_loss
from dubfew.prior.renderers import make_renderer
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.trainer import train_renderer
from tests.commands import CommandRunner
from tests.data.people import SIZE, TOY, toy_footage
from tests.prior.training.runs import read_log, read_losses, read_weights

pytestmark = pytest.mark.slow


def varied(config: PriorTrainConfig, name: str, **changes) -> PriorTrainConfig:
    """The same training elsewhere, with some keys changed."""
    out = str(Path(config.out).parent / name)
    return dataclasses.replace(config, out=out, **changes)


def test_the_result_is_a_prior_that_names_its_people(trained):
    folder = Path(trained.out, "prior")
    stored = json.loads((folder / "prior_config.json").read_text())
    assert [p["file"] for p in stored["people"]] == ["0.mp4", "1.mp4"]
    assert not {"data", "out", "held_out"} & set(stored["training"])
    assert Prior.load(folder).renderer.config == TOY


def test_held_out_people_are_measured_and_the_best_checkpoint_is_kept(trained):
    validated = [line for line in read_log(trained) if "psnr_heldout" in line]
    assert [line["step"] for line in validated] == [3, 6]
    for line in validated:
        clip = line["heldout"]["9.mp4"]
        assert clip["psnr"] == pytest.approx(line["psnr_heldout"])
        assert clip["warp"] == pytest.approx(line["psnr_warp"])
        assert 0.5 < clip["ssim"] <= 1
        assert clip["sharpness"] > 0
    best = max(validated, key=lambda line: line["psnr_heldout"])
    stored = json.loads(Path(trained.out, "best", "prior_config.json").read_text())
    assert stored["training"]["step"] == best["step"]
    assert stored["training"]["best_psnr_heldout"] == best["psnr_heldout"]
    assert Prior.load(Path(trained.out, "best")).renderer.config == TOY


def test_two_accumulated_batches_make_the_step_of_one_twice_as_large(config):
    one = varied(config, "one", batch=4, steps=1, held_out="")
    two = varied(config, "two", batch=2, accumulate=2, steps=1, held_out="")
    half = varied(config, "half", batch=2, steps=1, held_out="")
    for each in (one, two, half):
        train_renderer(each)
    # Losses are means over a batch's pixels, and not all faces have the same number.
    assert read_losses(two) == pytest.approx(read_losses(one), rel=0.05)
    a, b, c = (_gradient(each) for each in (one, two, half))
    assert float(b.norm()) == pytest.approx(float(a.norm()), rel=0.05)
    assert cosine_similarity(a, b, 0) > 0.98
    assert cosine_similarity(a, c, 0) < cosine_similarity(a, b, 0)


def _gradient(config: PriorTrainConfig) -> torch.Tensor:
    """Of the renderer in the only step, which Adam's first moment is a tenth of."""
    optimizer = torch.load(Path(config.out, "state-1", "optimizer.bin"), weights_only=True)
    renderer = optimizer["param_groups"][0]["params"]
    return torch.cat([optimizer["state"][p]["exp_avg"].flatten() for p in renderer])


def test_bfloat16_gives_nearly_the_same_losses(config, trained):
    train_renderer(dataclasses.replace(config, mixed_precision="bf16"))
    assert np.isfinite(read_losses(config)).all()
    assert read_losses(config) == pytest.approx(read_losses(trained), rel=0.02)
    assert read_losses(config)[1:] != read_losses(trained)[1:]
    # Only the arithmetic is in half precision.
    assert all(value.dtype == torch.float32 for value in read_weights(config).values())


def test_half_precision_without_a_gpu_is_an_error(config):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, which can do it")
    with pytest.raises(ArtefactError, match="bf16"):
        train_renderer(dataclasses.replace(config, mixed_precision="fp16"))


def test_workers_prepare_the_same_batches(config, trained):
    train_renderer(dataclasses.replace(config, workers=1))
    assert read_losses(config) == read_losses(trained)


def test_a_discriminator_joins_at_its_step(config):
    config = dataclasses.replace(config, loss={"adversarial": 0.5}, adversarial_from=4)
    train_renderer(config)
    assert ["discriminator" in line for line in read_log(config)] == [False] * 3 + [True] * 3
    assert read_log(config)[-1]["discriminator"] < read_log(config)[3]["discriminator"]


def test_a_training_can_start_from_a_prior(config, trained):
    first = Path(trained.out, "prior")
    second = varied(config, "second", start=str(first), renderer_config={}, steps=1)
    stored = json.loads((train_renderer(second) / "prior_config.json").read_text())
    assert stored["training"]["start"] == {"name": "prior", "sha256": Prior.load(first).sha256}
    # At a hundredth of the rate one step moves nothing far.
    before, after = (
        Prior.load(f).renderer.state_dict() for f in (first, Path(second.out, "prior"))
    )
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-3, rtol=0)
    other = varied(config, "third", start=str(first), renderer_config={"window": 32})
    with pytest.raises(ArtefactError, match="renderer_config"):
        train_renderer(other)


def test_parts_of_the_renderer_can_have_their_own_rates(config):
    train_renderer(dataclasses.replace(config, rates={"style": 0.0, "style.0.bias": 1.0}, steps=3))
    held = varied(config, "held", rates={"": 0.0}, steps=1)
    train_renderer(held)
    start, end = read_weights(held), read_weights(config)
    assert torch.equal(start["renderer.style.0.weight"], end["renderer.style.0.weight"])
    assert not torch.equal(start["renderer.style.0.bias"], end["renderer.style.0.bias"])
    assert not torch.equal(start["renderer.leave.weight"], end["renderer.leave.weight"])
    with pytest.raises(ArtefactError, match=r"'stile'.*style"):
        train_renderer(varied(config, "wrong", rates={"stile": 0.1}))


@pytest.mark.parametrize("as_file", [False, True])
def test_excluded_people_take_no_part_and_are_not_named(config, tmp_path, as_file):
    (tmp_path / "exclude.txt").write_text("0.mp4\n")
    exclude = str(tmp_path / "exclude.txt") if as_file else ["0.mp4"]
    folder = train_renderer(dataclasses.replace(config, exclude=exclude, steps=1))
    text = (folder / "prior_config.json").read_text()
    assert [p["file"] for p in json.loads(text)["people"]] == ["1.mp4"]
    assert json.loads(text)["training"]["exclude"] == [hashlib.sha256(b"0.mp4").hexdigest()]
    assert "0.mp4" not in text
    assert "features.1" not in read_weights(config)


def test_a_person_in_training_and_validation_is_an_error(config):
    with pytest.raises(DubfewError, match=r"0\.mp4"):
        train_renderer(dataclasses.replace(config, held_out=config.data))


def test_windows_of_another_size_are_refused(config):
    wider = {**config.renderer_config, "window": 80}
    with pytest.raises(DubfewError, match="--size 80"):
        train_renderer(dataclasses.replace(config, renderer_config=wider))


def test_the_examples_configurations_can_be_read():
    paths = sorted(Path(__file__).resolve().parents[3].glob("examples/train_*.json"))
    assert paths
    for path in paths:
        config = PriorTrainConfig.load(path)
        make_renderer(config.renderer, config.renderer_config)


def test_a_loss_that_is_not_finite_ends_the_training(config):
    with pytest.raises(DubfewError, match="step"):
        train_renderer(dataclasses.replace(config, loss={"l1": 1e39}))
    assert not Path(config.out, "prior").exists()


def test_tensorboard_gets_curves_and_images(config):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_renderer(dataclasses.replace(config, tensorboard=True))
    events = EventAccumulator(str(Path(config.out, "tensorboard"))).Reload()
    assert [e.value for e in events.Scalars("loss")] == pytest.approx(read_losses(config))
    shown = events.Images("truth, warp, rendered/9.mp4")
    assert [(e.step, e.width, e.height) for e in shown] == [
        (3, 3 * SIZE, SIZE),
        (6, 3 * SIZE, SIZE),
    ]


def test_the_error_without_tensorboard_says_what_to_install(config, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(DubfewError, match=r"dubfew\[train\]"):
        train_renderer(dataclasses.replace(config, tensorboard=True))
    train_renderer(dataclasses.replace(config, steps=1))


def test_a_batch_can_be_overfitted():
    # Once the renderer's layers shrank their input until nothing reached the output, and a
    # training of hours learnt nothing.
    people = [toy_footage(26, seed, shade=0.7) for seed in range(2)]
    samples = MouthDataset(people, 4, num_references=2, augment=False)
    batch = collate_samples([samples[i] for i in range(len(samples))])
    model = make_renderer("lite", dataclasses.asdict(TOY))
    texture = torch.zeros(4, TOY.texture_channels, SIZE, SIZE)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    errors = []
    for _ in range(40):
        loss, terms = render_and_compute_loss(model, batch, texture, LossWeights())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(float(terms["l1"].detach()))
    assert errors[-1] < 0.6 * errors[0]


def test_the_command_line_runs_the_same_loop(config, trained, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(dataclasses.asdict(config)))
    command = ["prior", "train", str(tmp_path / "c.json"), "--steps", "6", "--json"]
    result = CommandRunner().invoke(app, command)
    assert result.exit_code == 0
    assert json.loads(result.stdout.splitlines()[-1]) == {"prior": str(Path(config.out, "prior"))}
    assert read_losses(config) == read_losses(trained)


def test_no_data_is_an_error(config, tmp_path):
    with pytest.raises(DubfewError, match="prior prepare"):
        train_renderer(dataclasses.replace(config, data=str(tmp_path / "none")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"data": "a", "out": "b", "speed": 3}', "speed"),
        ('{"data": "a"}', "out"),
        ('{"data": "a", "out": "b", "steps": "many"}', "'steps' is 'many': expected int"),
        ('{"data": "a", "out": "b", "batch": 0}', "batch"),
        ('{"data": "a", "out": "b", "batch": true}', "batch"),
        ('{"data": "a", "out": "b", "mixed_precision": "int4"}', "bf16"),
        ('{"data": "a", "out": "b", "loss": {"l3": 1}}', "l3"),
        ('{"data": "a", "out": "b", "exclude": "nowhere.txt"}', "nowhere.txt"),
        ("[1]", "configuration"),
        ("{", "configuration"),
    ],
)
def test_a_wrong_configuration_is_an_error(tmp_path, text, message):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(DubfewError, match=message):
        PriorTrainConfig.load(tmp_path / "c.json").list_excluded_people()
