"""Opening in open vowels against opening in sounds of closed lips."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dubfew.evaluate.metrics._base import ClipMeasure, ClipPair, Metric
from dubfew.evaluate.metrics._speech import PHONES, phone_openings
from dubfew.speech.visemes import BILABIAL_LETTERS, OPEN_VOWEL_LETTERS

# Fewest phones of each kind.
MIN_PHONES = 3
# Opening that is added below the fraction line, in eye-corner distances: the accuracy of the
# detector. Without it the ratio of a mouth that closes well would be arbitrary.
OPENING_ACCURACY = 0.01


def open_closed_ratio(phones: Any, clips: ClipPair) -> float:
    """Divide the mean of the widest openings in open vowels by that of the narrowest in p, b, m.

    Args:
        phones: not used; the clips have them.
        clips: both clips, with phones.

    Returns:
        Ratio, 0 or more; people have 3 to 6, a mouth that moves at random 1. NaN with fewer than
        three sounds of a kind.
    """
    vowels = [float(values.max()) for values in phone_openings(clips, OPEN_VOWEL_LETTERS)]
    closed = [float(values.min()) for values in phone_openings(clips, BILABIAL_LETTERS)]
    if min(len(vowels), len(closed)) < MIN_PHONES:
        return float("nan")
    return float(np.mean(vowels) / (np.mean(closed) + OPENING_ACCURACY))


METRIC = Metric(
    unit="",
    bounds=(0.0, math.inf),
    direction="higher",
    best=math.inf,
    source="mean lip gap at the widest of open vowels / at the narrowest of p, b and m + 0.01 "
    "eye-corner distances; sounds from the transcript or PocketSphinx",
    measure=ClipMeasure(open_closed_ratio),
    requirement=PHONES,
    # One published table: film 4.0, systems 1.9 to 3.5; that table divides in another way.
    good=3.5,
    poor=2.0,
    best_if_unchanged=False,
)
