"""Progress of a whole job, computed from the reports of its stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dubfew.progress import Progress, ProgressCallback

# Stage of the report that ends a job.
DONE_STAGE = "done"
# Share of the job from which the time so far tells more about the rest than the expected costs.
# Before that, one slow first frame would multiply the estimate.
MIN_MEASURED_FRACTION = 0.05


@dataclass(frozen=True)
class StageEstimate:
    """Expected work of one stage.

    Attributes:
        stage: name of the stage in its reports.
        units: expected number of units, such as frames; the stage's own total replaces it.
        unit_seconds: time of one unit on two cores of a laptop, s. Only ratios between the stages
            matter once the job has run for a while.
    """

    stage: str
    units: float
    unit_seconds: float


class JobProgress:
    """Progress callback that adds the share of the whole job and the time left to each report.

    A stage that never reports, because the job does not need it, counts as no work as soon as a
    later stage reports.

    Args:
        callback: function that receives the completed reports.
        plan: stages of the job in their order.
        clock: function that returns the time in s.
    """

    def __init__(
        self,
        callback: ProgressCallback,
        plan: Sequence[StageEstimate],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._callback = callback
        self._order = [each.stage for each in plan]
        self._unit_seconds = {each.stage: each.unit_seconds for each in plan}
        self._totals = {each.stage: each.units for each in plan}
        self._done: dict[str, float] = {}
        self._clock = clock
        self._began = clock()
        self._fraction = 0.0

    def __call__(self, progress: Progress) -> None:
        """Complete the report of a stage and pass it on."""
        if progress.stage in self._totals:
            self._record(progress)
        finished = self._cost(self._done)
        total = self._cost(self._totals)
        if total > 0:
            # Totals that grow late would move a bar backwards.
            self._fraction = max(self._fraction, min(finished / total, 1.0))
        self._callback(
            replace(
                progress,
                fraction=self._fraction,
                seconds_left=self._estimate_seconds_left(finished, total),
            )
        )

    def finish(self) -> None:
        """Report that the job is done."""
        self._fraction = 1.0
        self._callback(Progress(DONE_STAGE, 1, 1, fraction=1.0, seconds_left=0.0))

    def _record(self, progress: Progress) -> None:
        """Note what a stage has done; the stages before it are over."""
        for stage in self._order[: self._order.index(progress.stage)]:
            self._totals[stage] = self._done.setdefault(stage, 0)
        if progress.total is not None:
            self._totals[progress.stage] = progress.total
        # A container may announce fewer frames than it has.
        self._totals[progress.stage] = max(self._totals[progress.stage], progress.done)
        self._done[progress.stage] = progress.done

    def _cost(self, units: dict[str, float]) -> float:
        """Expected time of some units of each stage, s."""
        return sum(self._unit_seconds[stage] * count for stage, count in units.items())

    def _estimate_seconds_left(self, finished: float, total: float) -> float:
        """Estimate the time left by the expected costs, scaled by the speed so far."""
        left = max(0.0, total - finished)
        if finished <= MIN_MEASURED_FRACTION * total:
            return left
        return left * (self._clock() - self._began) / finished


def part_of_job(callback: ProgressCallback, begin: float, end: float) -> ProgressCallback:
    """Make the callback of a job that is one part of a larger one.

    Args:
        callback: callback of the larger job.
        begin: share of the larger job that is done when the part begins, 0 to 1.
        end: share that is done when it ends; 1 for the last part, whose last report is passed on.
    """

    def report(progress: Progress) -> None:
        if progress.stage == DONE_STAGE and end < 1:
            return
        fraction = progress.fraction
        inner = None if fraction is None else begin + (end - begin) * fraction
        # The time left is that of the part alone.
        left = progress.seconds_left if end == 1 else None
        callback(replace(progress, fraction=inner, seconds_left=left))

    return report
