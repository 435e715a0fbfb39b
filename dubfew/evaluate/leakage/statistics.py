"""How much nearer a painted mouth brings a face to somebody, and whether that is by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIGNIFICANCE_LEVEL = 0.05
MIN_GROUP_PEOPLE = 3  # in either group, to compare those the prior learned from with others
NUM_PERMUTATIONS = 9999


@dataclass(frozen=True)
class IdentityShift:
    """How pictures made for some actors lean towards them.

    The lean of a picture towards a person is how much nearer the paint brings the face that it is
    painted into to them, less how much nearer it brings it to everybody on average.

    Attributes:
        actors: how many.
        mean: over actors, in the embedding's distance.
        usual: 95 of 100 times it is less, if for every actor somebody is taken at random.
        p: how often that gives the mean or more.
        named: share of the actors whom their pictures are brought nearer to than to anybody else.
        chance: that share if people are taken at random.
    """

    actors: int
    mean: float
    usual: float
    p: float
    named: float
    chance: float


def measure_identity_shift(
    shifts: NDArray[np.float64],  # [A, P]
    actors: NDArray[np.int64],  # [A]
    seed: int = 0,
) -> IdentityShift:
    """Whether pictures know the actors for whom they were made.

    It is asked what would come out if others had been the actors. That holds where the pictures
    are the same for all, as those of a prior alone are.

    Args:
        shifts: of every actor's pictures towards everybody; NaN for those who do not count. [A, P]
        actors: the actors' numbers among the people. [A]
        seed: of the random choices.
    """
    rows = np.arange(len(actors))
    own = shifts[rows, actors]
    generator = np.random.default_rng(seed)
    people = np.tile(np.arange(shifts.shape[1]), (NUM_PERMUTATIONS, 1))
    taken = generator.permuted(people, axis=1)[:, : len(actors)]
    drawn = shifts[rows, taken]
    counted = np.isfinite(drawn)
    sums, counts = np.where(counted, drawn, 0).sum(1), counted.sum(1)
    means = sums[counts > 0] / counts[counts > 0]
    mean = float(own.mean())
    others = np.where(np.isfinite(shifts), shifts, -np.inf)
    return IdentityShift(
        actors=len(actors),
        mean=mean,
        usual=float(np.quantile(means, 1 - SIGNIFICANCE_LEVEL)),
        p=float((1 + (means >= mean - 1e-12).sum()) / (1 + len(means))),
        named=float((own > _mask_own_shift(others, actors).max(1)).mean()),
        chance=float((1 / np.isfinite(shifts).sum(1)).mean()),
    )


def _mask_own_shift(shifts: NDArray[np.float64], actors: NDArray[np.int64]) -> NDArray[np.float64]:
    others = shifts.copy()
    others[np.arange(len(actors)), actors] = -np.inf
    return others


@dataclass(frozen=True)
class PriorShift:
    """Whether a prior without any adapter leans towards the people whom it learned from.

    Attributes:
        learned: how many of the people it learned from.
        others: how many not.
        difference: mean lean towards the first, less that towards the others.
        p: chance of a difference this large if the prior treats all alike (one-sided permutation
            test); NaN with fewer than three in either group.
    """

    learned: int
    others: int
    difference: float
    p: float


def measure_prior_shift(
    shifts: NDArray[np.float64], in_training_set: NDArray[np.bool_], seed: int = 0
) -> PriorShift:
    """Compare leans towards people [P], NaN for who does not count, of whom the prior learned from
    some [P]."""
    counts = np.isfinite(shifts)
    shifts, in_training_set = shifts[counts], in_training_set[counts]
    yes, no = shifts[in_training_set], shifts[~in_training_set]
    if not len(yes) or not len(no):
        return PriorShift(len(yes), len(no), math.nan, math.nan)
    difference = float(yes.mean() - no.mean())
    p = math.nan
    if min(len(yes), len(no)) >= MIN_GROUP_PEOPLE:
        generator = np.random.default_rng(seed)
        shuffled = generator.permuted(np.tile(shifts, (NUM_PERMUTATIONS, 1)), axis=1)
        means = shuffled[:, : len(yes)].mean(1) - shuffled[:, len(yes) :].mean(1)
        p = float((1 + (means >= difference - 1e-12).sum()) / (1 + NUM_PERMUTATIONS))
    return PriorShift(len(yes), len(no), difference, p)
