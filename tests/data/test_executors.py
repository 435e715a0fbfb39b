from __future__ import annotations

import subprocess
import sys

import pytest

from dubfew.data.executors import CLIP_EXECUTORS
from dubfew.data.executors._bounded import run_bounded
from dubfew.data.jobs import ClipJob, ClipOutcome
from dubfew.errors import DubfewError


def test_names_are_known_without_importing_torch_or_ray():
    script = (
        "import sys; from dubfew.data.executors import CLIP_EXECUTORS; print(*CLIP_EXECUTORS);"
        "assert not {'torch', 'ray', 'mediapipe'} & set(sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.split() == ["local", "ray"], found.stderr


def test_an_unknown_engine_is_an_error_that_lists_the_others():
    with pytest.raises(DubfewError, match=r"magic.*local, ray"):
        CLIP_EXECUTORS.load("magic")


def test_no_more_jobs_run_than_allowed_and_each_is_reported_once():
    jobs = [ClipJob(f"{n}.mp4", f"{n}.tar", str(n), 32, {}) for n in range(7)]
    running: list[int] = []
    most = 0

    def submit(job: ClipJob) -> int:
        nonlocal most
        running.append(int(job.sample_key))
        most = max(most, len(running))
        return int(job.sample_key)

    def wait_for_any(tasks):
        return [running.pop()]  # the last one first: order must not matter

    found = dict(run_bounded(jobs, 3, submit, wait_for_any, lambda task: ClipOutcome(task)))
    assert most == 3
    assert found == {n: ClipOutcome(num_frames=n) for n in range(7)}
