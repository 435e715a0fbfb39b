"""Statistics of the leak test: shifts of identity, and permutation tests of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A shift counts as significant if chance gives it in fewer than 5 % of cases, as is usual. The
# verdict uses the same level.
SIGNIFICANCE_LEVEL = 0.05
# Fewest people in either group when people whom a prior was trained on are compared with others.
# With two there are too few permutations for any significance.
MIN_GROUP_PEOPLE = 3
# Random permutations per test: p-values have steps of 1 / 10000.
NUM_PERMUTATIONS = 9999
# Tolerance within which a permuted mean counts as equal to the measured one: rounding of sums in
# another order must not make equal means differ.
ROUNDING_TOLERANCE = 1e-12


@dataclass(frozen=True)
class IdentityShift:
    """Shift of painted faces towards the actors that they were painted for.

    The shift of a picture towards a person is how much nearer the paint brings the face to that
    person, minus how much nearer it brings the face to everyone on average.

    Attributes:
        actors: number of actors.
        mean: mean shift towards the own actor, in the embedding's distance.
        null_p95: 95th percentile of that mean if the people are assigned to the actors at random.
        p: probability of a mean this large or larger under random assignment.
        top1_rate: fraction of the actors whose pictures are shifted towards them more than towards
            anyone else.
        chance_rate: that fraction under random assignment.
    """

    actors: int
    mean: float
    null_p95: float
    p: float
    top1_rate: float
    chance_rate: float

    def to_json(self) -> dict[str, float]:
        """Return the fields under the keys that JSON output has for them."""
        return {
            "actors": self.actors,
            "mean": self.mean,
            "usual": self.null_p95,
            "p": self.p,
            "named": self.top1_rate,
            "chance": self.chance_rate,
        }


def measure_identity_shift(
    shifts: NDArray[np.float64],  # [A, P]
    actors: NDArray[np.int64],  # [A]
    seed: int = 0,
) -> IdentityShift:
    """Test whether pictures are shifted towards the actors that they were painted for.

    The null hypothesis assigns people to the actors at random. It holds exactly where the pictures
    are the same for all actors, as those of a prior alone are.

    Args:
        shifts: shift of each actor's pictures towards each person; NaN for people who do not count.
            [A, P]
        actors: row of each actor among the people. [A]
        seed: seed of the random assignments.

    Returns:
        The mean shift and its significance.
    """
    rows = np.arange(len(actors))
    # Shift of each actor's pictures towards the actor.
    own = shifts[rows, actors]
    generator = np.random.default_rng(seed)
    people = np.tile(np.arange(shifts.shape[1]), (NUM_PERMUTATIONS, 1))
    assigned = generator.permuted(people, axis=1)[:, : len(actors)]
    # Means over the pairs of actor and person that count; assignments without such a pair drop out.
    permuted = shifts[rows, assigned]
    is_valid = np.isfinite(permuted)
    sums, counts = np.where(is_valid, permuted, 0).sum(1), is_valid.sum(1)
    null_means = sums[counts > 0] / counts[counts > 0]
    mean = float(own.mean())
    others = np.where(np.isfinite(shifts), shifts, -np.inf)
    others[rows, actors] = -np.inf
    # The measured assignment is one of the possible ones: hence 1 in numerator and denominator.
    reached = (null_means >= mean - ROUNDING_TOLERANCE).sum()
    return IdentityShift(
        actors=len(actors),
        mean=mean,
        null_p95=float(np.quantile(null_means, 1 - SIGNIFICANCE_LEVEL)),
        p=float((1 + reached) / (1 + len(null_means))),
        top1_rate=float((own > others.max(1)).mean()),
        chance_rate=float((1 / np.isfinite(shifts).sum(1)).mean()),
    )


@dataclass(frozen=True)
class PriorShift:
    """Shift of a prior without any adapter towards the people whom it was trained on.

    Attributes:
        learned: number of people whom it was trained on.
        others: number of other people.
        difference: mean shift towards the first group minus that towards the second.
        p: probability of a difference this large or larger if the prior treats all people alike
            (one-sided permutation test); NaN with fewer than three people in a group.
    """

    learned: int
    others: int
    difference: float
    p: float


def measure_prior_shift(
    shifts: NDArray[np.float64],  # [P]
    in_training_set: NDArray[np.bool_],  # [P]
    seed: int = 0,
) -> PriorShift:
    """Compare the shifts towards people whom a prior was trained on with those towards others.

    Args:
        shifts: shift of the prior's pictures towards each person; NaN for people who do not count.
            [P]
        in_training_set: True for people whom the prior was trained on. [P]
        seed: seed of the permutations.

    Returns:
        The difference and its significance; NaN if a group is empty.
    """
    counts = np.isfinite(shifts)
    shifts, in_training_set = shifts[counts], in_training_set[counts]
    # One-sided: only a shift towards the training set would be a leak.
    learned, others = shifts[in_training_set], shifts[~in_training_set]
    if not len(learned) or not len(others):
        return PriorShift(len(learned), len(others), math.nan, math.nan)
    # The test permutes which of the people count as trained on.
    difference = float(learned.mean() - others.mean())
    p = math.nan
    if min(len(learned), len(others)) >= MIN_GROUP_PEOPLE:
        generator = np.random.default_rng(seed)
        permuted = generator.permuted(np.tile(shifts, (NUM_PERMUTATIONS, 1)), axis=1)
        null = permuted[:, : len(learned)].mean(1) - permuted[:, len(learned) :].mean(1)
        reached = (null >= difference - ROUNDING_TOLERANCE).sum()
        p = float((1 + reached) / (1 + NUM_PERMUTATIONS))
    return PriorShift(len(learned), len(others), difference, p)
