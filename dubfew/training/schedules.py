"""Learning-rate schedules: one family for every trainer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol


def warmup_cosine(
    step: float,
    num_steps: float,
    *,
    warmup_steps: float,
    initial: float = 0.0,
    floor: float = 0.0,
    decay_start: float = 0.0,
) -> float:
    """Compute the factor of the learning rate: a linear warm-up times a cosine decay.

    Args:
        step: steps done, 0 or more; the factor stays at its last value beyond ``num_steps``.
        num_steps: steps of the whole training, above ``decay_start``.
        warmup_steps: the warm-up reaches 1 after this many steps, above 0.
        initial: the warm-up at step 0, so that the first step already learns. In [0, 1]
        floor: the cosine at the end, so that the last steps still move. In [0, 1]
        decay_start: step at which the cosine begins to fall.

    Returns:
        Factor in [0, 1].

    Source: Loshchilov and Hutter 2017, SGDR: Stochastic Gradient Descent with Warm Restarts
    (arXiv 1608.03983), eq. 5, without restarts.

    Example:
        >>> [round(warmup_cosine(step, 100, warmup_steps=10), 3) for step in (0, 5, 10, 50, 100)]
        [0.0, 0.497, 0.976, 0.5, 0.0]
    """
    warmup = min(1.0, step / warmup_steps + initial)
    # Steps into the decay, from 0 to its length.
    decayed = min(max(step - decay_start, 0.0), num_steps - decay_start)
    cosine = math.cos(math.pi * decayed / (num_steps - decay_start))
    return warmup * ((1 + floor) / 2 + (1 - floor) / 2 * cosine)


class HasParameterGroups(Protocol):
    """A torch optimizer, or Accelerate's wrapper of one."""

    @property
    def param_groups(self) -> list[dict]:
        """List the groups; each has its rate under ``lr``."""
        ...


class LearningRateSchedule:
    """Learning rates of an optimizer: each group's peak rate times a factor of the step.

    The rates are a function of the step alone. So nothing has to be stored to resume a run, and
    the number of processes does not matter, unlike with a scheduler that counts its own calls.

    The optimizer's rates are taken for the peaks when the schedule is made. Make it before a
    resume state is loaded: a loaded optimizer has the rates of its last step.

    Args:
        optimizer: optimizer whose groups have their peak rates.
        factor: maps a step to the factor, such as a call of `warmup_cosine`.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
        >>> schedule = LearningRateSchedule(optimizer, lambda step: step / 10)
        >>> schedule.set_step(4)
        >>> optimizer.param_groups[0]["lr"]
        0.2
    """

    def __init__(self, optimizer: HasParameterGroups, factor: Callable[[int], float]) -> None:
        self.optimizer = optimizer
        self.factor = factor
        self.peak_rates: list[float] = [group["lr"] for group in optimizer.param_groups]

    def set_step(self, step: int) -> None:
        """Give the optimizer the rates of a step."""
        factor = self.factor(step)
        for group, peak_rate in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
            group["lr"] = peak_rate * factor
