"""Intervals of values that are measured on frames and clips, and of shares that people vote for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from dubfew.evaluate.metrics import FrameCurve

# Probability with which an interval holds the value.
CONFIDENCE = 0.95
# Number of samples of a bootstrap. The ends of the interval then vary by some percent of its width.
BOOTSTRAP_ROUNDS = 400
# Seed of the samples: a table comes out the same twice.
BOOTSTRAP_SEED = 0


def bootstrap_interval(curve: FrameCurve, block: float) -> tuple[float, float]:
    """Find the interval of a value over the frames of a clip.

    Neighboring frames are alike. So whole blocks of frames are drawn, of about a second, and not
    single frames, which would make the interval several times too narrow.

    Args:
        curve: values of the frames.
        block: length of a block, frames.

    Returns:
        Lowest and highest value; NaN where fewer than two blocks of frames have a value.

    Source: Politis and Romano 1992, A Circular Block-Resampling Procedure for Stationary Data.
    """
    values = curve.values[~np.isnan(curve.values)]
    length = max(1, round(block))
    if len(values) < 2 * length:
        return float("nan"), float("nan")
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    blocks = -(-len(values) // length)
    samples = []
    for _ in range(BOOTSTRAP_ROUNDS):  # one at a time: all rows of a long clip would be large
        rows = rng.integers(0, len(values), (blocks, 1)) + np.arange(length)
        samples.append(curve.aggregate(values[rows.ravel()[: len(values)] % len(values)]))
    return _middle_share(np.array(samples))


def bootstrap_mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """Find the interval of the mean over clips, each of which has one value.

    Args:
        values: value of each clip; NaN and infinity are left out. [N]

    Returns:
        Lowest and highest mean; NaN for fewer than two clips.

    Source: Efron 1979, Bootstrap Methods: Another Look at the Jackknife.
    """
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    rows = rng.integers(0, len(finite), (BOOTSTRAP_ROUNDS, len(finite)))
    return _middle_share(finite[rows].mean(1))


def _middle_share(samples: NDArray[np.float64]) -> tuple[float, float]:
    """Quantiles between which 95 % of the samples lie."""
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return float("nan"), float("nan")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(finite, (tail, 1 - tail))
    return float(low), float(high)


def binomial_interval(successes: int, trials: int) -> tuple[float, float]:
    """Find the exact interval of a share, as of votes.

    Args:
        successes: votes for it.
        trials: all votes, above 0.

    Returns:
        Lowest and highest share, 0 to 1.

    Source: Clopper and Pearson 1934, The Use of Confidence or Fiducial Limits Illustrated in the
    Case of the Binomial.

    Example:
        >>> [round(100 * share) for share in binomial_interval(93, 102)]
        [84, 96]
    """
    tail = (1 - CONFIDENCE) / 2
    failures = trials - successes
    low = beta.ppf(tail, successes, failures + 1) if successes else 0.0
    high = beta.ppf(1 - tail, successes + 1, failures) if failures else 1.0
    return float(low), float(high)
