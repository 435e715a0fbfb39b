"""Trainings that are killed at any moment go on as if they had not been."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dubfew.errors import ArtefactError
from dubfew.prior.training.trainer import train_renderer
from tests.prior.training.runs import read_log, read_losses, read_weights

pytestmark = pytest.mark.slow

# Trains as a user would, but kills itself: at some moment after a number of lines of the log, or
# in the middle of writing a file of the n-th resume state.
MORTAL = """
import os, random, signal, sys, threading, time
import torch
from dubfew.prior.training.logging import TrainingLog
from dubfew.prior.training.trainer import main

how, number = sys.argv.pop(1), int(sys.argv.pop(1))

def die():
    os.kill(os.getpid(), signal.SIGKILL)

write_step = TrainingLog.write_step

def write_step_and_die(self, step, *rest):
    write_step(self, step, *rest)
    if step == number:
        threading.Timer(random.uniform(0, 0.05), die).start()
    if step == number + 2:  # the last step but one waits for death, however late that comes
        time.sleep(600)

if how == "anywhere":
    TrainingLog.write_step = write_step_and_die
else:
    save, saved = torch.save, []

    def half(thing, path, *rest, **options):
        save(thing, path, *rest, **options)
        saved.append(path)
        if len(saved) == number:
            os.truncate(path, os.path.getsize(path) // 2)
            die()

    torch.save = half
main()
"""


# Everything that has a state.
RICH = {
    "steps": 6,
    "checkpoint": 2,
    "accumulate": 2,
    "batch": 1,
    "loss": {"adversarial": 0.1},
    "adversarial_from": 2,
}


@pytest.fixture
def rich(config):
    return dataclasses.replace(config, **RICH)


@pytest.fixture(scope="module")
def whole(trained, tmp_path_factory):
    """That training, done without an interruption."""
    out = str(tmp_path_factory.mktemp("whole"))
    config = dataclasses.replace(trained, out=out, **RICH)
    train_renderer(config)
    return config


def killed(config, how: str, number: int) -> None:
    """Run a training that kills itself."""
    path = Path(config.out).parent / "config.json"
    path.write_text(json.dumps(dataclasses.asdict(config)))
    done = subprocess.run(
        [sys.executable, "-c", MORTAL, how, str(number), str(path)],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_runs_give_the_curve_and_the_weights_of_a_complete_one(rich, whole):
    out = Path(rich.out)
    killed(rich, "anywhere", 3)
    reached = (out / "latest").read_text()
    assert reached in ("2", "4")  # 4 where the machine is busy
    killed(rich, "writing", 2)
    assert (out / "latest").read_text() == reached
    assert (out / "unfinished").exists()
    assert [line["step"] for line in read_log(rich)] == list(range(1, int(reached) + 3))
    train_renderer(rich)
    assert [line["step"] for line in read_log(rich)] == list(range(1, 7))
    # In another process: the same to rounding.
    assert read_losses(rich) == pytest.approx(read_losses(whole), rel=1e-4)
    assert read_log(rich)[-1]["psnr_heldout"] == pytest.approx(
        read_log(whole)[-1]["psnr_heldout"], rel=1e-4
    )
    for name, value in read_weights(whole).items():
        torch.testing.assert_close(read_weights(rich)[name], value, rtol=1e-3, atol=1e-5)
    assert not list(out.glob("unfinished*"))
    assert [path.name for path in out.glob("state-*")] == ["state-6"]
    for name in ("best", "prior"):
        stored = [Path(c.out, name, "prior_config.json").read_text() for c in (rich, whole)]
        a, b = (json.loads(text)["training"]["step"] for text in stored)
        assert a == b


def test_a_stopped_run_goes_on_bit_for_bit(rich, whole):
    class StopError(Exception):
        pass

    def stop(progress):
        if progress.done == 5:
            raise StopError

    with pytest.raises(StopError):
        train_renderer(rich, stop)
    with Path(rich.out, "log.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # as a full disk leaves it
    train_renderer(dataclasses.replace(rich, checkpoint=6))
    assert read_losses(rich) == read_losses(whole)
    for name, value in read_weights(whole).items():
        assert torch.equal(read_weights(rich)[name], value), name


def test_another_configuration_is_refused_and_the_keys_are_named(rich):
    rich = dataclasses.replace(rich, steps=1, held_out="")
    train_renderer(rich)
    changed = dataclasses.replace(rich, learning_rate=0.1, seed=5)
    with pytest.raises(ArtefactError, match=r"learning_rate was 0\.002, is 0\.1; seed") as error:
        train_renderer(changed)
    assert "texture_rate" not in str(error.value)
    with pytest.raises(ArtefactError, match="samples_per_step was 2, is 6"):
        train_renderer(dataclasses.replace(rich, batch=3))
    with pytest.raises(ArtefactError, match="people"):
        train_renderer(dataclasses.replace(rich, exclude=["0.mp4"]))
    # What does not change the curve may be changed: two batches of one are one of two.
    train_renderer(dataclasses.replace(rich, steps=2, checkpoint=1, batch=2, accumulate=1))
    assert len(read_log(rich)) == 2


def test_a_damaged_state_is_an_error(rich):
    rich = dataclasses.replace(rich, steps=1, held_out="")
    train_renderer(rich)
    (Path(rich.out) / "state-1" / "optimizer.bin").write_bytes(b"no zip")
    with pytest.raises(ArtefactError, match="damaged"):
        train_renderer(rich)
    (Path(rich.out) / "state-1" / "training.json").unlink()
    with pytest.raises(ArtefactError, match="another 'out'"):
        train_renderer(rich)
