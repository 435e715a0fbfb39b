"""How much nearer a painted mouth brings a face to somebody, and whether that is by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
# One actor has one lean; with fewer no chance of 5 % can be told from none.
FEWEST_ACTORS = 5
FEWEST_PEOPLE = 3  # in either group, to compare those the prior learned from with others
SHUFFLES = 9999


@dataclass(frozen=True)
class Lean:
    """How pictures of several actors lean towards them.

    The lean of one picture towards a person is how much nearer the paint brings the face that it
    is painted into to them, less how much nearer it brings it to strangers on average: 0 for paint
    that does not know them.

    Attributes:
        actors: how many.
        mean: over actors, in the embedding's distance.
        bound: the mean is no larger with 95 % confidence (Student's t); NaN of a single actor.
        p: chance of a mean this large without any lean (one-sided t-test); NaN of a single actor.
        named: share of the pictures that come nearer to the actor than to every stranger.
        chance: the same, of paint that does not know the actor.
    """

    actors: int
    mean: float
    bound: float
    p: float
    named: float
    chance: float


def lean_of(
    approach: NDArray[np.float64],  # [P]
    person: int,
    strangers: Sequence[int],
) -> tuple[float, bool]:
    """Lean towards one person of one picture, and whether no stranger is approached as much.

    Args:
        approach: how much nearer to each person the paint brought the face. [P]
        person: towards whom.
        strangers: who are compared with.
    """
    others = approach[list(strangers)]
    return float(approach[person] - others.mean()), bool(approach[person] > others.max())


def summary(actors: Sequence[tuple[float, float, float]]) -> Lean:
    """Every actor's lean, share of pictures that name them, and chance of that, all together."""
    values, named, chances = (np.array(each, np.float64) for each in zip(*actors, strict=True))
    bound = p = math.nan
    if len(values) > 1:
        from scipy import stats

        error = float(values.std(ddof=1)) / math.sqrt(len(values))
        bound = float(values.mean() + stats.t.ppf(1 - LEVEL, len(values) - 1) * error)
        p = float(stats.ttest_1samp(values, 0, alternative="greater").pvalue) if error else 1.0
    return Lean(
        len(values),
        float(values.mean()),
        bound,
        p,
        float(named.mean()),
        float(chances.mean()),
    )


@dataclass(frozen=True)
class PriorLean:
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


def prior_lean(leans: NDArray[np.float64], learned: NDArray[np.bool_], seed: int = 0) -> PriorLean:
    """Compare leans towards people [P] of whom the prior learned from some [P]."""
    yes, no = leans[learned], leans[~learned]
    if not len(yes) or not len(no):
        return PriorLean(len(yes), len(no), math.nan, math.nan)
    difference = float(yes.mean() - no.mean())
    p = math.nan
    if min(len(yes), len(no)) >= FEWEST_PEOPLE:
        generator = np.random.default_rng(seed)
        shuffled = generator.permuted(np.tile(leans, (SHUFFLES, 1)), axis=1)
        means = shuffled[:, : len(yes)].mean(1) - shuffled[:, len(yes) :].mean(1)
        p = float((1 + (means >= difference - 1e-12).sum()) / (1 + SHUFFLES))
    return PriorLean(len(yes), len(no), difference, p)
