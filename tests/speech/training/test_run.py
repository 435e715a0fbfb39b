"""`dubfew speech`: from shards to a model file, and its description."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from dubfew.cli.app import app
from dubfew.speech.model import SpeechModel
from dubfew.speech.training import imitator, run
from dubfew.speech.training.config import SpeechTrainConfig
from tests.commands import CommandRunner
from tests.speech.clips import TOY_SIZES
from tests.speech.shards import sample, write_shard

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = [sample(name, 0, np.arange(60)) for name in ("ann", "bob")]
    return write_shard(tmp_path_factory.mktemp("data"), [*parts, sample("cy", 0, np.arange(9))])


def invoke(*arguments: object, code: int = 0) -> str:
    result = CommandRunner().invoke(app, ["speech", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stderr if code else result.stdout


def test_a_model_is_trained_and_measured(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader")
    # As many utterances and passages as a real training needs would take a minute to synthesize.
    monkeypatch.setattr(run, "SpeechTrainConfig", partial(SpeechTrainConfig, **TOY_SIZES))
    out = tmp_path / "new" / "m.safetensors"
    line = ["--data", data, "--steps", 3, "--leave-out", "bob", "--json"]
    found = json.loads(invoke("train", "-o", out, *line))
    assert (found["output"], found["steps"]) == (str(out), 3)
    bob, ann = found["clips"]
    assert (bob["clip"], bob["part"]) == ("bob.mp4", "held out")
    assert ann["part"] in ("trained", "unfit")
    assert found["r_held_out"] == bob["r"]
    assert list(found["passed"]) == ["cy.mp4"]
    assert {path.name for path in out.parent.iterdir()} == {"m.safetensors", "fields.safetensors"}
    assert load_file(out.with_name("fields.safetensors"))["fields"].shape == (5, 63, 3)
    model = SpeechModel.load(out)
    assert model.training_info["clips"]["bob.mp4"] == "held out"
    assert "bob.mp4 held out" in invoke("info", out)
    info = json.loads(invoke("info", out, "--json"))
    assert (info["header"]["training"]["steps"], info["card"]) == (3, "")


def test_the_shipped_model_describes_itself() -> None:
    info = json.loads(invoke("info", "--json"))
    assert info["bytes"] < 6_000_000
    assert 4 * info["weights"] < info["bytes"]
    assert "GRID" in info["card"]
    assert info["encoder"]["ok"]
    assert info["encoder"]["found"] in invoke("info")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["train", "-o", "m.bin"], ".safetensors"),
        (["train", "-o", "fields.safetensors"], "'fields.safetensors'"),
        (["train", "-o", "m.safetensors", "--data", "none"], "dubfew prior prepare"),
        (["train", "-o", "m.safetensors", "--leave-out", "ann"], "--data"),
        (["train", "-o", "m.safetensors", "--data", "{data}", "--leave-out", "x"], "'x'"),
        (["train", "-o", "m.safetensors", "--data", "{data}", "--exclude", "no"], "cannot be read"),
        (["train", "-o", "folder.safetensors"], "is a folder"),
        (
            ["train", "-o", "m.safetensors", "--encoder-layer", "2"],
            "distilled encoder has no layers",
        ),
        (["train", "-o", "m.safetensors", "--encoder", "whisper:no"], "no Whisper weights at no"),
        (["info", "missing"], "dubfew speech train"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.safetensors").mkdir()
    stderr = invoke(*(word.format(data=data) for word in line), code=1)
    assert stderr.startswith("dubfew: error: ")
    assert message in stderr
    assert stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["folder.safetensors"]


TRAINING = """
import sys
from dubfew.cli import main
import dubfew.speech.training.run as training
def train(clips, config, **rest):
    print("ready", flush=True)
    import time
    for _ in range(6000):
        time.sleep(0.1)
training.fit_speech_model = train
sys.argv = ["dubfew", "speech", "train", "-o", sys.argv[1], "--data", sys.argv[2]]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupted_training_leaves_nothing(data: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(tmp_path / "m.safetensors"), str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=300)
    assert (process.returncode, stderr) == (1, "dubfew: interrupted\n")
    assert not list(tmp_path.iterdir())


def test_imitators_network_is_trained_by_the_same_command(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imitator, "WINDOW_STEPS", 20)
    monkeypatch.setattr(run, "SpeechTrainConfig", partial(SpeechTrainConfig, batch_size=2))
    line = ["--data", data, "--network", "imitator", "--encoder", "mel", "--leave-out", "bob"]
    whole, out = tmp_path / "whole.safetensors", tmp_path / "m" / "m.safetensors"
    found = json.loads(invoke("train", "-o", whole, *line, "--steps", 3, "--json"))
    assert [(c["clip"], c["part"]) for c in found["clips"]] == [
        ("bob.mp4", "held out"), ("ann.mp4", "trained")
    ]  # fmt: skip
    header = json.loads(invoke("info", whole, "--json"))["header"]["network"]
    assert (header["kind"], header["people"], header["inputs"]) == ("imitator", 1, 80)
    # Stopped after a step and gone on with, it is the same to the bit.
    inner, steps = imitator._train_step, []

    def stop(*arguments):
        steps.append(1)
        if len(steps) == 2:
            signal.raise_signal(signal.SIGINT)
        return inner(*arguments)

    monkeypatch.setattr(imitator, "_train_step", stop)
    work = ["--work", tmp_path / "work"]
    invoke("train", "-o", out, *line, "--steps", 3, *work, code=1)
    assert not out.exists()
    invoke("train", "-o", out, *line, "--steps", 3, *work)
    assert len(steps) == 3
    assert out.read_bytes() == whole.read_bytes()
    assert "there are ensemble, imitator" in invoke(
        "train", "-o", tmp_path / "x.safetensors", "--network", "gru", code=1
    )
    assert "from film alone" in invoke(
        "train", "-o", tmp_path / "x.safetensors", "--network", "imitator", code=1
    )
