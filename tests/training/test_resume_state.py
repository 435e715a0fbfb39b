"""A run's state on disk: whole or not at all, and of the same run."""

from __future__ import annotations

import json
import os

import pytest
from accelerate import Accelerator
from torch import nn

from dubfew.errors import ArtefactError
from dubfew.training.resume_state import (
    STATE_FORMAT_VERSION,
    STATE_INFO_FILE,
    RunState,
    discard_run_state,
    resume_run,
    save_run_state,
)


class Death(BaseException):
    """Like a kill, it is not caught by anybody."""


def test_a_state_is_complete_or_absent(tmp_path, monkeypatch):
    accelerator = Accelerator(cpu=True)
    layer = accelerator.prepare(nn.Linear(2, 2))

    def save(step: int) -> None:
        nn.init.constant_(accelerator.unwrap_model(layer).weight, step)
        save_run_state(accelerator, tmp_path, RunState(step, best=float(step)), {"a": 1})

    save(1)
    deaths, found = 0, {1}
    while True:
        calls = 0

        def dies(handle: int, at: int = deaths + 1) -> None:
            nonlocal calls
            calls += 1
            if calls == at:
                raise Death

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", dies)
            try:
                save(2)
                break
            except Death:
                deaths += 1
        step = resume_run(accelerator, tmp_path, {"a": 1}).step
        found.add(step)
        assert float(accelerator.unwrap_model(layer).weight[0, 0].detach()) == step
        save(1)
    # A file at least, the folder, its name, the pointer, the pointer's name.
    assert deaths >= 5
    assert found == {1, 2}


def test_a_state_of_a_newer_dubfew_is_refused(tmp_path):
    accelerator = Accelerator(cpu=True)
    accelerator.prepare(nn.Linear(2, 2))
    save_run_state(accelerator, tmp_path, RunState(3), {})
    path = tmp_path / "state-3" / STATE_INFO_FILE
    newer = json.loads(path.read_text()) | {"format_version": STATE_FORMAT_VERSION + 1}
    path.write_text(json.dumps(newer))
    with pytest.raises(ArtefactError, match="update dubfew"):
        resume_run(accelerator, tmp_path, {})


def test_a_new_run_begins_at_step_0(tmp_path):
    assert resume_run(Accelerator(cpu=True), tmp_path / "out", {"a": 1}) == RunState()
    assert (tmp_path / "out").is_dir()


def test_what_differs_is_named(tmp_path):
    accelerator = Accelerator(cpu=True)
    accelerator.prepare(nn.Linear(2, 2))
    save_run_state(accelerator, tmp_path, RunState(1), {"a": 1, "b": 2})
    with pytest.raises(ArtefactError, match=r"b was 2, is 3; c was None, is 4\)"):
        resume_run(accelerator, tmp_path, {"a": 1, "b": 3, "c": 4})


def test_a_state_is_discarded_and_all_else_stays(tmp_path):
    accelerator = Accelerator(cpu=True)
    accelerator.prepare(nn.Linear(2, 2))
    save_run_state(accelerator, tmp_path, RunState(1), {"a": 1})
    (tmp_path / "features").mkdir()
    discard_run_state(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["features"]
    assert resume_run(accelerator, tmp_path, {"a": 2}) == RunState()
