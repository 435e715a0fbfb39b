"""Several processes train like one."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dubfew.prior.training.trainer import train_renderer
from tests.prior.training.runs import read_log, read_losses, read_weights

pytestmark = pytest.mark.slow

# On CPUs torch's launcher starts the processes; `accelerate launch` would start only one there.
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]


def launched(config, processes: int) -> None:
    path = Path(config.out).parent / "config.json"
    path.write_text(json.dumps(dataclasses.asdict(config)))
    command = [
        *LAUNCH,
        f"--nproc-per-node={processes}",
        "-m",
        "dubfew.prior.train",
        str(path),
    ]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without processes")
@pytest.mark.skipif(os.name == "nt", reason="torch's launcher on Windows needs libuv")
def test_two_processes_train_like_one_with_the_same_samples(config, tmp_path):
    config = dataclasses.replace(config, steps=2, checkpoint=1)
    one = dataclasses.replace(config, out=str(tmp_path / "one"), accumulate=2)
    large = dataclasses.replace(config, out=str(tmp_path / "large"), batch=4)
    launched(config, 2)
    train_renderer(one)
    train_renderer(large)
    assert len(read_log(config)) == 2
    # The same batches, on two processes or one after the other: the same to rounding.
    assert read_losses(config) == pytest.approx(read_losses(one), rel=1e-4)
    for name, value in read_weights(one).items():
        torch.testing.assert_close(read_weights(config)[name], value, rtol=1e-3, atol=1e-4)
    assert read_log(config)[-1]["psnr_heldout"] == pytest.approx(
        read_log(one)[-1]["psnr_heldout"], abs=0.01
    )
    # As one batch: losses are means over its pixels, and not all faces have the same number.
    assert read_losses(config) == pytest.approx(read_losses(large), rel=0.05)
    # What two processes left, one goes on with.
    more = dataclasses.replace(config, steps=3, accumulate=2)
    train_renderer(more)
    assert [line["step"] for line in read_log(more)] == [1, 2, 3]
