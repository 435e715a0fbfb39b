"""Expected work of an adaptation."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from dubfew.adapt.options import AdaptOptions
from dubfew.adapt.stage_estimates import STYLE_STAGE, estimate_adapt_stages
from dubfew.media import VideoInfo
from dubfew.progress import Progress
from dubfew.utils.job_progress import JobProgress
from dubfew.utils.work_pace import WorkPace


def test_a_draft_is_not_done_before_its_last_stage() -> None:
    """A draft trains no step: the speaking style is its last work, and it takes time."""
    info = VideoInfo(Path("a.mp4"), 360, 288, Fraction(25), frames=75, duration=3.0)
    reports: list[Progress] = []
    plan = estimate_adapt_stages(info, AdaptOptions(draft=True), WorkPace(None))
    job = JobProgress(reports.append, plan)
    assert [each.stage for each in plan][-2:] == [STYLE_STAGE, "train"]
    for stage in plan[:-1]:
        units = round(stage.units)
        if units:
            job(Progress(stage.stage, 0, units))
            job(Progress(stage.stage, units - 1, units))
        else:
            assert stage.stage in ("scan", "occluders")
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    before_style = next(each for each in reports if each.stage == STYLE_STAGE)
    assert before_style.fraction is not None
    assert before_style.fraction < 0.9
    job.finish()
    assert reports[-1].fraction == pytest.approx(1)
