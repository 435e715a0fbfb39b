"""Two processes train like one that sees the batches of both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_limits
from torch import nn

pytest.importorskip("espeakng_loader")

from dubfew.speech.model import SpeechModel
from dubfew.speech.training.config import RandomStream
from dubfew.speech.training.trainer import _TrainingRun
from dubfew.training import MAX_GRADIENT_NORM
from tests.speech.training.launched import CONFIG, train

pytestmark = pytest.mark.slow


def train_with_both_batches(run: _TrainingRun, number: int, target: nn.Module) -> None:
    """One process in the place of two: the mean of the gradients of both batches."""
    trained = run.trained[number]
    network = trained.wrapped
    network.train()
    for step in range(trained.steps):
        trained.schedule.set_step(step)
        trained.optimizer.zero_grad()
        # The running means of the normalization are those of the first process, which comes last.
        buffers = {name: value.clone() for name, value in network.named_buffers()}
        for rank in (1, 0):
            for name, value in network.named_buffers():
                value.copy_(buffers[name])
            rng = RandomStream.TRAINING_BATCH.start(CONFIG.seed, number, step, rank)
            torch.manual_seed(int(rng.integers(2**63)))
            batch = run.pool.sample_batch(CONFIG, rng, CONFIG.filmed_fraction)
            predicted = network(run._add_noise(batch.features))
            motion = batch.target
            if step > trained.steps // 3 and batch.is_filmed.any():
                motion = run.motion_loss.align_target(predicted, motion, batch.is_filmed)
            (run.motion_loss(predicted, motion, batch.voice_activity) / 2).backward()
        nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        trained.optimizer.step()
    target.load_state_dict(network.state_dict())
    target.eval()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without processes")
@pytest.mark.skipif(os.name == "nt", reason="torch's launcher on Windows needs libuv")
def test_two_processes_train_like_one_with_both_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On CPUs torch's launcher starts the processes; `accelerate launch` would start only one there.
    launch = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    done = subprocess.run(
        [sys.executable, *launch, "--nproc-per-node=2", "-m", train.__module__, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = SpeechModel.load(tmp_path / "model.safetensors").network.state_dict()
    monkeypatch.setattr(_TrainingRun, "train_network", train_with_both_batches)
    (tmp_path / "run" / "latest").unlink()
    # Adam divides by the size of a gradient, so that rounding decides where that is nearly 0: the
    # sums have to be in the order of the processes, which have one thread.
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):  # NumPy's
            expected = train(tmp_path).model.network.state_dict()
    finally:
        torch.set_num_threads(usual)
    # A bias before a normalization has no effect, and its gradient is rounding alone.
    names = [each for each in expected if not each.endswith(("num_batches_tracked", "wide.bias"))]
    alike = torch.cat(
        [torch.isclose(found[n], expected[n], rtol=1e-3, atol=1e-4).flatten() for n in names]
    )
    # A few gradients are 0 but for rounding, and Adam moves their weights by a whole step.
    assert alike.float().mean() > 0.98
