"""Progress of whole jobs."""

from __future__ import annotations

import pytest

from dubfew.progress import Progress
from dubfew.utils.job_progress import JobProgress, StageEstimate, part_of_job

# 100 s of work: 10 frames of 2 s, 20 of 1 s, 60 steps of 1 s.
PLAN = [
    StageEstimate("track", 10, 2.0),
    StageEstimate("cut", 20, 1.0),
    StageEstimate("train", 60, 1.0),
]


class Clock:
    """Time that passes only when a test says so, s."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def job(plan: list[StageEstimate] = PLAN) -> tuple[JobProgress, list[Progress], Clock]:
    told: list[Progress] = []
    clock = Clock()
    return JobProgress(told.append, plan, clock), told, clock


def test_the_share_of_the_job_counts_all_stages_and_those_that_ended_early() -> None:
    progress, told, _ = job()
    progress(Progress("track", 5, 10, {"x": 1.0}))
    progress(Progress("cut", 10, 20))
    progress(Progress("train", 30, 60))
    progress.finish()
    assert [each.fraction for each in told] == pytest.approx([10 / 100, 20 / 90, 50 / 80, 1.0])
    assert (told[0].stage, told[0].done, told[0].total, told[0].values) == (
        "track", 5, 10, {"x": 1.0},
    )  # fmt: skip
    assert (told[-1].stage, told[-1].seconds_left) == ("done", 0.0)


def test_stages_that_do_not_come_are_no_work() -> None:
    progress, told, _ = job()
    progress(Progress("train", 0, 60))
    progress(Progress("train", 30, 60))
    assert [each.fraction for each in told] == pytest.approx([0.0, 0.5])


def test_a_bar_never_moves_backwards_and_never_passes_the_end() -> None:
    progress, told, _ = job()
    for report in (
        Progress("track", 10, 10),
        Progress("cut", 1, 500),  # far more than was planned
        Progress("other", 1, 2),  # a stage that is not in the plan
        Progress("train", 70, 60),  # more than was announced
        Progress("track", 1, None),
    ):
        progress(report)
    shares = [each.fraction for each in told if each.fraction is not None]
    assert len(shares) == 5
    assert shares == sorted(shares)
    assert max(shares) <= 1


def test_the_time_left_follows_the_speed_of_this_machine() -> None:
    progress, told, clock = job()
    progress(Progress("track", 0, 10))
    assert told[-1].seconds_left == 100  # as planned: nothing is measured yet
    clock.now = 40.0  # twice as slow as planned
    progress(Progress("track", 10, 10))
    assert told[-1].seconds_left == pytest.approx(160)


def test_two_jobs_make_one_bar() -> None:
    told: list[Progress] = []
    for begin, end in ((0.0, 0.8), (0.8, 1.0)):
        progress = JobProgress(part_of_job(told.append, begin, end), PLAN, Clock())
        progress(Progress("train", 30, 60))
        progress.finish()
    assert [each.fraction for each in told] == pytest.approx([0.4, 0.9, 1.0])
    assert [each.stage for each in told] == ["train", "train", "done"]
    assert told[0].seconds_left is None
